/* command.h - what every command shares: its command line, its config, its plugins, its end. */
#pragma once

#include "config/yaml.h"
#include "plugin/registry.h"

#include <glib.h>

/* Exit codes. */
enum {
    COMMAND_DONE = 0,
    COMMAND_FAILED = 1,
    COMMAND_WRONG = 2,        /* config, data or usage */
    COMMAND_SUSPENDED = 75,   /* SIGTERM or SIGHUP, with a checkpoint to resume from */
    COMMAND_INTERRUPTED = 130 /* Ctrl-C, after an orderly end */
};

#define COMMAND_MODULES (1u << 0) /* takes --modules DIR */
#define COMMAND_CONFIG (1u << 1)  /* takes CONFIG as its first argument, and --set a.b=v */

typedef struct {
    const char *arguments;       /* "CONFIG", for the first line of --help; NULL: none */
    guint min, max;              /* how many arguments; max 0: any number from min on */
    const char *summary;         /* what it does, in at most two lines */
    const char *example;         /* one line to copy */
    const GOptionEntry *options; /* ends with G_OPTION_ENTRY_NULL; NULL: none of its own */
    guint flags;
} CommandUsage;

typedef struct {
    char **arguments; /* what is no option; never NULL */
    char **modules;   /* --modules; may be NULL */
    char **set;       /* --set; may be NULL */
} CommandLine;

void command_line_clear(CommandLine *line);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CommandLine, command_line_clear)

/* Reads the options, -v and --help (which ends the process) included.  FALSE: the mistake was
 * printed, return COMMAND_WRONG.  @line: a g_auto(CommandLine) that starts as {0}. */
gboolean command_parse(CommandLine *line, const CommandUsage *usage, int argc, char **argv);
/* Every plugin of the built-in folder, LOOM_MODULE_PATH and --modules; NULL: printed why not.
 */
LoomRegistry *command_registry(const CommandLine *line);
/* @config with --set applied, paths from here; NULL with the reason, also where @config is NULL
 * and *@error says why.  @config: (transfer full); @set: may be NULL.  Returns: (transfer
 * full). */
LoomNode *command_set(LoomNode *config, char **set, GError **error);
/* arguments[0] with --set applied; NULL: printed why not. */
LoomNode *command_config(const CommandLine *line);
/* The same, with the reason instead of printing it. */
LoomNode *command_config_read(const CommandLine *line, GError **error);
/* Looks for mistakes as a run would, and writes nothing. */
gboolean command_config_sound(LoomNode *config, const LoomRegistry *registry, GError **error);

/* "segloom: TEXT" on stderr.  Returns @code, so that a command can end with it. */
int command_fail(int code, const GError *error);
int command_fail_text(int code, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* COMMAND_WRONG where the config, the data or a plugin is at fault, else COMMAND_FAILED. */
int command_code(const GError *error);

gboolean command_verbose(void); /* -v was given */
/* Warnings of engine and plugins as "segloom: warning: TEXT", other talk only with -v. */
void command_log_init(void);

/* Appends a blank and @word to @line, quoted where a shell needs it. */
void command_word(GString *line, const char *word);
/* "3.1 GiB" for people; (transfer full). */
char *command_bytes(guint64 bytes);

int cmd_run(int argc, char **argv);
int cmd_launch(int argc, char **argv);
int cmd_plan(int argc, char **argv);
int cmd_check(int argc, char **argv);
int cmd_graph(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_predict(int argc, char **argv);
int cmd_postprocess(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_evaluate(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_phantom(int argc, char **argv);
int cmd_study(int argc, char **argv);
int cmd_plugin(int argc, char **argv);
int cmd_keygen(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
