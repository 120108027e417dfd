/* The log of a run: what is kept of it when the run goes on, whatever became of the file. */
#include "graph/journal.h"
#include "loom_test.h"

#include <string.h>

typedef struct {
    char *folder, *path;
} Log;

static Log log_of(const char *text)
{
    Log log = {.folder = loom_test_folder()};

    log.path = g_build_filename(log.folder, "log.jsonl", NULL);
    g_assert_true(g_file_set_contents(log.path, text, -1, NULL));
    return log;
}

static void log_remove(Log *log)
{
    loom_test_folder_remove(log->folder);
    g_free(log->folder);
    g_free(log->path);
}

/* A journal that is opened to go on from @step; the log then has @want. */
static LoomJournal *goes_on(const Log *log, gint64 step, const char *want)
{
    LoomJournal *journal = loom_journal_new(log->folder);
    g_autofree char *text = NULL;
    GError *error = NULL;

    g_assert_true(loom_journal_open(journal, step, &error));
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(log->path, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, want);
    return journal;
}

static void test_steps(void)
{
    Log log = log_of("{\"kind\":\"step\",\"step\":1}\n{\"kind\":\"validation\",\"step\":2}\n"
                     "{\"kind\":\"step\",\"step\":3}\n");
    LoomJournal *journal = goes_on(
        &log, 2, "{\"kind\":\"step\",\"step\":1}\n{\"kind\":\"validation\",\"step\":2}\n");
    g_autofree char *latest = loom_journal_latest(journal, "step");

    g_assert_cmpstr(latest, ==, "{\"kind\":\"step\",\"step\":1}");
    loom_journal_close(journal);
    log_remove(&log);
}

static void test_damaged(void)
{
    Log log = log_of("{\"kind\":5,\"step\":1}\n{\"kind\":null,\"step\":1}\n{\"step\":1}\n"
                     "{\"kind\":\"step\",\"step\":[1]}\n{\"kind\":\"step\",\"step\":\"1\"}\n"
                     "\n[]\n{\"kind\":\"step\",\"step\":1}\n{\"kind\":\"step\",\"st");

    loom_journal_close(goes_on(&log, 2, "{\"kind\":\"step\",\"step\":1}\n"));
    log_remove(&log);
}

/* One that did not write adds what the one that did has not come to write. */
static void test_takes_over(void)
{
    const LoomField fields[] = {{"loss", 0.5, NULL}};
    Log log = log_of("{\"kind\":\"step\",\"step\":1}\n");
    LoomJournal *journal = loom_journal_new(log.folder);
    g_autofree char *text = NULL;

    g_assert_true(loom_journal_write(journal, "step", 1, fields, 1, NULL));
    g_assert_true(loom_journal_write(journal, "step", 2, fields, 1, NULL));
    g_assert_true(loom_journal_open(journal, 2, NULL));
    loom_journal_close(journal);
    g_assert_true(g_file_get_contents(log.path, &text, NULL, NULL));
    g_assert_cmpstr(
        text, ==,
        "{\"kind\":\"step\",\"step\":1}\n{\"kind\":\"step\",\"step\":2,\"loss\":0.5}\n");
    log_remove(&log);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/journal/steps", test_steps);
    g_test_add_func("/journal/damaged", test_damaged);
    g_test_add_func("/journal/takes-over", test_takes_over);
    return loom_test_run();
}
