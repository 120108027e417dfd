/* Every row of the edge-case table: what conforms is read with the numbers that nibabel 5 finds
 * (expected.json), voxel by voxel (edge-cases.sha256, made by edge_cases_sha256.py); what is
 * damaged or no image is refused with one line that names it. */
#include "loom_test.h"

#include <json-glib/json-glib.h>

#include <math.h>
#include <string.h>

#define CASES "../shared/data/edge-cases"

static JsonArray *table;      /* of expected.json */
static GHashTable *sha256_of; /* file -> hash */

static gboolean table_read(void)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autofree char *lines = NULL;
    g_autoptr(GError) error = NULL;

    if (!g_file_test(CASES "/expected.json", G_FILE_TEST_EXISTS)) {
        g_test_skip("'" CASES "' is not there");
        return FALSE;
    }
    if (table)
        return TRUE;
    json_parser_load_from_file(parser, CASES "/expected.json", &error);
    g_assert_no_error(error);
    table = json_array_ref(json_node_get_array(json_parser_get_root(parser)));
    g_file_get_contents("tests/golden/edge-cases.sha256", &lines, NULL, &error);
    g_assert_no_error(error);
    sha256_of = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_auto(GStrv) rows = g_strsplit(lines, "\n", -1);
    for (char **row = rows; *row && **row; row++)
        g_hash_table_insert(sha256_of, g_strdup(*row + 65), g_strndup(*row, 64));
    return TRUE;
}

/* Rows of that kind. */
static GPtrArray *rows_of(const char *kind)
{
    GPtrArray *rows = g_ptr_array_new();

    for (guint i = 0; i < json_array_get_length(table); i++) {
        JsonObject *row = json_array_get_object_element(table, i);

        if (g_str_equal(json_object_get_string_member(row, "kind"), kind))
            g_ptr_array_add(rows, row);
    }
    g_assert_cmpuint(rows->len, >, 0);
    return rows;
}

static char *path_of(JsonObject *row)
{
    return g_build_filename(CASES, json_object_get_string_member(row, "file"), NULL);
}

/* ---- valid -------------------------------------------------------------------------- */

static void header_compare(JsonObject *row, const LoomVolumeHeader *header)
{
    JsonArray *shape = json_object_get_array_member(row, "shape");
    JsonArray *spacing = json_object_get_array_member(row, "spacing");
    JsonArray *affine = json_object_get_array_member(row, "affine");
    const LoomGeometry *geometry = &header->geometry;

    g_assert_cmpuint(header->n_dims, ==, json_array_get_length(shape));
    for (guint i = 0; i < header->n_dims; i++)
        g_assert_cmpint(header->shape[i], ==, json_array_get_int_element(shape, i));
    g_assert_cmpstr(header->dtype, ==, json_object_get_string_member(row, "dtype"));
    g_assert_cmpstr(geometry->axes, ==, json_object_get_string_member(row, "orientation"));
    g_assert_cmpint(geometry->sform_code, ==, json_object_get_int_member(row, "sform_code"));
    g_assert_cmpint(geometry->qform_code, ==, json_object_get_int_member(row, "qform_code"));
    for (guint i = 0; i < MIN(header->n_dims, 3); i++) /* floats in the file: 24 bits */
        loom_assert_near(geometry->spacing_mm[i], json_array_get_double_element(spacing, i),
                         1e-5);
    for (guint i = 0; i < 3; i++)
        for (guint j = 0; j < 4; j++) {
            JsonArray *line = json_array_get_array_element(affine, i);
            const double wanted = json_array_get_double_element(line, j);

            /* a quaternion in floats: 1e-7 of the length of a grid, some 100 mm */
            loom_assert_near(geometry->affine[i][j], wanted, 1e-5 * (1 + fabs(wanted)));
        }
}

static void voxels_compare(JsonObject *row, const LoomTensor *volume)
{
    const float *x = loom_tensor_f32(volume);
    const gint64 n = loom_tensor_count(volume);
    const char *file = json_object_get_string_member(row, "file");
    const double scale = MAX(1, fabs(json_object_get_double_member(row, "max")));
    double low = INFINITY, high = -INFINITY, sum = 0;
    gint64 nonfinite = 0;

    for (gint64 v = 0; v < n; v++) {
        nonfinite += !isfinite(x[v]);
        if (!isfinite(x[v]))
            continue;
        low = MIN(low, (double)x[v]);
        high = MAX(high, (double)x[v]);
        sum += (double)x[v];
    }
    g_assert_cmpint(nonfinite, ==, json_object_get_int_member(row, "nonfinite"));
    /* the table's numbers have 7 digits */
    loom_assert_near(low, json_object_get_double_member(row, "min"), 1e-6 * scale);
    loom_assert_near(high, json_object_get_double_member(row, "max"), 1e-6 * scale);
    loom_assert_near(sum / (double)(n - nonfinite), json_object_get_double_member(row, "mean"),
                     1e-6 * scale);
    g_autofree char *found = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)x,
                                                         loom_tensor_bytes(volume));
    if (G_BYTE_ORDER == G_LITTLE_ENDIAN)
        g_assert_cmpstr(found, ==, g_hash_table_lookup(sha256_of, file));
}

