/* What a data set is measured to be: histograms without sampling, boxes, axes, and that what
 * was measured once is believed only as long as its files are the same. */
#include "loom_test.h"

#include "fingerprint.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* ---- histograms --------------------------------------------------------------------- */

static void fill(Histogram *histogram, const float *values, gsize n)
{
    g_autoptr(HistogramCounts) counts = histogram_counts_new();

    for (gsize i = 0; i < n; i++)
        histogram_count(counts, values[i]);
    histogram_take(counts, histogram);
}

/* Hounsfield units are exact: numpy.percentile, .mean and .std of the same twelve numbers. */
static void test_whole_numbers(void)
{
    static const float values[] = {-1024, -1000, -79, -3, 0, -0.0f, 1, 7, 40, 304, 3071, 4095};
    g_auto(Histogram) histogram = {0};

    fill(&histogram, values, G_N_ELEMENTS(values));
    g_assert_cmpint(histogram.n, ==, 12);
    g_assert_true(histogram.exact);
    loom_assert_near(histogram.mean, 451, 1e-9);
    loom_assert_near(histogram_sd(&histogram), 1469.3577395129705, 1e-9);
    loom_assert_near(histogram_percentile(&histogram, 0), -1024, 0);
    loom_assert_near(histogram_percentile(&histogram, 0.5), -1022.68, 1e-9);
    loom_assert_near(histogram_percentile(&histogram, 50), 0.5, 1e-12);
    loom_assert_near(histogram_percentile(&histogram, 90), 2794.3, 1e-9);
    loom_assert_near(histogram_percentile(&histogram, 100), 4095, 0);
}

/* Fractions share bins: the middle of a bin is at most half its width off, 2^-12 of the value;
 * sums are of the values themselves. */
static void test_fractions(void)
{
    LoomRng rng = loom_rng(1, "histogram", 0);
    g_autofree float *values = g_new(float, 10001);
    g_autofree double *sorted = g_new(double, 10001);
    g_auto(Histogram) histogram = {0};

    for (guint i = 0; i < 10001; i++) {
        values[i] = (float)(1e6 + loom_rng_normal(&rng)); /* deviation far below the mean */
        sorted[i] = (double)values[i];
    }
    fill(&histogram, values, 10001);
    g_assert_false(histogram.exact);
    for (double p = 0.5; p < 100; p += 11.3)
        loom_assert_near(histogram_percentile(&histogram, p), plan_percentile(sorted, 10001, p),
                         1e6 / 4096);
    /* 3 / sqrt(10001) and 3 / sqrt(2 10001): three standard errors; float's step is 1/16 */
    loom_assert_near(histogram.mean, 1e6, 0.03 + 0.04);
    loom_assert_near(histogram_sd(&histogram), 1, 0.0212 + 0.04);
}

/* Two halves together are the whole. */
static void test_merge(void)
{
    static const float values[] = {3, -7.25f, 11, 0, 2, 2, 900.5f, -1e-3f, 5};
    g_auto(Histogram) all = {0}, a = {0}, b = {0}, none = {0}, merged = {0};
    const Histogram *parts[] = {&none, &a, &none, &b};

    fill(&all, values, 9);
    fill(&a, values, 4);
    fill(&b, values + 4, 5);
    fill(&none, values, 0);
    g_assert_true(isnan(none.mean) && isnan(histogram_percentile(&none, 50)));
    histogram_merge(parts, 4, &merged);
    g_assert_cmpint(merged.n, ==, 9);
    loom_assert_near(merged.mean, all.mean, 1e-12);
    loom_assert_near(merged.m2, all.m2, 1e-7); /* 8e5: 13 digits */
    loom_assert_near(merged.least, -7.25, 0);
    loom_assert_near(merged.most, 900.5, 0);
    for (double p = 0; p <= 100; p += 12.5)
        loom_assert_near(histogram_percentile(&merged, p), histogram_percentile(&all, p), 0);
}

/* ---- cases -------------------------------------------------------------------------- */

/* 6 x 5 x 4 voxels (i, j, k) of 1 x 2 x 3 mm; only i 2..4, j 1..2, k 1..3 is not 0 in one
 * channel or the other.  Label 1 at three voxels, one of them outside that box. */
static const gint64 size[3] = {6, 5, 4};

static gint64 at(gint64 i, gint64 j, gint64 k)
{
    return (k * size[1] + j) * size[0] + i;
}

