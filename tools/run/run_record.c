/* run_record - what a run has left in its folder, read back: see run_record.h. */
#include "run_record.h"

#include "run_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* ---- files -------------------------------------------------------------------------- */

static void miss(RunRecord *record, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void miss(RunRecord *record, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(record->missing, g_strdup_vprintf(format, args));
    va_end(args);
}

/* The text of a file of the folder; NULL: it is not there, which is noted with @without. */
static char *file_read(RunRecord *record, const char *name, const char *without)
{
    g_autofree char *path = g_build_filename(record->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, &error))
        miss(record, "%s: %s", error->code == G_FILE_ERROR_NOENT ? name : error->message,
             without);
    return text;
}

static JsonObject *object_read(RunRecord *record, const char *name, const char *without)
{
    g_autofree char *text = file_read(record, name, without);
    JsonObject *object = text ? json_object_parse(text) : NULL;

    if (text && !object)
        miss(record, "%s cannot be read: %s", name, without);
    return object;
}

static void config_read(RunRecord *record)
{
    g_autoptr(GError) error = NULL;

    record->config_text = file_read(record, "config.yaml", "the config is not known");
    if (!record->config_text)
        return;
    record->config = loom_yaml_parse(record->config_text, strlen(record->config_text),
                                     "config.yaml", record->folder, &error);
    if (!record->config)
        miss(record, "%s: the graphs cannot be drawn", error->message);
}

static void log_read(RunRecord *record)
{
    g_autofree char *text = file_read(record, "log.jsonl", "there are no records of training");
    guint cut = 0;

    if (!text)
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        JsonObject *object = **line ? json_object_parse(*line) : NULL;

        if (object)
            g_ptr_array_add(record->records, object);
        cut += **line && !object;
    }
    if (cut)
        miss(record, "log.jsonl: %u %s cut short and left out", cut,
             cut == 1 ? "line is" : "lines are");
}

static CsvTable *table_read(RunRecord *record, const char *name, const char *without)
{
    g_autofree char *path = g_build_filename(record->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    CsvTable *table = csv_table_read(path, &error);

    if (!table)
        miss(record, "%s: %s", g_file_test(path, G_FILE_TEST_EXISTS) ? error->message : name,
             without);
    else if (table->cut)
        miss(record, "%s: %u rows have another number of cells and are left out", name,
             table->cut);
    return table;
}

/* ---- how it ended ------------------------------------------------------------------- */

gboolean run_record_going(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "log.jsonl", NULL);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    gboolean locked;

    if (fd < 0)
        return FALSE;
    locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return locked;
}

gint64 run_record_size(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "log.jsonl", NULL);
    GStatBuf status;

    return g_stat(path, &status) == 0 ? (gint64)status.st_size : -1;
}

static RunOutcome outcome_of(const char *word)
{
    static const struct {
        const char *word;
        RunOutcome outcome;
    } outcomes[] = {{"done", RUN_DONE},
                    {"stopped", RUN_STOPPED},
                    {"failed", RUN_FAILED},
                    {"cut off", RUN_CUT_OFF}};

    for (guint i = 0; word && i < G_N_ELEMENTS(outcomes); i++)
        if (g_str_equal(word, outcomes[i].word))
            return outcomes[i].outcome;
    return RUN_SILENT;
}

static void end_find(RunRecord *record, gboolean going)
{
    JsonObject *start = json_last_item(json_list(record->manifest, "starts"));
    JsonObject *end = json_child(start, "end");
    const double steps = json_value(record->manifest, "steps");
    double step = 0;

    for (guint i = 0; i < record->records->len; i++)
        step = fmax(step, json_value(record->records->pdata[i], "step"));
    record->outcome = going ? RUN_GOING : outcome_of(json_text(end, "outcome"));
    if (!going) {
        record->reason = g_strdup(json_text(end, "reason"));
        step = fmax(step, json_value(end, "step"));
    }
    record->step = isfinite(step) && fabs(step) < 1e15 ? (gint64)step : 0;
    record->steps = isfinite(steps) && fabs(steps) < 1e15 ? (gint64)steps : 0;
}

RunRecord *run_record_read(const char *folder, GError **error)
{
    g_autoptr(RunRecord) record = g_new0(RunRecord, 1);

    record->folder = g_canonicalize_filename(folder, NULL);
    record->name = g_path_get_basename(record->folder);
    record->records = g_ptr_array_new_with_free_func((GDestroyNotify)json_object_unref);
    record->missing = g_ptr_array_new_with_free_func(g_free);
    if (!g_file_test(folder, G_FILE_TEST_IS_DIR))
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s' is no folder", folder);
    if (!run_folder_used(record->folder)) {
        g_autofree char *fold = g_build_filename(record->folder, "fold_0", NULL);

        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "'%s' holds no run: want a folder that 'segloom run' made, with "
                              "log.jsonl and manifest.json in it%s",
                              folder,
                              g_file_test(fold, G_FILE_TEST_IS_DIR)
                                  ? "; of a cross-validation, one of its fold_0, fold_1, ..."
                                  : "");
    }
    /* whether it goes on is asked first: if it ends while this reads, the end is not missed */
    const gboolean going = run_record_going(record->folder);
    record->manifest = object_read(record, "manifest.json",
                                   "machine, versions and how the run ended are not known");
    config_read(record);
    log_read(record);
    record->steps_table = table_read(record, "steps.csv", "there is no value for every step");
    record->metrics_table = table_read(record, "metrics.csv", "there are no scores of cases");
    record->timing = object_read(record, "timing.json", "where the time went is not known");
    record->overlays = object_read(
        record, "overlays/overlays.json",
        "there are no pictures; the stage 'overlay' after the predictions draws them");
    end_find(record, going);
    return g_steal_pointer(&record);
}

void run_record_free(RunRecord *record)
{
    if (!record)
        return;
    g_free(record->folder);
    g_free(record->name);
    g_free(record->reason);
    g_clear_pointer(&record->manifest, json_object_unref);
    g_clear_pointer(&record->timing, json_object_unref);
    g_clear_pointer(&record->overlays, json_object_unref);
    g_free(record->config_text);
    loom_node_free(record->config);
    g_ptr_array_unref(record->records);
    csv_table_free(record->steps_table);
    csv_table_free(record->metrics_table);
    g_ptr_array_unref(record->missing);
    g_free(record);
}