static void test_valid(void)
{
    if (!table_read())
        return;
    g_autoptr(GPtrArray) rows = rows_of("valid");
    for (guint i = 0; i < rows->len; i++) {
        LoomVolumeHeader header;
        g_autofree char *path = path_of(rows->pdata[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(LoomTensor) volume = loom_volume_read(path, LOOM_NAN_KEEP, 0, NULL, &error);

        g_test_message("%s", path);
        g_assert_no_error(error);
        g_assert_true(loom_volume_read_header(path, &header, &error));
        header_compare(rows->pdata[i], &header);
        voxels_compare(rows->pdata[i], volume);
    }
    g_assert_cmpuint(rows->len, ==, g_hash_table_size(sha256_of));
}

/* ---- not valid ---------------------------------------------------------------------- */

static void assert_refused(const char *path)
{
    g_autofree char *start = g_strdup_printf("'%s': ", path);
    g_autoptr(GError) error = NULL;

    g_test_message("%s", path);
    g_assert_null(loom_volume_read(path, LOOM_NAN_KEEP, 0, NULL, &error));
    g_assert_true(error->domain == LOOM_ERROR);
    g_assert_true(g_str_has_prefix(error->message, start));
    g_assert_null(strchr(error->message, '\n'));
}

static void test_refused(void)
{
    static const char *const kinds[] = {"bad", "unusable"};

    if (!table_read())
        return;
    for (guint k = 0; k < G_N_ELEMENTS(kinds); k++) {
        g_autoptr(GPtrArray) rows = rows_of(kinds[k]);

        for (guint i = 0; i < rows->len; i++) {
            g_autofree char *path = path_of(rows->pdata[i]);

            assert_refused(path);
        }
    }
}

/* Readers may differ here; these are our answers.  Those that are read are base-image.nii.gz.
 */
static void test_either(void)
{
    static const char *const refuse[] = {"either-bitpix.nii",     "either-pixdim-negative.nii",
                                         "either-slope-inf.nii",  "either-sform-zero.nii",
                                         "either-quaternion.nii", NULL};
    g_autoptr(GError) error = NULL;

    if (!table_read())
        return;
    g_autoptr(GPtrArray) rows = rows_of("either");
    g_autoptr(LoomTensor) base =
        loom_volume_read(CASES "/base-image.nii.gz", LOOM_NAN_REFUSE, 0, NULL, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < rows->len; i++) {
        g_autofree char *path = path_of(rows->pdata[i]);

        if (g_strv_contains(refuse, json_object_get_string_member(rows->pdata[i], "file"))) {
            assert_refused(path);
            continue;
        }
        g_autoptr(LoomTensor) volume = loom_volume_read(path, LOOM_NAN_REFUSE, 0, NULL, &error);
        g_assert_no_error(error);
        g_assert_true(loom_test_equal(volume, base));
    }
}

/* ---- labels ------------------------------------------------------------------------- */

/* What fits base-image.nii.gz and what does not. */
static void test_labels(void)
{
    static const struct {
        const char *file, *reads, *fits; /* part of the message; NULL: it does */
    } labels[] = {
        {"base-label.nii.gz", NULL, NULL},
        {"label-empty.nii.gz", NULL, NULL},
        {"label-float-almost.nii.gz", NULL, NULL},
        {"label-shifted-0.0001mm.nii.gz", NULL, NULL},
        {"label-unknown-value.nii.gz", NULL, NULL}, /* no label set here: see test-dataset */
        {"label-one-slice-less.nii.gz", NULL, "34 x 52 x 35 voxels but"},
        {"label-shifted-1mm.nii.gz", NULL, "lie up to 1 mm apart"},
        {"label-other-spacing.nii.gz", NULL, "2 x 2 x 2 mm"},
        {"label-negative.nii.gz", "the value -1 at", NULL},
        {"label-float-half.nii.gz", "the value 1.5 at", NULL},
        {"int64-label.nii.gz", NULL, "49 x 54 x 9"},
    };
    LoomVolumeHeader base;

    if (!table_read())
        return;
    g_assert_true(loom_volume_read_header(CASES "/base-image.nii.gz", &base, NULL));
    for (guint i = 0; i < G_N_ELEMENTS(labels); i++) {
        g_autofree char *path = g_build_filename(CASES, labels[i].file, NULL);
        LoomGeometry grid;
        g_autoptr(GError) error = NULL;
        g_autoptr(LoomTensor) label = loom_volume_read_labels(path, 0, &grid, &error);

        if (labels[i].reads) {
            loom_assert_failed(label, error, LOOM_ERROR, LOOM_ERROR_FORMAT, labels[i].reads);
            continue;
        }
        g_assert_no_error(error);
        const gboolean fits =
            loom_geometry_check(&base.geometry, "base", &grid, path, 1e-2, &error);
        if (labels[i].fits)
            loom_assert_failed(fits, error, LOOM_ERROR, LOOM_ERROR_SHAPE, labels[i].fits);
        else
            g_assert_no_error(error);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/nifti/edge-cases/valid", test_valid);
    g_test_add_func("/nifti/edge-cases/refused", test_refused);
    g_test_add_func("/nifti/edge-cases/either", test_either);
    g_test_add_func("/nifti/edge-cases/labels", test_labels);
    const int result = loom_test_run();
    g_clear_pointer(&table, json_array_unref);
    g_clear_pointer(&sha256_of, g_hash_table_unref);
    return result;
}
