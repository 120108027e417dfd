/* data_folder - small data sets on disk, of any layout. */
#include "data_folder.h"

#include "config/yaml.h"
#include "loom_test.h"
#include "nifti_bytes.h"
#include "plugin/instance.h"

#include <glib/gstdio.h>
#include <string.h>

char *data_folder;

/* ---- making them -------------------------------------------------------------------- */

void data_folder_begin(void)
{
    g_clear_pointer(&data_folder, g_free);
    data_folder = g_dir_make_tmp("loom-layouts-XXXXXX", NULL);
}

static void parents_make(const char *name)
{
    g_autofree char *path = g_build_filename(data_folder, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(parent, 0700), ==, 0);
}

void data_folder_end(void)
{
    nifti_remove(data_folder);
    g_clear_pointer(&data_folder, g_free);
}

void text_put(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(data_folder, name, NULL);

    parents_make(name);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static double value_v(gint64 v)
{
    return (double)(v % 4);
}

void volume_put(const char *name, gint64 volumes)
{
    NiftiFields fields = nifti_fields(3, 2, 2);

    if (volumes > 1) {
        fields.dim[0] = 4;
        fields.dim[4] = volumes;
    }
    g_autoptr(GByteArray) plain = nifti_file(&fields, value_v);
    g_autoptr(GByteArray) packed = nifti_gzip(plain->data, plain->len);
    parents_make(name);
    g_free(nifti_write(data_folder, name, g_str_has_suffix(name, ".gz") ? packed : plain));
}

void volumes_put(const char *const *names)
{
    for (; *names; names++)
        volume_put(*names, 1);
}

void file_remove(const char *name)
{
    g_autofree char *path = g_build_filename(data_folder, name, NULL);

    g_assert_cmpint(g_unlink(path), ==, 0);
}

LoomDataset *data_open(const char *table, const char *keys, GError **error)
{
    g_autofree char *text =
        g_strdup_printf("{dataset: '%s%s'%s%s}", data_folder, table, *keys ? ", " : "", keys);
    g_autoptr(LoomNode) node = loom_yaml_parse(text, strlen(text), "test", "/", error);
    LoomDataOptions options = {0};
    LoomDataset *dataset;

    g_assert_nonnull(node);
    if (!loom_params_fill(loom_data_params, &options, node, NULL, "data", NULL, error))
        return NULL;
    dataset = loom_dataset_open(&options, error);
    loom_params_clear(loom_data_params, &options);
    return dataset;
}

void data_refused(const char *table, const char *keys, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomDataset) dataset = data_open(table, keys, &error);

    g_assert_null(dataset);
    g_assert_nonnull(error);
    if (!strstr(error->message, text))
        g_error("'%s' does not hold '%s'", error->message, text);
    g_assert_null(strchr(error->message, '\n'));
}

void data_is(const char *table, const char *keys, const char *layout, const char *cases)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomDataset) dataset = data_open(table, keys, &error);
    g_autoptr(GString) found = g_string_new(NULL);

    g_assert_no_error(error);
    for (guint i = 0; i < dataset->n_cases; i++)
        g_string_append_printf(found, "%s%s%c", i ? " " : "", dataset->cases[i].id,
                               dataset->in_train[i] ? '+' : '-');
    g_assert_cmpstr(found->str, ==, cases);
    g_assert_cmpstr(dataset->layout, ==, layout);
}
