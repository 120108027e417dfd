/* fingerprint_cache - what was measured of a case, as one line of text (GVariant's), so that
 * planning that was interrupted goes on, and planning again takes no time.
 *
 * A file's name is the hash of the version, and of path, size and time of change of each file
 * of the case, and of what the data set makes of them: whatever changes, there is no such
 * file.  Files are replaced as a whole. */
#include "fingerprint.h"

#include <loom/store.h>

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#define CACHE_VERSION "segloom fingerprint 1"
/* version; whole: shape, spacing; box; classes; a channel: n, mean, m2, least, most, exact,
 * bins */
#define CHANNEL_TYPE "(xddddba(ut))"
#define CACHE_TYPE "(s(xxx)(ddd)(xxx)axa" CHANNEL_TYPE ")"

static gboolean file_add(GChecksum *sum, const char *path)
{
    GStatBuf status;
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);

    if (g_stat(path, &status) != 0)
        return FALSE;
    g_autofree char *line = g_strdup_printf(
        "%s\n%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %ld\n", absolute, (gint64)status.st_size,
        (gint64)status.st_mtim.tv_sec, (long)status.st_mtim.tv_nsec);
    g_checksum_update(sum, (const guchar *)line, (gssize)strlen(line));
    return TRUE;
}

/* What the same files can be read as: which volume is which channel, values as classes. */
static void reading_add(GChecksum *sum, const LoomDataset *dataset)
{
    const LoomVolumePolicy *policy = &dataset->policy;
    g_autoptr(GString) line = g_string_new(NULL);

    g_string_append_printf(line, "%u %u %d %d %d %d %d %a\n", dataset->n_channels,
                           dataset->n_volumes, policy->nan, policy->prefer, policy->orientation,
                           policy->analyze, policy->flat, policy->shear);
    for (guint c = 0; dataset->n_volumes && c < dataset->n_channels; c++)
        g_string_append_printf(line, "%u ", dataset->volume_of[c]);
    for (guint value = 0; value < 256; value++)
        g_string_append_printf(line, "%d ", loom_dataset_label_of(dataset, value));
    g_checksum_update(sum, (const guchar *)line->str, (gssize)line->len);
}

/* NULL: a file is not there. */
static char *cache_path(const char *folder, const LoomDataset *dataset, const LoomCase *one)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    g_checksum_update(sum, (const guchar *)CACHE_VERSION, -1);
    reading_add(sum, dataset);
    for (char **path = one->images; *path; path++)
        if (!file_add(sum, *path))
            return NULL;
    if (!one->label || !file_add(sum, one->label))
        return NULL;
    g_autofree char *name = g_strconcat(g_checksum_get_string(sum), ".txt", NULL);
    return g_build_filename(folder, name, NULL);
}

/* ---- to disk ------------------------------------------------------------------------ */

static GVariant *channel_variant(const Histogram *channel)
{
    GVariantBuilder bins;

    g_variant_builder_init(&bins, G_VARIANT_TYPE("a(ut)"));
    for (guint b = 0; b < channel->bins->len; b++) {
        const HistogramBin *bin = &g_array_index(channel->bins, HistogramBin, b);

        g_variant_builder_add(&bins, "(ut)", bin->bin, bin->count);
    }
    const gboolean empty = channel->n == 0; /* GVariant's text knows no NaN */
    return g_variant_new(CHANNEL_TYPE, channel->n, empty ? 0.0 : channel->mean, channel->m2,
                         empty ? 0.0 : channel->least, empty ? 0.0 : channel->most,
                         channel->exact, &bins);
}

