/* command_parts - see command_parts.h. */
#include "command_parts.h"

#include "command.h"

#include <string.h>

static void usage_print(const CommandParts *of)
{
    gsize name = 0, arguments = 0;

    for (const CommandPart *part = of->parts; part->name; part++) {
        name = MAX(name, strlen(part->name));
        arguments = MAX(arguments, strlen(part->arguments));
    }
    g_print("Usage:\n  %s COMMAND [ARGUMENTS]\n\nCommands:\n", g_get_prgname());
    for (const CommandPart *part = of->parts; part->name; part++)
        g_print("  %-*s  %-*s  %s\n", (int)name, part->name, (int)arguments, part->arguments,
                part->summary);
    g_print("\n'%s COMMAND --help' says more.\n\nExample:\n  %s\n", g_get_prgname(),
            of->example);
}

static int unknown_part(const CommandParts *of, const char *asked)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();

    for (const CommandPart *part = of->parts; part->name; part++)
        g_ptr_array_add(names, (gpointer)(gsize)part->name);
    g_ptr_array_add(names, NULL);
    g_autofree char *hint = loom_did_you_mean(asked, (const char *const *)names->pdata);
    g_autofree char *all = g_strjoinv(", ", (char **)names->pdata);
    return command_fail_text(COMMAND_WRONG, "'%s' has no command '%s'%s (there are: %s)",
                             g_get_prgname(), asked, hint, all);
}

int command_parts_main(const CommandParts *of, int argc, char **argv)
{
    const gboolean help =
        argc > 1 && (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h"));

    if (argc < 2 || help) {
        usage_print(of);
        return help ? COMMAND_DONE : COMMAND_WRONG;
    }
    for (const CommandPart *part = of->parts; part->name; part++)
        if (g_str_equal(argv[1], part->name)) {
            g_autofree char *name = g_strdup_printf("%s %s", g_get_prgname(), argv[1]);

            g_set_prgname(name);
            return part->main(argc - 1, argv + 1);
        }
    return unknown_part(of, argv[1]);
}