static LoomGeometry geometry_of(const char *axes)
{
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, size, (const double[]){1, 2, 3});
    if (g_str_equal(axes, "RAS"))
        return geometry;
    /* i runs to inferior, j to the left: KiTS19's "IPL" is of this kind */
    memset(geometry.affine, 0, sizeof geometry.affine);
    geometry.affine[2][0] = -1;
    geometry.affine[1][1] = -2;
    geometry.affine[0][2] = -3;
    for (guint r = 0; r < 3; r++)
        for (guint c = 0; c < 4; c++)
            geometry.srow[r][c] = geometry.affine[r][c];
    geometry.sform_code = 1;
    geometry.qform_code = 0;
    memcpy(geometry.axes, axes, 4);
    return geometry;
}

typedef struct {
    char *folder;
    char *images[3], *label;
    LoomCase one;
    char *channels[3], *labels[3];
    LoomDataset dataset;
} Set;

static void volume_write(const char *path, const LoomTensor *volume, const char *axes)
{
    const LoomGeometry geometry = geometry_of(axes);
    g_autoptr(GError) error = NULL;

    loom_volume_write(path, volume, &geometry, &error);
    g_assert_no_error(error);
}

static void images_write(Set *set, const char *axes, float first)
{
    const gint64 shape[3] = {size[2], size[1], size[0]};
    g_autoptr(LoomTensor) a = loom_tensor_new(LOOM_F32, "DHW", shape, NULL);
    g_autoptr(LoomTensor) b = loom_tensor_new(LOOM_F32, "DHW", shape, NULL);
    g_autoptr(LoomTensor) label = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);

    loom_tensor_f32_mut(a)[at(2, 1, 1)] = first;
    loom_tensor_f32_mut(a)[at(3, 2, 2)] = 20;
    loom_tensor_f32_mut(b)[at(4, 2, 3)] = -5;
    loom_tensor_u8_mut(label)[at(2, 1, 1)] = 1;
    loom_tensor_u8_mut(label)[at(3, 2, 2)] = 1;
    loom_tensor_u8_mut(label)[at(0, 0, 0)] = 1; /* outside the box */
    volume_write(set->images[0], a, axes);
    volume_write(set->images[1], b, axes);
    volume_write(set->label, label, axes);
}

static Set *set_new(const char *axes)
{
    Set *set = g_new0(Set, 1);

    set->folder = loom_test_folder();
    set->images[0] = g_build_filename(set->folder, "x_0000.nii.gz", NULL);
    set->images[1] = g_build_filename(set->folder, "x_0001.nii.gz", NULL);
    set->label = g_build_filename(set->folder, "x.nii.gz", NULL);
    set->channels[0] = g_strdup("CT");
    set->channels[1] = g_strdup("PET");
    set->labels[0] = g_strdup("background");
    set->labels[1] = g_strdup("spot");
    set->one =
        (LoomCase){.id = (char *)(gpointer) "x", .images = set->images, .label = set->label};
    set->dataset = (LoomDataset){.folder = set->folder,
                                 .name = (char *)(gpointer) "set",
                                 .cases = &set->one,
                                 .n_cases = 1,
                                 .n_channels = 2,
                                 .channel_names = set->channels,
                                 .label_names = set->labels,
                                 .n_labels = 2,
                                 .policy = loom_volume_lenient};
    images_write(set, axes, 10);
    return set;
}

static void set_free(Set *set)
{
    loom_test_folder_remove(set->folder);
    g_free(set->folder);
    for (guint i = 0; i < 2; i++) {
        g_free(set->images[i]);
        g_free(set->channels[i]);
        g_free(set->labels[i]);
    }
    g_free(set->label);
    g_free(set);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Set, set_free)

static Fingerprint *look(const Set *set, const char *cache, GError **error)
{
    const FingerprintOptions options = {
        .cache = cache, .threads = 2, .memory = G_GUINT64_CONSTANT(1) << 30};

    return fingerprint_make(&set->dataset, &options, error);
}

static void test_box(void)
{
    g_autoptr(Set) set = set_new("RAS");
    g_autoptr(GError) error = NULL;
    g_autoptr(Fingerprint) print = look(set, NULL, &error);

    g_assert_no_error(error);
    for (guint a = 0; a < 3; a++) { /* D, H, W are k, j, i */
        g_assert_cmpint(print->cases[0].whole.shape[a], ==, size[2 - a]);
        loom_assert_near(print->cases[0].whole.spacing[a], 3.0 - a, 1e-6);
    }
    g_assert_cmpint(print->cases[0].cropped[0], ==, 3);
    g_assert_cmpint(print->cases[0].cropped[1], ==, 2);
    g_assert_cmpint(print->cases[0].cropped[2], ==, 3);
    loom_assert_near(print->kept, 18.0 / 120, 1e-12);
    g_assert_cmpint(print->labels[1], ==, 2);
    g_assert_cmpint(print->labels[0], ==, 16);
    /* foreground in the box: 10 and 20; 0 and 0 */
    g_assert_cmpint(print->foreground[0].n, ==, 2);
    loom_assert_near(print->foreground[0].mean, 15, 1e-12);
    loom_assert_near(print->foreground[0].least, 10, 0);
    loom_assert_near(histogram_sd(&print->foreground[0]), 5, 1e-12);
    g_assert_cmpint(print->foreground[1].n, ==, 2);
    loom_assert_near(print->foreground[1].most, 0, 0);
}

