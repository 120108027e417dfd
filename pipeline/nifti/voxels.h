/* voxels.h - from the file's number types to f32. */
#pragma once

#include <loom/plugin.h>

/* A type of number that has one intensity a voxel. */
typedef struct {
    gint32 code; /* the header's datatype */
    guint bytes;
    const char *name;       /* "int16" */
    const char *big_endian; /* ">i2": the same as numpy spells it in a big-endian file */
    void (*convert)(gconstpointer raw, gint64 n, double slope, double intercept, float *to);
    /* The first number whose double is not exact; @n: none.  NULL: all are. */
    gint64 (*inexact)(gconstpointer raw, gint64 n);
} LoomVoxelType;

/* NULL: no such type, or one without a single intensity (complex, RGB, 128 bits). */
const LoomVoxelType *loom_voxel_type(gint32 code);
/* Reverses the bytes of each of @n numbers in place. */
void loom_voxel_swap(const LoomVoxelType *type, gpointer raw, gint64 n);
