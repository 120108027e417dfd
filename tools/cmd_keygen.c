/* cmd_keygen - segloom keygen: keys with which processes of one run know each other. */
#include "command.h"

#include <loom/network.h>

static char *file_option;

static const GOptionEntry options[] = {
    {"output", 'o', 0, G_OPTION_ARG_FILENAME, &file_option, "Where to, segloom.key by default",
     "FILE"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .summary = "Makes a new pair of keys: FILE, which only you can read, has both, and the\n"
               "public one is printed.  A file that exists is never written over.",
    .example = "segloom keygen -o run.key",
    .options = options,
    .flags = COMMAND_MODULES,
};

/* The first transport that has keys. */
static const LoomTransport *transport_with_keys(const LoomRegistry *registry)
{
    g_autofree const LoomPlugin **list = loom_registry_list(registry, LOOM_KIND_TRANSPORT);

    for (const LoomPlugin **plugin = list; *plugin; plugin++) {
        const LoomTransport *transport = (const LoomTransport *)*plugin;

        if (transport->key_write)
            return transport;
    }
    return NULL;
}

int cmd_keygen(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_FAILED;
    const LoomTransport *transport = transport_with_keys(registry);
    if (!transport)
        return command_fail_text(COMMAND_FAILED, "no transport is loaded that has keys");
    const char *file = file_option ? file_option : "segloom.key";
    g_autofree char *public = transport->key_write(file, &error);
    if (!public)
        return command_fail(COMMAND_FAILED, error);
    g_print(
        "%s\n\n"
        "This is the public key of '%s'.  One file for all processes of a run is\n"
        "enough: name it in the config, and every process lets in this key and no other.\n\n"
        "  cluster:\n"
        "    transport: {use: %s, secret: %s}\n\n"
        "To give processes keys of their own, list all public keys in a file, one a line,\n"
        "and name that file as 'allowed' beside 'secret'.  Never send a secret by mail.\n",
        public, file, transport->base.name, file);
    return COMMAND_DONE;
}
