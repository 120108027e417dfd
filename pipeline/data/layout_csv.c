/* layout_csv - a table of cases: a row a case, a column a channel.
 *
 *   case,T1w,FLAIR,label,fold
 *   p01,a/t1.nii.gz,a/fl.nii.gz,a/seg.nii.gz,0
 *
 * Columns with a meaning: case, label, fold (in which the case validates), split (train,
 * validate, test), patient.  Every other one is a channel, unless `channels` chooses.  Paths
 * start from the folder of the table. */
#include "csv_rows.h"
#include "found.h"

#include "config/yaml.h"

#include <string.h>

enum { COLUMN_CASE, COLUMN_LABEL, COLUMN_FOLD, COLUMN_SPLIT, COLUMN_PATIENT, N_COLUMNS };
static const char *const columns[] = {"case", "label", "fold", "split", "patient", NULL};
G_STATIC_ASSERT(G_N_ELEMENTS(columns) == N_COLUMNS + 1);

typedef struct {
    const char *path;
    gint at[N_COLUMNS]; /* place of each column; -1: there is none */
    GArray *channels;   /* guint: places of the channels */
} Table;

static gboolean columns_find(Table *table, LoomFound *found, char *const *header,
                             GError **error)
{
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();

    for (guint k = 0; k < N_COLUMNS; k++)
        table->at[k] = -1;
    for (guint i = 0; header[i]; i++) {
        gboolean known = FALSE;

        for (guint earlier = 0; earlier < i; earlier++)
            if (g_str_equal(header[earlier], header[i]))
                return loom_fail(error, LOOM_ERROR_FORMAT, "%s:1: column '%s' comes twice",
                                 table->path, header[i]);
        for (guint k = 0; k < N_COLUMNS; k++)
            if (g_str_equal(header[i], columns[k])) {
                table->at[k] = (gint)i;
                known = TRUE;
            }
        if (known || !*header[i])
            continue;
        g_array_append_val(table->channels, i);
        g_strv_builder_add(names, header[i]);
    }
    found->channel_names = g_strv_builder_end(names);
    if (table->at[COLUMN_CASE] < 0 || !*found->channel_names)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%s:1: want the columns case, one a channel, and label", table->path);
    if (table->at[COLUMN_FOLD] >= 0 && table->at[COLUMN_SPLIT] >= 0)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%s:1: has 'fold' and 'split', want one of them", table->path);
    found->unlabelled = table->at[COLUMN_LABEL] < 0;
    return TRUE;
}

/* The text of a column with a meaning; NULL: there is no such column. */
static const char *cell_of(const Table *table, const LoomCsvRow *row, guint column)
{
    return table->at[column] < 0 ? NULL : row->cells[table->at[column]];
}

/* "a/b.nii.gz" from the table's folder; "" where the cell is empty. */
static char *path_of(const LoomFound *found, const char *cell)
{
    return *cell ? g_canonicalize_filename(cell, found->folder) : g_strdup("");
}

static gboolean fold_take(const Table *table, const LoomCsvRow *row, LoomFoundCase *one,
                          GError **error)
{
    const char *cell = cell_of(table, row, COLUMN_FOLD);

    return !cell || g_ascii_string_to_signed(cell, 10, 0, 999, &one->fold, NULL)
           || loom_fail(error, LOOM_ERROR_FORMAT,
                        "%s:%u: fold '%s' of case '%s' is no number from 0 to 999", table->path,
                        row->line, cell, one->files.id);
}

static gboolean part_take(const Table *table, const LoomCsvRow *row, LoomFoundCase *one,
                          GError **error)
{
    static const char *const words[] = {"train", "validate", "validation", "val", "test", NULL};
    static const LoomPart parts[] = {LOOM_PART_TRAIN, LOOM_PART_VALIDATE, LOOM_PART_VALIDATE,
                                     LOOM_PART_VALIDATE, LOOM_PART_NEITHER};
    const char *cell = cell_of(table, row, COLUMN_SPLIT);

    if (!cell)
        return TRUE;
    for (guint i = 0; words[i]; i++)
        if (g_str_equal(cell, words[i])) {
            one->part = parts[i];
            return TRUE;
        }
    g_autofree char *hint = loom_did_you_mean(cell, words);
    return loom_fail(error, LOOM_ERROR_FORMAT,
                     "%s:%u: split '%s' of case '%s'%s (there are: train, validate, test)",
                     table->path, row->line, cell, one->files.id, hint);
}

static gboolean row_take(const Table *table, const LoomCsvRow *row, LoomFound *found,
                         GError **error)
{
    const char *id = cell_of(table, row, COLUMN_CASE);
    const char *label = cell_of(table, row, COLUMN_LABEL);
    const char *patient = cell_of(table, row, COLUMN_PATIENT);
    LoomFoundCase *one;

    if (!*id || strpbrk(id, "/\n"))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%s:%u: case '%s': want a name without '/', results are called so",
                         table->path, row->line, id);
    one = loom_found_add(found, id, table->channels->len);
    for (guint c = 0; c < table->channels->len; c++)
        one->files.images[c] =
            path_of(found, row->cells[g_array_index(table->channels, guint, c)]);
    one->files.label = label ? path_of(found, label) : NULL;
    one->files.patient = patient && *patient ? g_strdup(patient) : NULL;
    return fold_take(table, row, one, error) && part_take(table, row, one, error);
}

static gboolean csv_read(LoomFound *found, const LoomDataOptions *options, GError **error)
{
    g_autoptr(GArray) rows = loom_csv_read(options->dataset, error);
    g_autoptr(GArray) channels = g_array_new(FALSE, FALSE, sizeof(guint));
    Table table = {.path = options->dataset, .channels = channels};

    if (!rows || !columns_find(&table, found, g_array_index(rows, LoomCsvRow, 0).cells, error))
        return FALSE;
    found->pattern = g_strdup_printf("the files that '%s' names", options->dataset);
    for (guint i = 1; i < rows->len; i++)
        if (!row_take(&table, &g_array_index(rows, LoomCsvRow, i), found, error))
            return FALSE;
    return TRUE;
}

const LoomLayoutKind loom_layout_csv = {"csv", "a table cases.csv", NULL, csv_read};
