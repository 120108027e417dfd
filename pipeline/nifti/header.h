/* header.h - what the first 348 or 540 bytes of a volume promise, checked. */
#pragma once

#include "stream.h"
#include "voxels.h"

#include <loom/data.h>

/* Which file is read, how, and who is told what is worth a word. */
typedef struct {
    const char *path;
    const LoomVolumePolicy *policy;
    LoomFindings *findings; /* NULL: g_info */
} LoomNiftiLook;

typedef struct {
    LoomVolumeHeader stored;
    const LoomVoxelType *type;
    gboolean swapped;        /* the file has the other byte order than this machine */
    gboolean pair;           /* the voxels are in another file, the .img */
    gboolean analyze;        /* no magic: Analyze 7.5, which says nothing of space */
    guint64 offset;          /* of the first voxel, in bytes */
    gint64 channels;         /* the fourth or the fifth axis */
    gint64 voxels;           /* of all channels; its bytes do not overflow */
    double slope, intercept; /* to be used: 1 and 0 where the header has no scaling */
} LoomNiftiHeader;

/* Reads NIfTI-1 or -2 from the start of @stream.  LOOM_ERROR_FORMAT or _SHAPE with the field,
 * what it holds and what it should; messages do not hold the path. */
gboolean loom_nifti_header_read(LoomStream *stream, const LoomNiftiLook *look,
                                LoomNiftiHeader *header, GError **error);
/* Walks the extensions between header and voxels without keeping any: a note for what there is,
 * or for sizes that cannot be.  @stream stands behind the header. */
gboolean loom_nifti_extensions_skip(LoomStream *stream, const LoomNiftiLook *look,
                                    const LoomNiftiHeader *header, GError **error);
/* Where the volume lies, from the raw fields already in @geometry: affine, spacing and axes by
 * the sform, else the qform, else the pixdim.  @n_dims: axes that the file has. */
gboolean loom_nifti_place(LoomGeometry *geometry, const LoomNiftiLook *look, guint n_dims,
                          GError **error);
/* A warning "W-..."; where the policy is strict it is a refusal. */
gboolean loom_nifti_warn(const LoomNiftiLook *look, const char *code, GError **error,
                         const char *format, ...) G_GNUC_PRINTF(4, 5);