/* Turned to RAS+, D runs along the file's i, W along its k. */
static void test_axes(void)
{
    g_autoptr(Set) set = set_new("IPL");
    g_autoptr(GError) error = NULL;
    g_autoptr(Fingerprint) print = look(set, NULL, &error);

    g_assert_no_error(error);
    for (guint a = 0; a < 3; a++) {
        g_assert_cmpint(print->cases[0].whole.shape[a], ==, size[a]);
        loom_assert_near(print->cases[0].whole.spacing[a], a + 1.0, 1e-6);
    }
    g_assert_cmpint(print->cases[0].cropped[0], ==, 3);
    g_assert_cmpint(print->cases[0].cropped[1], ==, 2);
    g_assert_cmpint(print->cases[0].cropped[2], ==, 3);
}

/* What is kept says the same; a changed file, or a damaged record, is looked at anew. */
static void test_cache(void)
{
    g_autoptr(Set) set = set_new("RAS");
    g_autofree char *cache = g_build_filename(set->folder, "cache", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Fingerprint) first = look(set, cache, &error);
    g_autoptr(Fingerprint) second = look(set, cache, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(first->cached, ==, 0);
    g_assert_cmpuint(second->cached, ==, 1);
    g_assert_cmpuint(loom_test_folder_count(cache), ==, 1);
    for (guint k = 0; k < FINGERPRINT_LABELS; k++)
        g_assert_cmpint(second->labels[k], ==, first->labels[k]);
    for (guint a = 0; a < 3; a++)
        g_assert_cmpint(second->cases[0].cropped[a], ==, first->cases[0].cropped[a]);
    loom_assert_near(second->foreground[0].mean, first->foreground[0].mean, 0);
    loom_assert_near(second->foreground[0].m2, first->foreground[0].m2, 0);

    g_autoptr(GDir) dir = g_dir_open(cache, 0, NULL);
    g_autofree char *record = g_build_filename(cache, g_dir_read_name(dir), NULL);
    g_assert_true(g_file_set_contents(record, "('segloom fingerprint 1', (1, 2", -1, NULL));
    g_autoptr(Fingerprint) third = look(set, cache, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(third->cached, ==, 0);
    loom_assert_near(third->foreground[0].mean, 15, 1e-12);

    images_write(set, "RAS", 30000);
    g_autoptr(Fingerprint) fourth = look(set, cache, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(fourth->cached, ==, 0);
    loom_assert_near(fourth->foreground[0].mean, 15010, 1e-9);
}

static void test_refusals(void)
{
    g_autoptr(Set) set = set_new("RAS");
    g_autoptr(GError) label = NULL, none = NULL, gone = NULL, memory = NULL;
    const FingerprintOptions tight = {.threads = 1, .memory = 1 << 20};

    set->dataset.n_labels = 1;
    loom_assert_failed(look(set, NULL, &label), label, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "value 1 is none of the labels 0 to 0: 3 voxels");
    set->dataset.n_labels = 2;
    loom_assert_failed(fingerprint_make(&set->dataset, &tight, &memory), memory, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "case 'x': to look at it takes");
    set->one.label = NULL;
    loom_assert_failed(look(set, NULL, &none), none, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "case 'x': it has no label map to learn from");
    set->one.label = set->label;
    g_assert_cmpint(g_unlink(set->images[1]), ==, 0);
    loom_assert_failed(look(set, NULL, &gone), gone, LOOM_ERROR, LOOM_ERROR_IO,
                       "x_0001.nii.gz");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fingerprint/histogram/whole-numbers", test_whole_numbers);
    g_test_add_func("/fingerprint/histogram/fractions", test_fractions);
    g_test_add_func("/fingerprint/histogram/merge", test_merge);
    g_test_add_func("/fingerprint/case/box", test_box);
    g_test_add_func("/fingerprint/case/axes", test_axes);
    g_test_add_func("/fingerprint/cache", test_cache);
    g_test_add_func("/fingerprint/refusals", test_refusals);
    return loom_test_run();
}
