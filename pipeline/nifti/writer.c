/* writer - a tensor as .nii or .nii.gz on the grid of the volume it came from.
 *
 * The header's geometry is the input's bit for bit; voxels stand unscaled behind it, and there
 * is no extension: those of scanners hold patients' names. Source: nifti1.h and nifti2.h; RFC
 * 1952. */
#define ZLIB_CONST /* next_in is a pointer to const */
#include "nifti/writer.h"

#include "store/file_replace.h"

#include <loom/data.h>
#include <loom/tensor.h>

#include <string.h>
#include <zlib.h>

#include <nifti1.h>
#include <nifti2.h>

#define WRITER_BUFFER 65536
#define WRITER_MOST_ONE 32767 /* NIfTI-1 stores sizes in 16 bits */
#define WRITER_NAME "segloom"

/* ---- header ------------------------------------------------------------------------- */

static void header_two(const LoomGeometry *geometry, const LoomNumbers *numbers,
                       nifti_2_header *to)
{
    const gint64 channels = numbers->channels;

    *to = (nifti_2_header){.sizeof_hdr = sizeof *to,
                           .datatype = (gint16)numbers->type->code,
                           .bitpix = (gint16)(8 * numbers->type->bytes),
                           .dim = {channels > 1 ? 4 : 3, geometry->size[0], geometry->size[1],
                                   geometry->size[2], channels, 1, 1, 1},
                           .vox_offset = sizeof *to + 4, /* 4 bytes: no extension */
                           .scl_slope = numbers->slope,
                           .scl_inter = numbers->intercept,
                           .qform_code = geometry->qform_code,
                           .sform_code = geometry->sform_code,
                           .quatern_b = geometry->quatern[0],
                           .quatern_c = geometry->quatern[1],
                           .quatern_d = geometry->quatern[2],
                           .qoffset_x = geometry->qoffset[0],
                           .qoffset_y = geometry->qoffset[1],
                           .qoffset_z = geometry->qoffset[2],
                           .xyzt_units = geometry->xyzt_units,
                           .descrip = WRITER_NAME};
    memcpy(to->magic, "n+2\0\r\n\032\n", sizeof to->magic);
    for (guint i = 0; i < 8; i++)
        to->pixdim[i] = i < 4 ? geometry->pixdim[i] : 1;
    memcpy(to->srow_x, geometry->srow[0], sizeof to->srow_x);
    memcpy(to->srow_y, geometry->srow[1], sizeof to->srow_y);
    memcpy(to->srow_z, geometry->srow[2], sizeof to->srow_z);
}

/* The same in NIfTI-1; what came from floats goes back to floats without a change. */
static void header_one(const nifti_2_header *from, nifti_1_header *to)
{
    *to = (nifti_1_header){.sizeof_hdr = sizeof *to,
                           .regular = 'r',
                           .datatype = from->datatype,
                           .bitpix = from->bitpix,
                           .vox_offset = sizeof *to + 4,
                           .scl_slope = (float)from->scl_slope,
                           .scl_inter = (float)from->scl_inter,
                           .qform_code = (short)from->qform_code,
                           .sform_code = (short)from->sform_code,
                           .quatern_b = (float)from->quatern_b,
                           .quatern_c = (float)from->quatern_c,
                           .quatern_d = (float)from->quatern_d,
                           .qoffset_x = (float)from->qoffset_x,
                           .qoffset_y = (float)from->qoffset_y,
                           .qoffset_z = (float)from->qoffset_z,
                           .xyzt_units = (char)from->xyzt_units,
                           .descrip = WRITER_NAME,
                           .magic = "n+1"};
    for (guint i = 0; i < 8; i++) {
        to->dim[i] = (short)from->dim[i];
        to->pixdim[i] = (float)from->pixdim[i];
    }
    for (guint i = 0; i < 4; i++) {
        to->srow_x[i] = (float)from->srow_x[i];
        to->srow_y[i] = (float)from->srow_y[i];
        to->srow_z[i] = (float)from->srow_z[i];
    }
}

/* Header and the four zeros behind it.  Returns: their length. */
static gsize header_pack(const LoomGeometry *geometry, const LoomNumbers *numbers,
                         guint8 to[sizeof(nifti_2_header) + 4])
{
    nifti_2_header two;
    nifti_1_header one;
    gint64 most = numbers->channels;

    header_two(geometry, numbers, &two);
    memset(to, 0, sizeof two + 4);
    for (guint i = 0; i < 3; i++)
        most = MAX(most, geometry->size[i]);
    if (geometry->version == 2 || most > WRITER_MOST_ONE) {
        memcpy(to, &two, sizeof two);
        return sizeof two + 4;
    }
    header_one(&two, &one);
    memcpy(to, &one, sizeof one);
    return sizeof one + 4;
}

/* ---- bytes -------------------------------------------------------------------------- */

