/* cmd_plugin - segloom plugin: a plugin of one's own, begun and tested. */
#include "cmd_plugin.h"

#include "command.h"
#include "command_parts.h"

static const CommandPart parts[] = {
    {"new", "KIND NAME [DIR]", "write one that builds: a file of C, and how", cmd_plugin_new},
    {"test", "FILE.so", "its promises, one by one: is the gradient right?", cmd_plugin_test},
    {0},
};

static const CommandParts plugin = {
    .example = "segloom plugin new loss mine",
    .parts = parts,
};

int cmd_plugin(int argc, char **argv)
{
    return command_parts_main(&plugin, argc, argv);
}
