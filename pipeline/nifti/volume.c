/* volume - one NIfTI file as a tensor. */
#include "volume_file.h"

#include <loom/tensor.h>

#include <math.h>
#include <string.h>

const LoomVolumePolicy loom_volume_lenient = {
    .prefer = LOOM_PREFER_SFORM, .orientation = 1, .shear = 1, .flat = TRUE};

/* ---- images ------------------------------------------------------------------------- */

typedef struct {
    float *to;
    int nan;               /* LoomNanPolicy */
    gint64 bad, first_bad; /* voxels that are NaN or infinite */
} ImageSink;

static gboolean image_take(G_GNUC_UNUSED const LoomNiftiHeader *header, gint64 first,
                           const float *values, gint64 n, gpointer to,
                           G_GNUC_UNUSED GError **error)
{
    ImageSink *sink = to;
    const gboolean refill = sink->nan == LOOM_NAN_REFUSE || sink->nan == LOOM_NAN_ZERO;

    memcpy(sink->to + first, values, (gsize)n * sizeof *values);
    for (gint64 i = 0; refill && i < n; i++) {
        if (isfinite(values[i]))
            continue;
        if (sink->bad++ == 0)
            sink->first_bad = first + i;
        sink->to[first + i] = 0; /* REFUSE: nobody will see it */
    }
    return TRUE;
}

static LoomTensor *image_read(LoomVolumeFile *volume, int nan, GError **error)
{
    const LoomNiftiHeader *header = &volume->header;
    const gint64 *size = header->stored.geometry.size;
    g_autoptr(LoomTensor) image = loom_tensor_new(
        LOOM_F32, "CDHW", (gint64[]){header->channels, size[2], size[1], size[0]}, error);
    ImageSink sink = {.nan = nan};

    if (!image)
        return NULL;
    sink.to = loom_tensor_f32_mut(image);
    if (!loom_volume_file_each(volume, image_take, &sink, error))
        return NULL;
    if (sink.bad && nan == LOOM_NAN_REFUSE) {
        g_autofree char *place = loom_voxel_place(header, sink.first_bad);

        return loom_fail_as_null(error, "E-NII-NAN", LOOM_ERROR_NUMERIC,
                                 "%" G_GINT64_FORMAT
                                 " voxels are NaN or infinite, the first at %s",
                                 sink.bad, place);
    }
    return g_steal_pointer(&image);
}

/* ---- labels ------------------------------------------------------------------------- */

static gboolean label_take(const LoomNiftiHeader *header, gint64 first, const float *values,
                           gint64 n, gpointer to, GError **error)
{
    guint8 *labels = to;

    for (gint64 i = 0; i < n; i++) {
        if (!loom_voxel_label(values[i], &labels[first + i])) {
            g_autofree char *place = loom_voxel_place(header, first + i);

            return loom_fail_as(error, "E-LABEL-VALUE", LOOM_ERROR_FORMAT,
                                "the value %.9g at %s is no label, want whole numbers 0 to 255",
                                (double)values[i], place);
        }
    }
    return TRUE;
}

static LoomTensor *labels_read(LoomVolumeFile *volume, GError **error)
{
    const gint64 *size = volume->header.stored.geometry.size;
    g_autoptr(LoomTensor) labels = NULL;

    if (volume->header.channels != 1)
        return loom_fail_as_null(error, "E-NII-4D", LOOM_ERROR_SHAPE,
                                 "%" G_GINT64_FORMAT " volumes, want one label map",
                                 volume->header.channels);
    labels = loom_tensor_new(LOOM_U8, "DHW", (gint64[]){size[2], size[1], size[0]}, error);
    if (!labels
        || !loom_volume_file_each(volume, label_take, loom_tensor_u8_mut(labels), error))
        return NULL;
    return g_steal_pointer(&labels);
}

/* ---- the ways in -------------------------------------------------------------------- */

LoomTensor *loom_volume_read_by(const char *path, const LoomVolumePolicy *policy,
                                LoomGeometry *geometry, GError **error)
{
    g_auto(LoomVolumeFile) file = {0};
    g_autoptr(LoomTensor) found = NULL;

    if (loom_volume_file_open(&file, path, policy, NULL, VOLUME_LIMIT_OF(policy), error))
        found = image_read(&file, policy->nan, error);
    if (!found) {
        loom_volume_file_blame(&file, error);
        return NULL;
    }
    if (geometry)
        *geometry = file.header.stored.geometry;
    return g_steal_pointer(&found);
}

LoomTensor *loom_volume_labels_by(const char *path, const LoomVolumePolicy *policy,
                                  LoomGeometry *geometry, GError **error)
{
    g_auto(LoomVolumeFile) file = {0};
    g_autoptr(LoomTensor) found = NULL;

    if (loom_volume_file_open(&file, path, policy, NULL, VOLUME_LIMIT_OF(policy), error))
        found = labels_read(&file, error);
    if (!found) {
        loom_volume_file_blame(&file, error);
        return NULL;
    }
    if (geometry)
        *geometry = file.header.stored.geometry;
    return g_steal_pointer(&found);
}

gboolean loom_volume_header_by(const char *path, const LoomVolumePolicy *policy,
                               LoomVolumeHeader *header, GError **error)
{
    g_auto(LoomVolumeFile) file = {0};

    if (!loom_volume_file_open(&file, path, policy, NULL, 0, error)) {
        loom_volume_file_blame(&file, error);
        return FALSE;
    }
    *header = file.header.stored;
    return TRUE;
}

LoomTensor *loom_volume_read(const char *path, LoomNanPolicy nan, guint64 limit,
                             LoomGeometry *geometry, GError **error)
{
    LoomVolumePolicy policy = loom_volume_lenient;

    policy.nan = nan;
    policy.limit = limit;
    return loom_volume_read_by(path, &policy, geometry, error);
}

LoomTensor *loom_volume_read_labels(const char *path, guint64 limit, LoomGeometry *geometry,
                                    GError **error)
{
    LoomVolumePolicy policy = loom_volume_lenient;

    policy.limit = limit;
    return loom_volume_labels_by(path, &policy, geometry, error);
}

gboolean loom_volume_read_header(const char *path, LoomVolumeHeader *header, GError **error)
{
    return loom_volume_header_by(path, &loom_volume_lenient, header, error);
}
