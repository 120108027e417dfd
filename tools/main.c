/* segloom - one binary with commands: finds the one that was asked for. */
#include "command.h"
#include "terminal.h"

#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name, *arguments, *summary;
    int (*main)(int argc, char **argv);
} commands[] = {
    {"run", "CONFIG [-o DIR]", "run a config: train, validate, save", cmd_run},
    {"launch", "-n N CONFIG", "run a config as N processes on this machine", cmd_launch},
    {"plan", "DATASET [-o CONFIG]", "look at a data set, write a config for it", cmd_plan},
    {"check", "CONFIG", "find every problem before any work", cmd_check},
    {"graph", "CONFIG [--dot]", "show threads, queues and what flows", cmd_graph},
    {"inspect", "[KIND [NAME]]", "plugins and their parameters", cmd_inspect},
    {"predict", "MODEL IN... -o OUT", "masks on the grid of the input", cmd_predict},
    {"postprocess", "RUN", "do predictions gain without small components?", cmd_postprocess},
    {"info", "FILE... [--json]", "header, geometry and intensities", cmd_info},
    {"evaluate", "TRUTH PREDICTION", "every metric, per case and class", cmd_evaluate},
    {"report", "RUN [-o FILE]", "a run as one page: curves, scores, pictures", cmd_report},
    {"phantom", "DIR [--kind KIND]", "synthetic data with exact labels", cmd_phantom},
    {"study", "CONFIG [-o DIR]", "compare losses over folds and seeds", cmd_study},
    {"plugin", "new | test ...", "a plugin of your own: begin it, test it", cmd_plugin},
    {"keygen", "[-o FILE]", "keys for processes that talk over a network", cmd_keygen},
    {"bench", "[NAME] [--json]", "how fast this machine does one thing", cmd_bench},
    {"doctor", "[--env]", "what this machine has and lacks", cmd_doctor},
};

static void usage_print(void)
{
    g_print("segloom trains and runs 3-D U-Nets on NIfTI images with small targets.\n\n"
            "Usage:\n  segloom COMMAND [ARGUMENTS]\n\nCommands:\n");
    for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
        g_print("  %-11s %-20s %s\n", commands[i].name, commands[i].arguments,
                commands[i].summary);
    g_print("\n'segloom COMMAND --help' says more.  'segloom --version' prints the version.\n\n"
            "Exit codes: 0 done; 1 failed; 2 config, data or usage wrong; 75 stopped by\n"
            "SIGTERM or a terminal that closed, with a checkpoint to resume from; 130 by\n"
            "Ctrl-C.\n");
}

static int unknown_command(const char *name)
{
    const char *names[G_N_ELEMENTS(commands) + 1] = {NULL};

    for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
        names[i] = commands[i].name;
    g_autofree char *hint = loom_did_you_mean(name, names);
    return command_fail_text(COMMAND_WRONG, "there is no command '%s'%s (see 'segloom --help')",
                             name, hint);
}

static gboolean asks_for_help(const char *word)
{
    return g_str_equal(word, "--help") || g_str_equal(word, "-h") || g_str_equal(word, "help");
}

/* A result that a full disk swallowed is no success; a reader that has seen enough, as head(1),
 * is no failure. */
static int results_check(int code)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};

    if ((fflush(stdout) == 0 && !ferror(stdout))
        || (poll(&reader, 1, 0) > 0 && reader.revents & POLLERR))
        return code;
    return command_fail_text(code ? code : COMMAND_FAILED,
                             "not all results could be written to stdout: is its disk full?");
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* and no more: numbers keep their point */
    command_log_init();
    if (argc < 2) {
        usage_print();
        return COMMAND_WRONG;
    }
    if (asks_for_help(argv[1])) {
        usage_print();
        return COMMAND_DONE;
    }
    if (g_str_equal(argv[1], "--version")) {
        g_print("segloom %s\n", LOOM_VERSION);
        return COMMAND_DONE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
        if (g_str_equal(argv[1], commands[i].name)) {
            g_autofree char *name = g_strdup_printf("segloom %s", argv[1]);

            g_set_prgname(name);
            return results_check(commands[i].main(argc - 1, argv + 1));
        }
    return unknown_command(argv[1]);
}
