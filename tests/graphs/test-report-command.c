/* segloom report as a person types it: of a run that is done, that failed, that goes on, of
 * what is left of one; the page is whole, and asks nothing of anybody. */
#include "loom_test.h"
#include "phantom_set.h"
#include "typed.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    char *folder;
} Place;

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *set = NULL;

    place->folder = loom_test_folder();
    set = g_build_filename(place->folder, "s", NULL);
    phantom_set_make(set, 6);
    typed_config(place->folder, "c.yaml", NULL, NULL);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
}

static char *text_of(const Place *place, const char *name)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static void text_put(const Place *place, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

/* ---- is it a page? ------------------------------------------------------------------ */

/* The end of a tag that begins at @at: behind its '>', which may stand in quotes before. */
static const char *tag_end(const char *at)
{
    char quote = 0;

    for (; *at && (quote || *at != '>'); at++)
        if (quote ? *at == quote : *at == '"' || *at == '\'')
            quote = quote ? 0 : *at;
    g_assert_cmpint(*at, ==, '>');
    return at + 1;
}

/* Every element that is begun is ended, in order; every & begins a character reference. */
static void assert_well_formed(const char *page)
{
    static const char *const empty[] = {"meta", "br", "img", "!DOCTYPE", NULL};
    g_autoptr(GPtrArray) open = g_ptr_array_new_with_free_func(g_free);

    for (const char *at = strchr(page, '<'); at; at = strchr(at, '<')) {
        const char *end = tag_end(at);
        const gboolean ends = at[1] == '/';
        const char *begin = at + (ends ? 2 : 1);
        g_autofree char *name = g_strndup(begin, strcspn(begin, " />\n"));

        if (ends) {
            g_assert_cmpuint(open->len, >, 0);
            g_assert_cmpstr(name, ==, open->pdata[open->len - 1]);
            g_ptr_array_set_size(open, (gint)open->len - 1);
        } else if (end[-2] != '/' && !g_strv_contains(empty, name)) {
            g_ptr_array_add(open, g_strdup(name));
        }
        at = g_str_equal(name, "style") && !ends ? strstr(end, "</style>") : end;
    }
    g_assert_cmpuint(open->len, ==, 0);
    for (const char *at = strchr(page, '&'); at; at = strchr(at + 1, '&'))
        g_assert_true(strspn(at + 1, "abcdefghijklmnopqrstuvwxyz#0123456789")
                      == strcspn(at + 1, ";"));
}

/* Nothing is fetched and nothing runs. */
static void assert_alone(const char *page)
{
    static const char *const none[] = {"http://", "https://", "<script", "javascript:", "<link",
                                       "@import", "url(",     " onload", NULL};

    for (const char *const *part = none; *part; part++)
        if (strstr(page, *part))
            g_error("'%s' is in the page", *part);
}

static guint count_of(const char *text, const char *part)
{
    guint n = 0;

    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

static char *report(const Place *place, const char *folder)
{
    g_autofree char *line = g_strdup_printf("report %s", folder);
    g_auto(Typed) typed = typed_run(place->folder, line, NULL);
    g_autofree char *name = g_strdup_printf("%s/report.html", folder);

    g_assert_cmpint(typed.code, ==, 0);
    g_assert_cmpstr(typed.err, ==, "");
    typed_assert_in(typed.out, name);
    char *page = text_of(place, name);
    assert_well_formed(page);
    assert_alone(page);
    return page;
}

/* ---- runs --------------------------------------------------------------------------- */

static void test_done(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const parts[] = {"<strong>It finished</strong> after step 8 of 8",
                                        "Dice of the latest validation",
                                        "<figcaption>Loss",
                                        "ball, training patches",
                                        "ball, validation",
                                        "Learning rate",
                                        "volume_error",
                                        "mean precision",
                                        "patches that hold it",
                                        "The bottleneck is lane <b>batch</b>",
                                        "loss(sum(dice, cross_entropy))",
                                        "queue of 4, from flip",
                                        "data:image/png;base64,iVBOR",
                                        "All, the worst first",
                                        "The slice with most foreground, each class",
                                        "segloom run ",
                                        "SHA-256 of the config",
                                        "stage_overlay.so",
                                        "decay: poly",
                                        "prefers-color-scheme: dark",
                                        "@media print",
                                        "class=\"skip\"",
                                        "<caption>",
                                        NULL};
    g_auto(Typed) typed = typed_run(place->folder, "run c.yaml -o r", NULL);

    g_assert_cmpint(typed.code, ==, 0);
    typed_assert_in(typed.out, "overlays/ball_");
    g_autofree char *page = report(place, "r");
    for (const char *const *part = parts; *part; part++)
        typed_assert_in(page, *part);
    g_assert_null(strstr(page, "What is not here"));
    g_assert_null(strstr(page, "http-equiv"));
    g_assert_cmpuint(count_of(page, "<img "), ==, 2); /* 6 cases, 5 folds: two validate */

    g_auto(Typed) elsewhere = typed_run(place->folder, "report r -o page.html", NULL);
    g_assert_cmpint(elsewhere.code, ==, 0);
    g_assert_cmpstr(elsewhere.out, ==, "page.html\n");
    g_autofree char *other = text_of(place, "page.html");
    assert_well_formed(other);
}

/* The images of all cases but two are cut short: no header tells, and reading them ends the
 * run. */
static void test_failed(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    for (guint i = 0; i < 4; i++) {
        g_autofree char *name = g_strdup_printf("s/imagesTr/ball_%03u_0000.nii.gz", i);
        g_autofree char *path = g_build_filename(place->folder, name, NULL);
        GStatBuf status;

        g_assert_cmpint(g_stat(path, &status), ==, 0);
        g_assert_cmpint(truncate(path, status.st_size - 100), ==, 0);
    }
    g_auto(Typed) typed = typed_run(place->folder, "run c.yaml -o f", NULL);
    g_assert_cmpint(typed.code, ==, 1);
    g_autofree char *page = report(place, "f");
    typed_assert_in(page, "<strong>It failed</strong> after step ");
    typed_assert_in(page, "_0000.nii.gz");
    typed_assert_in(page, "--resume");
}

/* ---- what is left of one ------------------------------------------------------------ */

/* Whatever a file holds shows as it is; pieces that are not there are named. */
static void test_hostile(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    text_put(place, "h/manifest.json",
             "{\"steps\": 1e300, \"seed\": {}, \"dataset\": {\"name\": \"<script>a</script>\"},"
             " \"starts\": [3, {\"time\": \"<b>\", \"end\": {\"outcome\": \"failed\", "
             "\"reason\": \"'<img src=x onerror=a>' & \\u0007\"}}], \"modules\": [],"
             " \"versions\": {\"<i>\": \"</td>\", \"x\": null}}");
    text_put(
        place, "h/config.yaml",
        "graphs: {t: {a: {use: \"</pre><script>\", from: b}, b: {use: [], from: a}, c: 3}, "
        "u: []}");
    text_put(
        place, "h/log.jsonl",
        "{\"kind\":\"step\",\"step\":1,\"loss\":null,\"dice/<u>\":0.5}\n{\"kind\":\"metrics\","
        "\"step\":2,\"dice\":0.5,\"dice/<u>\":\"no number\"}\n[]\n{\"kind\":3}\n{\"step\":");
    text_put(place, "h/steps.csv", "step,loss,rate\n1,1e-300,\n2,1e300,-1\nx,2,\n3,\n");
    text_put(
        place, "h/metrics.csv",
        "step,case,class,label,dice,precision,recall\n2,\"<a href=x>\",1,\"<u>\",2,-5,7\n");
    text_put(
        place, "h/timing.json",
        "{\"starts\": [3, {\"from_step\": 0, \"step\": 2, \"seconds\": 1}, {\"seconds\": "
        "\"<b>\"}], "
        "\"graphs\": [7, {\"graph\": \"<t>\", \"main\": true, \"runs\": 1, \"seconds\": 0, "
        "\"lanes\": [{\"lane\": \"<l>\", \"workers\": -3, \"stages\": [1, {\"stage\": \"<s>\", "
        "\"calls\": 1e300, \"seconds\": 1e300}]}, {}]}]}");
    text_put(
        place, "h/overlays/overlays.json",
        "{\"step\": 2, \"most\": \"errors\", \"classes\": [\"bg\", \"<u>\", 3], \"cases\": [0, "
        "{\"case\": \"<a>\", "
        "\"dice\": 0.1, \"file\": \"../../h/manifest.json\"}, {\"case\": \"<c>\", \"dice\": "
        "0.2, \"voxels\": 0, \"counts\": [1], \"file\": \"x\\\"y.png\"}]}");
    g_autofree char *page = report(place, "h");
    typed_assert_in(page, "&lt;script&gt;a&lt;/script&gt;");
    typed_assert_in(page, "&#39;&lt;img src=x onerror=a&gt;&#39; &amp; \xef\xbf\xbd");
    typed_assert_in(page, "<strong>It failed</strong>");
    typed_assert_in(page, "log.jsonl: 2 lines are cut short");
    typed_assert_in(page, "steps.csv: 1 rows have another number of cells");
    typed_assert_in(page, "overlays/x&quot;y.png, is not there");
    typed_assert_in(page, "Of 3 starts, from step 0 to step 0: step 0 to 0 in ");
    typed_assert_in(page, ", step 0 to 2 in ");
    typed_assert_in(page, "After step 2. The slice with most voxels that are wrong");
    g_assert_null(strstr(page, "nan"));
    g_assert_null(strstr(page, "\"inf"));
    g_assert_cmpuint(count_of(page, "<img"), ==, 0);

    text_put(place, "e/log.jsonl", ""); /* was killed before its first line */
    g_autofree char *empty = report(place, "e");
    typed_assert_in(empty, "ended without a word");
    typed_assert_in(empty,
                    "manifest.json: machine, versions and how the run ended are not known");
    typed_assert_in(empty, "No step has been recorded yet.");
    typed_assert_in(empty, "No validation has come to its end yet.");
}

static void test_wrong(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_auto(Typed) nowhere = typed_run(place->folder, "report nowhere", NULL);
    g_auto(Typed) none = typed_run(place->folder, "report s", NULL);
    g_auto(Typed) nothing = typed_run(place->folder, "report", NULL);

    g_assert_cmpint(nowhere.code, ==, 2);
    typed_assert_in(nowhere.err, "segloom: 'nowhere' is no folder");
    g_assert_cmpint(none.code, ==, 2);
    typed_assert_in(none.err,
                    "segloom: 's' holds no run: want a folder that 'segloom run' made");
    text_put(place, "cv/fold_0/log.jsonl", "");
    g_auto(Typed) folds = typed_run(place->folder, "report cv", NULL);
    g_assert_cmpint(folds.code, ==, 2);
    typed_assert_in(folds.err, "of a cross-validation, one of its fold_0, fold_1, ...");
    g_assert_cmpint(nothing.code, ==, 2);
    typed_assert_in(nothing.err, "wants RUN");
}

/* ---- a run that goes on ------------------------------------------------------------- */

/* Waits, as long as ctest lets it, until the page has @part. */
static void wait_for(const Place *place, const char *name, const char *part)
{
    g_autofree char *path = g_build_filename(place->folder, name, NULL);
    gboolean found = FALSE;

    while (!found) {
        g_autofree char *text = NULL;

        g_usleep(20000);
        found = g_file_get_contents(path, &text, NULL, NULL) && strstr(text, part);
        if (text)
            assert_well_formed(text); /* whole at any moment */
    }
}

/* A log that is locked is of a run that goes on: the page loads itself again, and is written
 * when the log has grown, a last time when the lock is gone. */
static void test_follow(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autofree char *program = typed_beside("segloom");
    char *argv[] = {program, (char *)(guintptr) "report", (char *)(guintptr) "--follow",
                    (char *)(guintptr) "g", NULL};
    g_autoptr(GError) error = NULL;
    int status;
    GPid pid;

    text_put(place, "g/log.jsonl", "{\"kind\":\"step\",\"step\":1,\"loss\":0.5}\n");
    g_autofree char *log = g_build_filename(place->folder, "g", "log.jsonl", NULL);
    const int fd = open(log, O_WRONLY | O_APPEND | O_CLOEXEC);
    g_assert_cmpint(flock(fd, LOCK_EX), ==, 0);
    g_spawn_async(place->folder, argv, NULL,
                  G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &pid,
                  &error);
    g_assert_no_error(error);
    wait_for(place, "g/report.html", "<strong>It is running</strong> after step 1");
    g_autofree char *page = text_of(place, "g/report.html");
    typed_assert_in(page, "<meta http-equiv=\"refresh\" content=\"5\">");
    const char line[] = "{\"kind\":\"step\",\"step\":2,\"loss\":0.4}\n";
    g_assert_cmpint(write(fd, line, strlen(line)), ==, (gssize)strlen(line));
    wait_for(place, "g/report.html", "after step 2");
    close(fd);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    g_autofree char *last = text_of(place, "g/report.html");
    g_assert_null(strstr(last, "http-equiv"));
    typed_assert_in(last, "ended without a word");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/tools/report/done", Place, NULL, place_open, test_done, place_close);
    g_test_add("/tools/report/failed", Place, NULL, place_open, test_failed, place_close);
    g_test_add("/tools/report/hostile", Place, NULL, place_open, test_hostile, place_close);
    g_test_add("/tools/report/wrong", Place, NULL, place_open, test_wrong, place_close);
    g_test_add("/tools/report/follow", Place, NULL, place_open, test_follow, place_close);
    return loom_test_run();
}
