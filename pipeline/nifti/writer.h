/* writer.h - numbers of any type as a NIfTI file. */
#pragma once

#include "nifti/voxels.h"

#include <loom/data.h>

/* What stands behind a header. */
typedef struct {
    const LoomVoxelType *type;
    double slope, intercept; /* a voxel is slope * number + intercept */
    gint64 channels;         /* volumes, one behind the other */
    gconstpointer values;    /* in this machine's byte order */
    gsize length;            /* bytes */
} LoomNumbers;

/* As loom_volume_write. */
gboolean loom_volume_write_numbers(const char *path, const LoomNumbers *numbers,
                                   const LoomGeometry *geometry, GError **error);
