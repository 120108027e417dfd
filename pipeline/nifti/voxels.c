/* voxels - every integer and real type of NIfTI to f32:
 *   y = slope * x + intercept, in double, rounded once
 * Source: nifti1.h, "DATA SCALING". */
#include "voxels.h"

#define VOXEL_CONVERT(name, type)                                                              \
    static void convert_##name(gconstpointer raw, gint64 n, double slope, double intercept,    \
                               float *to)                                                      \
    {                                                                                          \
        const type *x = raw;                                                                   \
        for (gint64 i = 0; i < n; i++)                                                         \
            to[i] = (float)((double)x[i] * slope + intercept);                                 \
    }
VOXEL_CONVERT(u8, guint8)
VOXEL_CONVERT(i8, gint8)
VOXEL_CONVERT(u16, guint16)
VOXEL_CONVERT(i16, gint16)
VOXEL_CONVERT(u32, guint32)
VOXEL_CONVERT(i32, gint32)
VOXEL_CONVERT(u64, guint64)
VOXEL_CONVERT(i64, gint64)
VOXEL_CONVERT(f32, float)
VOXEL_CONVERT(f64, double)

#define VOXEL_EXACT ((gint64)1 << 53) /* a double has 53 binary digits */

static gint64 inexact_i64(gconstpointer raw, gint64 n)
{
    const gint64 *x = raw;
    gint64 i = 0;

    while (i < n && x[i] >= -VOXEL_EXACT && x[i] <= VOXEL_EXACT)
        i++;
    return i;
}

static gint64 inexact_u64(gconstpointer raw, gint64 n)
{
    const guint64 *x = raw;
    gint64 i = 0;

    while (i < n && x[i] <= (guint64)VOXEL_EXACT)
        i++;
    return i;
}

static const LoomVoxelType voxel_types[] = {
    {2, 1, "uint8", "uint8", convert_u8, NULL},
    {4, 2, "int16", ">i2", convert_i16, NULL},
    {8, 4, "int32", ">i4", convert_i32, NULL},
    {16, 4, "float32", ">f4", convert_f32, NULL},
    {64, 8, "float64", ">f8", convert_f64, NULL},
    {256, 1, "int8", "int8", convert_i8, NULL},
    {512, 2, "uint16", ">u2", convert_u16, NULL},
    {768, 4, "uint32", ">u4", convert_u32, NULL},
    {1024, 8, "int64", ">i8", convert_i64, inexact_i64},
    {1280, 8, "uint64", ">u8", convert_u64, inexact_u64},
};

const LoomVoxelType *loom_voxel_type(gint32 code)
{
    for (guint i = 0; i < G_N_ELEMENTS(voxel_types); i++)
        if (voxel_types[i].code == code)
            return &voxel_types[i];
    return NULL;
}

void loom_voxel_swap(const LoomVoxelType *type, gpointer raw, gint64 n)
{
    if (type->bytes == 2)
        for (gint64 i = 0; i < n; i++)
            ((guint16 *)raw)[i] = GUINT16_SWAP_LE_BE(((guint16 *)raw)[i]);
    if (type->bytes == 4)
        for (gint64 i = 0; i < n; i++)
            ((guint32 *)raw)[i] = GUINT32_SWAP_LE_BE(((guint32 *)raw)[i]);
    if (type->bytes == 8)
        for (gint64 i = 0; i < n; i++)
            ((guint64 *)raw)[i] = GUINT64_SWAP_LE_BE(((guint64 *)raw)[i]);
}