gboolean fingerprint_cache_write(const char *folder, const LoomDataset *dataset,
                                 const LoomCase *one, const FingerprintCase *measured,
                                 GError **error)
{
    g_autofree char *path = cache_path(folder, dataset, one);
    const gint64 *n = measured->whole.shape, *box = measured->cropped;
    const double *mm = measured->whole.spacing;
    GVariantBuilder labels, channels;

    if (!path)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' is gone", one->id);
    g_variant_builder_init(&labels, G_VARIANT_TYPE("ax"));
    for (guint k = 0; k < FINGERPRINT_LABELS; k++)
        g_variant_builder_add(&labels, "x", measured->labels[k]);
    g_variant_builder_init(&channels, G_VARIANT_TYPE("a" CHANNEL_TYPE));
    for (guint c = 0; c < measured->n_channels; c++)
        g_variant_builder_add_value(&channels, channel_variant(&measured->foreground[c]));
    g_autoptr(GVariant) all = g_variant_ref_sink(
        g_variant_new(CACHE_TYPE, CACHE_VERSION, n[0], n[1], n[2], mm[0], mm[1], mm[2], box[0],
                      box[1], box[2], &labels, &channels));
    g_autofree char *text = g_variant_print(all, FALSE);
    return loom_file_replace(path, text, strlen(text), error);
}

/* ---- from disk ---------------------------------------------------------------------- */

/* Bins ascend and hold as many values as there are. */
static gboolean channel_read(GVariant *variant, Histogram *channel)
{
    g_autoptr(GVariantIter) bins = NULL;
    HistogramBin bin, last = {0, 0};
    guint64 total = 0;

    g_variant_get(variant, CHANNEL_TYPE, &channel->n, &channel->mean, &channel->m2,
                  &channel->least, &channel->most, &channel->exact, &bins);
    channel->bins = g_array_new(FALSE, FALSE, sizeof bin);
    while (g_variant_iter_next(bins, "(ut)", &bin.bin, &bin.count)) {
        if (bin.bin >= HISTOGRAM_BINS || (last.count && bin.bin <= last.bin) || !bin.count)
            return FALSE;
        total += bin.count;
        g_array_append_val(channel->bins, bin);
        last = bin;
    }
    if (channel->n == 0)
        channel->mean = channel->least = channel->most = NAN;
    return channel->n >= 0 && total == (guint64)channel->n;
}

static gboolean case_read(GVariant *all, guint n_channels, FingerprintCase *measured)
{
    gint64 *n = measured->whole.shape, *box = measured->cropped;
    double *mm = measured->whole.spacing;
    g_autoptr(GVariant) labels = NULL, channels = NULL;
    const char *version;

    g_variant_get(all, "(&s(xxx)(ddd)(xxx)@ax@a" CHANNEL_TYPE ")", &version, &n[0], &n[1],
                  &n[2], &mm[0], &mm[1], &mm[2], &box[0], &box[1], &box[2], &labels, &channels);
    if (!g_str_equal(version, CACHE_VERSION)
        || g_variant_n_children(labels) != FINGERPRINT_LABELS
        || g_variant_n_children(channels) != n_channels)
        return FALSE;
    for (guint a = 0; a < 3; a++)
        if (box[a] < 1 || box[a] > n[a] || !(mm[a] > 0))
            return FALSE;
    for (guint k = 0; k < FINGERPRINT_LABELS; k++)
        g_variant_get_child(labels, k, "x", &measured->labels[k]);
    measured->n_channels = n_channels;
    measured->foreground = g_new0(Histogram, n_channels);
    for (guint c = 0; c < n_channels; c++) {
        g_autoptr(GVariant) channel = g_variant_get_child_value(channels, c);

        if (!channel_read(channel, &measured->foreground[c]))
            return FALSE;
    }
    return TRUE;
}

gboolean fingerprint_cache_read(const char *folder, const LoomDataset *dataset,
                                const LoomCase *one, FingerprintCase *measured)
{
    g_autofree char *path = cache_path(folder, dataset, one);
    g_autofree char *text = NULL;

    *measured = (FingerprintCase){0};
    if (!path || !g_file_get_contents(path, &text, NULL, NULL))
        return FALSE;
    g_autoptr(GVariant) all =
        g_variant_parse(G_VARIANT_TYPE(CACHE_TYPE), text, NULL, NULL, NULL);
    if (all && case_read(all, dataset->n_channels, measured))
        return TRUE;
    fingerprint_case_clear(measured);
    return FALSE;
}
