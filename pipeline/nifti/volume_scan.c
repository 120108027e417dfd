/* volume_scan - every voxel looked at once, in chunks: range, mean and deviation (Welford, by
 * chunks: Chan, Golub, LeVeque 1983), what is not finite, which labels there are. */
#include "nifti/volume_scan.h"

#include "core/findings.h"
#include "volume_file.h"

#include <math.h>

/* Voxels of one kind of mistake. */
typedef struct {
    gint64 n, first;
    double value; /* of the first */
} Bad;

static void bad_add(Bad *bad, gint64 v, double value)
{
    if (bad->n++ == 0) {
        bad->first = v;
        bad->value = value;
    }
}

/* ---- images ------------------------------------------------------------------------- */

typedef struct {
    LoomImageScan *scan;
    gint64 volume; /* voxels of the first one that have a bit */
    double squares;
    Bad infinite;
} ImageLook;

/* Adds n values of that mean and sum of squared differences. */
static void moments_add(ImageLook *look, gint64 n, double mean, double squares)
{
    LoomImageScan *scan = look->scan;
    const double apart = mean - scan->mean;
    const double all = (double)(scan->finite + n);

    if (!n)
        return;
    look->squares += squares + apart * apart * (double)scan->finite * (double)n / all;
    scan->mean += apart * (double)n / all;
    scan->finite += n;
}

static gboolean image_take(G_GNUC_UNUSED const LoomNiftiHeader *header, gint64 first,
                           const float *values, gint64 n, gpointer to,
                           G_GNUC_UNUSED GError **error)
{
    ImageLook *look = to;
    LoomImageScan *scan = look->scan;
    double sum = 0, squares = 0, mean;
    gint64 finite = 0;

    for (gint64 i = 0; i < n; i++) {
        const double x = (double)values[i];

        if (!isfinite(x)) {
            bad_add(&look->infinite, first + i, x);
            continue;
        }
        finite++;
        sum += x;
        scan->low = MIN(scan->low, x);
        scan->high = MAX(scan->high, x);
        if (x != 0 && first + i < look->volume)
            scan->nonzero[(first + i) / 8] |= (guint8)(1u << (first + i) % 8);
    }
    mean = finite ? sum / (double)finite : 0;
    for (gint64 i = 0; i < n; i++)
        if (isfinite(values[i]))
            squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    moments_add(look, finite, mean, squares);
    return TRUE;
}

/* What is not finite, and what has no contrast. */
static void image_tell(const LoomVolumeFile *file, const ImageLook *look)
{
    const LoomNiftiLook *nifti = &file->look;
    const LoomImageScan *scan = look->scan;
    g_autofree char *place = loom_voxel_place(&file->header, look->infinite.first);

    if (look->infinite.n)
        loom_finding_add(nifti->findings,
                         nifti->policy->nan == LOOM_NAN_REFUSE ? "E-NII-NAN" : "N-NII-NAN",
                         nifti->path, NULL,
                         "%" G_GINT64_FORMAT " voxels are NaN or infinite, the first at %s%s",
                         look->infinite.n, place,
                         nifti->policy->nan == LOOM_NAN_REFUSE
                             ? "; want finite numbers, or nan_policy: zero or mask"
                             : "");
    if (scan->finite && scan->low == scan->high)
        loom_finding_add(nifti->findings, "W-IMAGE-CONSTANT", nifti->path, NULL,
                         "every voxel is %g: there is nothing to see, z-scores become 0",
                         scan->low);
}

/* An error that stopped the reading; always FALSE. */
static gboolean stopped(const LoomVolumeFile *file, LoomFindings *findings, GError *error)
{
    loom_volume_file_blame(file, &error);
    loom_findings_take(findings, error);
    return FALSE;
}

gboolean loom_header_scan(const char *path, const LoomVolumePolicy *policy,
                          LoomFindings *findings, LoomVolumeHeader *header)
{
    g_auto(LoomVolumeFile) file = {0};
    GError *error = NULL;

    *header = (LoomVolumeHeader){0};
    if (!loom_volume_file_open(&file, path, policy, findings, 0, &error))
        return stopped(&file, findings, error);
    *header = file.header.stored;
    return TRUE;
}

gboolean loom_image_scan(const char *path, const LoomVolumePolicy *policy,
                         LoomFindings *findings, LoomVolumeHeader *header, LoomImageScan *scan)
{
    g_auto(LoomVolumeFile) file = {0};
    ImageLook look = {.scan = scan};
    GError *error = NULL;

    *header = (LoomVolumeHeader){0};
    *scan = (LoomImageScan){.low = INFINITY,
                            .high = -INFINITY,
                            .nonzero = scan->nonzero,
                            .nonzero_bits = scan->nonzero_bits};
    if (!loom_volume_file_open(&file, path, policy, findings, VOLUME_LIMIT_OF(policy), &error))
        return stopped(&file, findings, error);
    *header = file.header.stored;
    const gint64 *size = header->geometry.size;
    look.volume = size[0] * size[1] * size[2];
    if (!scan->nonzero) {
        scan->nonzero = g_try_malloc0((gsize)look.volume / 8 + 1);
        scan->nonzero_bits = scan->nonzero ? look.volume : 0;
    }
    look.volume = MIN(look.volume, scan->nonzero_bits);
    if (!loom_volume_file_each(&file, image_take, &look, &error))
        return stopped(&file, findings, error);
    scan->sd = scan->finite ? sqrt(look.squares / (double)scan->finite) : 0;
    image_tell(&file, &look);
    return !look.infinite.n || policy->nan != LOOM_NAN_REFUSE;
}

