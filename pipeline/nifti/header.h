/* header.h - what the first 348 or 540 bytes of a volume promise, checked. */
#pragma once

#include "stream.h"
#include "voxels.h"

#include <loom/data.h>

typedef struct {
    LoomVolumeHeader stored;
    const LoomVoxelType *type;
    gboolean swapped;        /* the file has the other byte order than this machine */
    gboolean pair;           /* the voxels are in another file, the .img */
    guint64 offset;          /* of the first voxel, in bytes */
    gint64 channels;         /* the fourth or the fifth axis */
    gint64 voxels;           /* of all channels; its bytes do not overflow */
    double slope, intercept; /* to be used: 1 and 0 where the header has no scaling */
} LoomNiftiHeader;

/* Reads NIfTI-1 or -2 from the start of @stream.  LOOM_ERROR_FORMAT or _SHAPE with the field,
 * what it holds and what it should.  @path: for notes; messages do not hold it. */
gboolean loom_nifti_header_read(LoomStream *stream, const char *path, LoomNiftiHeader *header,
                                GError **error);
/* Where the volume lies, from the raw fields already in @geometry: affine, spacing and axes by
 * the sform, else the qform, else the pixdim.  @n_dims: axes that the file has. */
gboolean loom_nifti_place(LoomGeometry *geometry, const char *path, guint n_dims,
                          GError **error);
