/* journal - log.jsonl, written line by line and handed to the system after each, so that what a
 * killed run leaves ends with a whole line or one that is cut, never with a gap. */
#include "journal.h"

#include "core/lock.h"

#include <loom/store.h>

#include <errno.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

struct _LoomJournal {
    LoomLock lock; /* guards the rest */
    FILE *file;    /* NULL: another rank writes */
    char *path;
    GHashTable *latest; /* kind -> line */
    GPtrArray *kept;    /* beginning, line, ... of `kept_step`, which that rank may die with */
    gint64 kept_step;
};

/* Member @name of @object, if it is of @type; else NULL. */
static JsonNode *member_of(JsonObject *object, const char *name, GType type)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type ? node
                                                                                         : NULL;
}

/* Remembers a line under its kind.  FALSE: cut short, of a step that is to be repeated, or no
 * line of a journal. */
static gboolean line_keep(LoomJournal *journal, const char *line, gint64 keep_until)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *kind, *step;

    /* an empty line parses, but has no root */
    if (!json_parser_load_from_data(parser, line, -1, NULL) || !json_parser_get_root(parser)
        || !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        return FALSE;
    JsonObject *object = json_node_get_object(json_parser_get_root(parser));
    kind = member_of(object, "kind", G_TYPE_STRING);
    step = member_of(object, "step", G_TYPE_INT64);
    if (!kind || !step || json_node_get_int(step) > keep_until)
        return FALSE;
    g_hash_table_insert(journal->latest, json_node_dup_string(kind), g_strdup(line));
    return TRUE;
}

/* The whole log, (transfer full). */
static char *log_read(const LoomJournal *journal, GError **error)
{
    g_autoptr(GError) cause = NULL;
    char *text = NULL;

    if (!g_file_get_contents(journal->path, &text, NULL, &cause))
        return loom_fail_null(error, LOOM_ERROR_IO, "%s", cause->message);
    return text;
}

/* Rewrites the log without the lines of steps that will be done again. */
static gboolean journal_trim(LoomJournal *journal, gint64 keep_until, GError **error)
{
    g_autofree char *text = NULL;
    g_autoptr(GString) kept = g_string_new(NULL);

    if (!g_file_test(journal->path, G_FILE_TEST_EXISTS))
        return TRUE; /* there is none yet */
    if (!(text = log_read(journal, error)))
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        if (line_keep(journal, *line, keep_until))
            g_string_append_printf(kept, "%s\n", *line);
    return loom_file_replace(journal->path, kept->str, kept->len, error);
}

LoomJournal *loom_journal_new(const char *folder)
{
    LoomJournal *journal = g_new0(LoomJournal, 1);

    pthread_mutex_init(&journal->lock, NULL);
    journal->path = g_build_filename(folder, "log.jsonl", NULL);
    journal->latest = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    journal->kept = g_ptr_array_new_with_free_func(g_free);
    return journal;
}

static gboolean line_write(LoomJournal *journal, const char *line, GError **error)
{
    return (fprintf(journal->file, "%s\n", line) > 0 && fflush(journal->file) == 0)
           || loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be written: %s", journal->path,
                        g_strerror(errno));
}

/* What the rank that wrote before may not have come to write. */
static gboolean kept_write(LoomJournal *journal, gint64 keep_until, GError **error)
{
    g_autofree char *text = NULL;
    gboolean written = TRUE;

    if (journal->kept->len && journal->kept_step <= keep_until
        && !(text = log_read(journal, error)))
        written = FALSE;
    for (guint i = 0; text && written && i < journal->kept->len; i += 2)
        /* clocks and shares differ from rank to rank, kind and step do not */
        if (!strstr(text, journal->kept->pdata[i]))
            written = line_write(journal, journal->kept->pdata[i + 1], error);
    g_ptr_array_set_size(journal->kept, 0);
    return written;
}

gboolean loom_journal_open(LoomJournal *journal, gint64 keep_until, GError **error)
{
    LOOM_LOCKED(&journal->lock);
    if (keep_until >= 0 && !journal_trim(journal, keep_until, error))
        return FALSE;
    journal->file = fopen(journal->path, keep_until < 0 ? "we" : "ae");
    if (!journal->file)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be written: %s", journal->path,
                         g_strerror(errno));
    flock(fileno(journal->file), LOCK_EX | LOCK_NB); /* shows others that a run goes on */
    return kept_write(journal, keep_until, error);
}

void loom_journal_shut(LoomJournal *journal)
{
    LOOM_LOCKED(&journal->lock);
    g_clear_pointer(&journal->file, fclose);
}

void loom_journal_close(LoomJournal *journal)
{
    if (!journal)
        return;
    if (journal->file)
        fclose(journal->file);
    pthread_mutex_destroy(&journal->lock);
    g_ptr_array_unref(journal->kept);
    g_hash_table_unref(journal->latest);
    g_free(journal->path);
    g_free(journal);
}

static char *line_format(const char *kind, gint64 step, const LoomField *fields, guint n_fields)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "kind");
    json_builder_add_string_value(builder, kind);
    json_builder_set_member_name(builder, "step");
    json_builder_add_int_value(builder, step);
    for (guint i = 0; i < n_fields; i++) {
        if (g_str_equal(fields[i].name, "kind") || g_str_equal(fields[i].name, "step"))
            continue;
        json_builder_set_member_name(builder, fields[i].name);
        if (fields[i].text)
            json_builder_add_string_value(builder, fields[i].text);
        else if (!isfinite(fields[i].value))
            json_builder_add_null_value(builder);
        else if (fields[i].value == floor(fields[i].value) && fabs(fields[i].value) < 1e15)
            json_builder_add_int_value(builder, (gint64)fields[i].value);
        else
            json_builder_add_double_value(builder, fields[i].value);
    }
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

gboolean loom_journal_write(LoomJournal *journal, const char *kind, gint64 step,
                            const LoomField *fields, guint n_fields, GError **error)
{
    char *line = line_format(kind, step, fields, n_fields);

    LOOM_LOCKED(&journal->lock);
    g_hash_table_insert(journal->latest, g_strdup(kind), line);
    if (journal->file)
        return line_write(journal, line, error);
    if (journal->kept_step != step)
        g_ptr_array_set_size(journal->kept, 0);
    journal->kept_step = step;
    g_ptr_array_add(
        journal->kept,
        g_strdup_printf("{\"kind\":\"%s\",\"step\":%" G_GINT64_FORMAT ",", kind, step));
    g_ptr_array_add(journal->kept, g_strdup(line));
    return TRUE;
}

char *loom_journal_latest(LoomJournal *journal, const char *kind)
{
    LOOM_LOCKED(&journal->lock);
    return g_strdup(g_hash_table_lookup(journal->latest, kind));
}
