/* typed - see typed.h. */
#include "typed.h"

#include <string.h>
#include <sys/wait.h>

void typed_clear(Typed *typed)
{
    g_free(typed->out);
    g_free(typed->err);
}

char *typed_beside(const char *name)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *folder = g_path_get_dirname(self);

    return g_build_filename(folder, name, NULL);
}

Typed typed_run(const char *folder, const char *line, char **environment)
{
    g_autofree char *program = typed_beside("segloom");
    g_autofree char *quoted = g_shell_quote(program);
    g_autofree char *command = g_strdup_printf("%s %s", quoted, line);
    g_auto(GStrv) argv = NULL;
    g_autoptr(GError) error = NULL;
    Typed typed = {0};
    int status;

    g_assert_true(g_shell_parse_argv(command, NULL, &argv, &error));
    g_spawn_sync(folder, argv, environment, G_SPAWN_DEFAULT, NULL, NULL, &typed.out, &typed.err,
                 &status, &error);
    g_assert_no_error(error);
    typed.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    g_test_message("segloom %s: %d\n%s%s", line, typed.code, typed.out, typed.err);
    return typed;
}

void typed_config(const char *folder, const char *name, const char *from, const char *to)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents("configs/smoke.yaml", &text, NULL, NULL));
    g_autoptr(GString) config = g_string_new(text);
    g_string_replace(config, "../data/spheres", "s", 0);
    g_string_replace(config, "[24, 24, 24]", "[8, 8, 8]", 0);
    g_string_replace(config, "[8, 16]", "[4, 8]", 0);
    g_string_replace(config, "every: 60", "every: 4", 0);
    g_string_replace(config, "every: 30", "every: 2", 0);
    g_string_replace(config, "steps: 120", "steps: 8", 0);
    if (from)
        g_assert_cmpuint(g_string_replace(config, from, to, 1), ==, 1);
    g_assert_true(g_file_set_contents(path, config->str, -1, NULL));
}

void typed_assert_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("'%s' is not in:\n%s", part, text);
}
