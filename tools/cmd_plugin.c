/* cmd_plugin - segloom plugin: a plugin of one's own, begun and tested. */
#include "cmd_plugin.h"

#include "command.h"

#include <string.h>

static const struct {
    const char *name, *arguments, *summary;
    int (*main)(int argc, char **argv);
} parts[] = {
    {"new", "KIND NAME [DIR]", "write a plugin that builds: a file of C, and how to build it",
     cmd_plugin_new},
    {"test", "FILE.so", "is its gradient right? its promises, one by one, in seconds",
     cmd_plugin_test},
};

static void usage_print(void)
{
    g_print("Usage:\n  segloom plugin COMMAND [ARGUMENTS]\n\nCommands:\n");
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
        g_print("  %-5s %-16s %s\n", parts[i].name, parts[i].arguments, parts[i].summary);
    g_print("\n'segloom plugin COMMAND --help' says more.\n\n"
            "Example:\n  segloom plugin new loss mine\n");
}

int cmd_plugin(int argc, char **argv)
{
    const char *names[G_N_ELEMENTS(parts) + 1] = {NULL};

    if (argc < 2) {
        usage_print();
        return COMMAND_WRONG;
    }
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")) {
        usage_print();
        return COMMAND_DONE;
    }
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        names[i] = parts[i].name;
        if (g_str_equal(argv[1], parts[i].name)) {
            g_autofree char *name = g_strdup_printf("segloom plugin %s", argv[1]);

            g_set_prgname(name);
            return parts[i].main(argc - 1, argv + 1);
        }
    }
    g_autofree char *hint = loom_did_you_mean(argv[1], names);
    return command_fail_text(COMMAND_WRONG,
                             "'segloom plugin' has no command '%s'%s (there are: new, test)",
                             argv[1], hint);
}
