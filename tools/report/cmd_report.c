/* cmd_report - segloom report: a run as one page, and again while it goes on. */
#include "command.h"
#include "interrupt.h"
#include "report.h"
#include "terminal.h"

#include <loom/store.h>

#include <glib/gstdio.h>
#include <string.h>

#define LOOK_US (2 * G_USEC_PER_SEC)
#define RELOAD_SECONDS 5

static char *output_option;
static gboolean follow_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &output_option,
     "The page; report.html in the folder by default", "FILE"},
    {"follow", 'f', 0, G_OPTION_ARG_NONE, &follow_option,
     "Write it again whenever the run has moved, until it ends", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "RUN",
    .min = 1,
    .max = 1,
    .summary = "Writes what a run has left as one HTML page: curves, scores, pictures of the\n"
               "worst and best cases, where the time went.  It needs no network.",
    .example = "segloom report runs/hippocampus",
    .options = options,
};

/* @going: whether the run goes on, as the page says. */
static gboolean report_write(const char *folder, const char *path, gboolean *going,
                             GError **error)
{
    g_autoptr(RunRecord) record = run_record_read(folder, error);

    if (!record)
        return FALSE;
    g_autofree char *page = report_page(record, follow_option ? RELOAD_SECONDS : 0);
    *going = record->outcome == RUN_GOING;
    return loom_file_replace(path, page, strlen(page), error);
}

/* Until the run ends: then the page is written a last time. */
static gboolean report_follow(const char *folder, const char *path, GError **error)
{
    gboolean going = TRUE;

    while (going) {
        const gint64 size = run_record_size(folder);

        if (!report_write(folder, path, &going, error))
            return FALSE;
        if (going)
            terminal_live("following; Ctrl-C ends it");
        while (going && run_record_going(folder) && run_record_size(folder) == size)
            g_usleep(LOOK_US);
        if (going && run_record_going(folder))
            g_usleep(LOOK_US); /* a page every few seconds is enough */
    }
    terminal_live(NULL);
    return TRUE;
}

int cmd_report(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;
    gboolean going;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    const char *folder = line.arguments[0];
    g_autofree char *path =
        output_option ? g_strdup(output_option) : g_build_filename(folder, "report.html", NULL);
    interrupt_watch();
    if (!(follow_option ? report_follow(folder, path, &error)
                        : report_write(folder, path, &going, &error)))
        return command_fail(command_code(error), error);
    g_print("%s\n", path);
    return COMMAND_DONE;
}
