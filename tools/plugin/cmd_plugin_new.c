/* cmd_plugin_new - segloom plugin new: a folder with a plugin that builds and passes its tests,
 * to be changed into something of one's own. */
#include "cmd_plugin.h"

#include "command.h"
#include "plugin/instance.h"
#include "templates.h"

#include <loom/plugin.h>

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

static char *form_option;

static const GOptionEntry options[] = {
    {"form", 0, 0, G_OPTION_ARG_STRING, &form_option, "Of a loss: region, voxel or eval",
     "FORM"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "KIND NAME [DIR]",
    .min = 2,
    .max = 3,
    .summary =
        "Writes DIR (./NAME where it is not given) with a working loss, metric or stage\n"
        "NAME in one file of C, a CMakeLists.txt, a Makefile and a README.md.  A loss is\n"
        "a function of TP, FP and FN of a class (--form region, the default), of the\n"
        "true class's probability (--form voxel), or of the tensors (--form eval).",
    .example = "segloom plugin new loss mine --form voxel",
    .options = options,
    .flags = COMMAND_MODULES,
};

static const char *const kinds[] = {"loss", "metric", "stage", NULL};
static const char *const forms[] = {"region", "voxel", "eval", NULL};

/* ---- may it be called that? --------------------------------------------------------- */

static gboolean one_of(const char *word, const char *const *words, const char *what,
                       GError **error)
{
    g_autofree char *hint = loom_did_you_mean(word, words);
    g_autofree char *all = loom_words_join(words);

    return g_strv_contains(words, word)
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "there is no %s '%s' to begin%s (there are: %s)", what, word, hint,
                        all);
}

static gboolean name_check(const LoomRegistry *registry, const char *kind, const char *name,
                           GError **error)
{
    const LoomPlugin *taken = loom_registry_find(registry, loom_kind_from(kind), name);

    if (!g_ascii_islower(name[0])
        || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "name '%s' is not of the form [a-z][a-z0-9_]*", name);
    if (strlen(name) > 40)
        return loom_fail(error, LOOM_ERROR_CONFIG, "name '%s' is longer than 40 letters", name);
    if (!taken)
        return TRUE;
    g_autofree char *origin = loom_registry_origin(registry, taken);
    return loom_fail(error, LOOM_ERROR_CONFIG, "there is a %s '%s' already, of %s", kind, name,
                     origin);
}

/* ---- writing ------------------------------------------------------------------------ */

/* The template's text with the plugin's kind and name in it; (transfer full). */
static char *fill(const char *name_of_template, const char *kind, const char *name)
{
    for (const Template *row = templates; row->name; row++) {
        if (!g_str_equal(row->name, name_of_template))
            continue;
        GString *text = g_string_new(row->text);
        g_string_replace(text, "newname", name, 0);
        g_string_replace(text, "newkind", kind, 0);
        return g_string_free(text, FALSE);
    }
    g_assert_not_reached();
}

static gboolean file_write(const char *path, const char *text, GError **error)
{
    FILE *file = g_fopen(path, "wxe"); /* never over what is there */

    if (!file)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': %s", path, g_strerror(errno));
    const gboolean written = fputs(text, file) >= 0;
    if (fclose(file) == 0 && written)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_IO, "'%s': %s", path, g_strerror(errno));
}

typedef struct {
    const char *kind, *name, *folder;
    char *source, *file; /* the template of the C file; the file */
} Order;

static gboolean order_write(const Order *order, GError **error)
{
    const char *const rows[][2] = {
        {order->source, order->file},
        {"CMakeLists.txt.in", "CMakeLists.txt"},
        {"Makefile.in", "Makefile"},
        {"README.md.in", "README.md"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) { /* all or nothing */
        g_autofree char *path = g_build_filename(order->folder, rows[i][1], NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%s' is there already, and is not overwritten", path);
    }
    if (g_mkdir_with_parents(order->folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': %s", order->folder, g_strerror(errno));
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_build_filename(order->folder, rows[i][1], NULL);
        g_autofree char *text = fill(rows[i][0], order->kind, order->name);

        if (!file_write(path, text, error))
            return FALSE;
    }
    return TRUE;
}

static void result_print(const Order *order)
{
    g_print("%s/%s: the %s '%s', with CMakeLists.txt, Makefile and README.md\n"
            "  cd %s && make && segloom plugin test build/%s_%s.so\n",
            order->folder, order->file, order->kind, order->name, order->folder, order->kind,
            order->name);
}

int cmd_plugin_new(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    const char *kind = line.arguments[0], *name = line.arguments[1];
    const char *form = form_option ? form_option : "region";
    const gboolean loss = g_str_equal(kind, "loss");
    if (form_option && !loss)
        return command_fail_text(COMMAND_WRONG, "--form is for a loss, not for a %s", kind);
    if (!one_of(kind, kinds, "kind", &error) || !one_of(form, forms, "form", &error))
        return command_fail(COMMAND_WRONG, error);
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    g_autofree char *source =
        loss ? g_strdup_printf("loss_%s.c", form) : g_strdup_printf("%s.c", kind);
    g_autofree char *file = g_strdup_printf("%s.c", name);
    const Order order = {kind, name, line.arguments[2] ? line.arguments[2] : name, source,
                         file};
    if (!name_check(registry, kind, name, &error) || !order_write(&order, &error))
        return command_fail(command_code(error), error);
    result_print(&order);
    return COMMAND_DONE;
}