typedef struct {
    LoomReplacement *file;
    gboolean gzip, ready;
    z_stream z;
    guint8 buffer[WRITER_BUFFER];
} Output;

static void output_free(Output *output)
{
    if (output->ready)
        deflateEnd(&output->z);
    loom_replacement_free(output->file);
    g_free(output);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Output, output_free)

static Output *output_open(const char *path, GError **error)
{
    g_autoptr(Output) output = g_new0(Output, 1);

    output->gzip = g_str_has_suffix(path, ".nii.gz");
    if (!output->gzip && !g_str_has_suffix(path, ".nii"))
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "'%s': want a name that ends with .nii or .nii.gz", path);
    /* 15 + 16: the largest window, gzip; no name and no time in it: same voxels, same bytes */
    if (output->gzip
        && deflateInit2(&output->z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8,
                        Z_DEFAULT_STRATEGY)
               != Z_OK)
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "'%s': no memory to deflate", path);
    output->ready = output->gzip;
    output->file = loom_replacement_begin(path, error);
    return output->file ? g_steal_pointer(&output) : NULL;
}

static gboolean output_deflate(Output *output, gconstpointer bytes, guint n, int flush,
                               GError **error)
{
    output->z.next_in = bytes;
    output->z.avail_in = n;
    do {
        output->z.next_out = output->buffer;
        output->z.avail_out = WRITER_BUFFER;
        deflate(&output->z, flush); /* cannot fail: there is always room */
        if (!loom_replacement_write(output->file, output->buffer,
                                    WRITER_BUFFER - output->z.avail_out, error))
            return FALSE;
    } while (output->z.avail_out == 0);
    return TRUE;
}

static gboolean output_write(Output *output, gconstpointer bytes, gsize length, GError **error)
{
    const guint8 *at = bytes;

    if (!output->gzip)
        return loom_replacement_write(output->file, bytes, length, error);
    while (length) {
        const guint n = (guint)MIN(length, 1u << 30); /* zlib counts in 32 bits */

        if (!output_deflate(output, at, n, Z_NO_FLUSH, error))
            return FALSE;
        at += n;
        length -= n;
    }
    return TRUE;
}

/* ---- the volume --------------------------------------------------------------------- */

/* Is this a volume on that grid? */
static gboolean volume_fits(const LoomTensor *volume, const LoomGeometry *geometry,
                            GError **error)
{
    const char *axes = loom_tensor_axes(volume);
    const LoomDtype dtype = loom_tensor_dtype(volume);
    g_autofree char *found = loom_tensor_describe(volume);

    if (!(g_str_equal(axes, "DHW") && (dtype == LOOM_U8 || dtype == LOOM_F32))
        && !(g_str_equal(axes, "CDHW") && dtype == LOOM_F32))
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "cannot write %s, want u8 or f32 (D,H,W) or f32 "
                         "(C,D,H,W)",
                         found);
    if (loom_tensor_size(volume, 'W') == geometry->size[0]
        && loom_tensor_size(volume, 'H') == geometry->size[1]
        && loom_tensor_size(volume, 'D') == geometry->size[2])
        return TRUE;
    return loom_fail(error, LOOM_ERROR_SHAPE,
                     "cannot write %s on a grid of %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                     " x %" G_GINT64_FORMAT " voxels (i, j, k are W, H, D)",
                     found, geometry->size[0], geometry->size[1], geometry->size[2]);
}

gboolean loom_volume_write_numbers(const char *path, const LoomNumbers *numbers,
                                   const LoomGeometry *geometry, GError **error)
{
    guint8 header[sizeof(nifti_2_header) + 4];
    const gsize header_bytes = header_pack(geometry, numbers, header);
    g_autoptr(Output) output = output_open(path, error);

    return output && output_write(output, header, header_bytes, error)
           && output_write(output, numbers->values, numbers->length, error)
           && (!output->gzip || output_deflate(output, header, 0, Z_FINISH, error))
           && loom_replacement_commit(output->file, NULL, error);
}

gboolean loom_volume_write(const char *path, const LoomTensor *volume,
                           const LoomGeometry *geometry, GError **error)
{
    g_assert(path && volume && geometry);
    if (!volume_fits(volume, geometry, error)) {
        g_prefix_error(error, "'%s': ", path);
        return FALSE;
    }
    const gboolean labels = loom_tensor_dtype(volume) == LOOM_U8;
    const LoomNumbers numbers = {.type = loom_voxel_type(labels ? DT_UINT8 : DT_FLOAT32),
                                 .slope = 1,
                                 .channels = loom_tensor_size(volume, 'C'),
                                 .values = labels ? (gconstpointer)loom_tensor_u8(volume)
                                                  : (gconstpointer)loom_tensor_f32(volume),
                                 .length = loom_tensor_bytes(volume)};

    return loom_volume_write_numbers(path, &numbers, geometry, error);
}
