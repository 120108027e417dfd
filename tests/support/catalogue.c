/* catalogue - see catalogue.h. */
#include "catalogue.h"

#include "typed.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>

#include <string.h>

char *catalogue_folder;

/* ---- a data set that has nothing wrong ----------------------------------------------- */

double catalogue_image(gint64 v)
{
    return (double)(v * 7 % 251) + 1;
}

double catalogue_label(gint64 v)
{
    return v % 7 == 3;
}

char *catalogue_text(const char *name, const char *text, gssize length)
{
    char *path = g_build_filename(catalogue_folder, name, NULL);

    g_assert_true(g_file_set_contents(path, text, length, NULL));
    return path;
}

void catalogue_json(const char *labels, const char *channels, guint n, gboolean gzip)
{
    g_autofree char *json = g_strdup_printf(
        "{\"channel_names\": {%s}, \"labels\": {%s}, \"numTraining\": %u, \"file_ending\": "
        "\"%s\"}",
        channels, labels, n, gzip ? ".nii.gz" : ".nii");
    g_free(catalogue_text("dataset.json", json, -1));
}

/* Case @i; no two have the same grid. */
NiftiFields catalogue_case(guint i)
{
    NiftiFields fields = nifti_fields(8, 8, 8);

    fields.pixdim[3] = fields.srow[2][2] = 1 + i / 8.0;
    return fields;
}

void catalogue_file(const char *kind, guint i, const NiftiFields *fields,
                    double (*value)(gint64), const CatalogueRow *row, CatalogueDamage damage)
{
    g_autofree char *name =
        g_strdup_printf("%s/a%02u%s%s", kind, i, *kind == 'i' ? "_0000" : "",
                        row && row->gzip ? ".nii.gz" : ".nii");
    g_autoptr(GByteArray) bytes = nifti_file(fields, value);
    g_autoptr(GByteArray) packed =
        row && row->gzip ? nifti_gzip(bytes->data, bytes->len) : g_byte_array_ref(bytes);

    if (damage)
        damage(packed);
    g_free(nifti_write(catalogue_folder, name, packed));
}

/* Cases a00 to a03; a01 is the one that @row bends. */
static void data_make(const CatalogueRow *row)
{
    g_autofree char *images = g_build_filename(catalogue_folder, "imagesTr", NULL);
    g_autofree char *labels = g_build_filename(catalogue_folder, "labelsTr", NULL);

    g_assert_cmpint(g_mkdir(images, 0700) | g_mkdir(labels, 0700), ==, 0);
    catalogue_json("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", CASES, row->gzip);
    for (guint i = 0; i < CASES; i++) {
        NiftiFields image = catalogue_case(i), label = catalogue_case(i);

        image.intercept = (double)i - 1; /* no two have the same voxels */
        if (i != 1) {
            catalogue_file("imagesTr", i, &image, catalogue_image, row, NULL);
            catalogue_file("labelsTr", i, &label, catalogue_label, row, NULL);
            continue;
        }
        if (row->image)
            row->image(&image);
        if (row->label)
            row->label(&label);
        if (row->both) {
            row->both(&image);
            row->both(&label);
        }
        catalogue_file("imagesTr", i, &image, row->value ? row->value : catalogue_image, row,
                       row->damage);
        catalogue_file("labelsTr", i, &label,
                       row->label_value ? row->label_value : catalogue_label, row, NULL);
    }
    if (row->arrange)
        row->arrange();
}

static void config_make(const CatalogueRow *row)
{
    g_autofree char *text =
        row->yaml
            ? g_strdup(row->yaml)
            : g_strdup_printf("segloom: 1\ndata: {dataset: '.', folds: 2%s%s}\n" GRAPHS RUN,
                              row->data ? ", " : "", row->data ? row->data : "");
    g_free(catalogue_text("c.yaml", text, -1));
}

/* ---- running them -------------------------------------------------------------------- */

static const char *member(JsonObject *problem, const char *name)
{
    return json_object_get_null_member(problem, name)
               ? ""
               : json_object_get_string_member(problem, name);
}

/* Is the row's problem among them? */
static gboolean row_found(const CatalogueRow *row, JsonArray *problems)
{
    for (guint i = 0; i < json_array_get_length(problems); i++) {
        JsonObject *problem = json_array_get_object_element(problems, i);

        if (g_str_has_prefix(member(problem, "code"), row->code)
            && strstr(member(problem, "text"), row->text))
            return TRUE;
    }
    return FALSE;
}

/* @again: as text too. */
static void row_check(const CatalogueRow *row, gboolean again)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;

    catalogue_folder = loom_test_folder();
    config_make(row);
    data_make(row);
    g_auto(Typed) json = typed_run(catalogue_folder, "check c.yaml --json", NULL);
    g_auto(Typed) text = {0};
    if (again)
        text = typed_run(catalogue_folder, "check c.yaml", NULL);
    json_parser_load_from_data(parser, json.out, -1, &error);
    g_assert_no_error(error);
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    JsonArray *problems = json_object_get_array_member(root, "problems");
    const gint64 errors = json_object_get_int_member(root, "errors");

    if (row->alone)
        g_assert_cmpuint(json_array_get_length(problems), ==, 1);
    if (row->code ? !row_found(row, problems)
                  : errors || json_object_get_int_member(root, "warnings"))
        g_error("row %u, %s: %s", row->row, row->code ? row->code : "nothing", json.out);
    const gint wanted = row->fails || (row->code && *row->code == 'E') ? 2 : 0;
    if (json.code != wanted || (again && text.code != wanted) || (errors > 0) != (wanted == 2))
        g_error("row %u, %s ends with %d and %d, want %d: %s", row->row,
                row->code ? row->code : "nothing", json.code, text.code, wanted, json.out);
    if (row->code && again)
        typed_assert_in(text.out, row->code);
    loom_test_folder_remove(catalogue_folder);
    g_clear_pointer(&catalogue_folder, g_free);
}

/* Ten rows of a table. */
typedef struct {
    const CatalogueRow *rows;
    guint n, from;
} Ten;

static void ten_check(gconstpointer data)
{
    const Ten *ten = data;
    guint n = 0;

    for (guint i = 0; i < ten->n; i++) {
        const CatalogueRow *row = &ten->rows[i];

        if (row->row < ten->from || row->row >= ten->from + 10)
            continue;
        row_check(row, i == 0 || row[-1].row != row->row);
        n++;
    }
    g_assert_cmpuint(n, >, 0);
}

void catalogue_add(const CatalogueRow *rows, guint n)
{
    for (guint from = rows[0].row / 10 * 10; from <= rows[n - 1].row; from += 10) {
        g_autofree char *path = g_strdup_printf("/catalogue/rows-%02u", from);
        const Ten ten = {rows, n, from};

        g_test_add_data_func_full(path, g_memdup2(&ten, sizeof ten), ten_check, g_free);
    }
}