/* ---- labels ------------------------------------------------------------------------- */

typedef struct {
    LoomLabelScan *scan;
    const guint8 *nonzero;
    gint64 nonzero_bits;
    Bad fraction, negative, beyond; /* no whole number; below 0; above 255, or not finite */
    Bad rounded;                    /* almost a whole number */
} LabelLook;

static void label_odd(LabelLook *look, gint64 v, float value)
{
    if (!isfinite(value) || value >= 255.5f)
        bad_add(&look->beyond, v, (double)value);
    else if (value < 0 && rintf(value) == value)
        bad_add(&look->negative, v, (double)value);
    else
        bad_add(&look->fraction, v, (double)value);
}

static gboolean label_take(G_GNUC_UNUSED const LoomNiftiHeader *header, gint64 first,
                           const float *values, gint64 n, gpointer to,
                           G_GNUC_UNUSED GError **error)
{
    LabelLook *look = to;

    for (gint64 i = 0; i < n; i++) {
        const gint64 v = first + i;
        guint8 label;

        if (!loom_voxel_label(values[i], &label)) {
            label_odd(look, v, values[i]);
            continue;
        }
        if (values[i] != (float)label)
            bad_add(&look->rounded, v, (double)values[i]);
        LoomLabelCount *count = &look->scan->of[label];
        if (count->n++ == 0)
            count->first = v;
        if (label && v < look->nonzero_bits)
            look->scan->on_image += look->nonzero[v / 8] >> v % 8 & 1;
    }
    return TRUE;
}

static gboolean labels_tell(const LoomVolumeFile *file, const Bad *bad, const char *code,
                            const char *what)
{
    if (!bad->n)
        return TRUE;
    g_autofree char *place = loom_voxel_place(&file->header, bad->first);
    const double nearest = rint(bad->value);
    g_autofree char *distance = bad->value == nearest || !isfinite(bad->value)
                                    ? g_strdup("")
                                    : g_strdup_printf(", %.3g from the nearest whole number",
                                                      fabs(bad->value - nearest));
    loom_finding_add(file->look.findings, code, file->look.path, NULL,
                     "the value %.9g at %s is no label%s, want whole numbers 0 to 255; %s: "
                     "%" G_GINT64_FORMAT " voxel%s%s",
                     bad->value, place, distance, what, bad->n, bad->n == 1 ? "" : "s",
                     file->header.slope != 1 || file->header.intercept != 0
                         ? " (the header scales them by scl_slope and scl_inter)"
                         : "");
    return FALSE;
}

gboolean loom_label_scan(const char *path, const LoomVolumePolicy *policy,
                         LoomFindings *findings, LoomVolumeHeader *header,
                         const guint8 *nonzero, gint64 nonzero_bits, LoomLabelScan *scan)
{
    g_auto(LoomVolumeFile) file = {0};
    LabelLook look = {.scan = scan, .nonzero = nonzero, .nonzero_bits = nonzero_bits};
    GError *error = NULL;

    *header = (LoomVolumeHeader){0};
    *scan = (LoomLabelScan){0};
    if (!loom_volume_file_open(&file, path, policy, findings, VOLUME_LIMIT_OF(policy), &error))
        return stopped(&file, findings, error);
    *header = file.header.stored;
    if (file.header.channels != 1) {
        loom_finding_add(findings, "E-NII-4D", path, NULL,
                         "%u-D, %" G_GINT64_FORMAT " volumes, want one label map",
                         header->n_dims, file.header.channels);
        return FALSE;
    }
    if (!loom_volume_file_each(&file, label_take, &look, &error))
        return stopped(&file, findings, error);
    if (look.rounded.n)
        loom_finding_add(findings, "N-LABEL-ROUNDED", path, NULL,
                         "%" G_GINT64_FORMAT
                         " voxels such as %.9g are rounded to whole numbers",
                         look.rounded.n, look.rounded.value);
    const gboolean whole =
        labels_tell(&file, &look.fraction, "E-LABEL-FRACTION", "no whole numbers");
    const gboolean above = labels_tell(&file, &look.negative, "E-LABEL-NEGATIVE", "negative");
    return labels_tell(&file, &look.beyond, "E-LABEL-VALUE", "above 255 or not finite") && whole
           && above;
}
