/* resume_config - two configs as trees: what differs, key by key, and does it matter?
 * A resumed run should be the one that began; where it is not, people shall see it. */
#include "resume_config.h"

#include "terminal.h"

#include "graph/run.h"

#include <string.h>

#define RESUME_SHOWN 48 /* letters of a value */

typedef struct {
    GPtrArray *path;    /* char *, borrowed: keys down to here */
    GPtrArray *harmful; /* char *, owned: "graphs.train.step.rate" */
} Comparison;

/* Whole sections that do not change what is computed, and keys of stages that do not. */
static gboolean harmless(const GPtrArray *path)
{
    static const char *const sections[] = {"backend", "place", "cluster", NULL};
    static const char *const files[] = {"dataset", "train", "validate", NULL};
    static const char *const of_stages[] = {"queue", "workers", "every",
                                            "cache", "limit",   NULL};
    const char *top = path->pdata[0], *last = path->pdata[path->len - 1];

    if (g_str_equal(top, "run") && path->len == 2)
        return g_str_equal(last, "steps");
    if (g_str_equal(top, "backend") && g_str_equal(last, "precision"))
        return FALSE;
    return g_strv_contains(sections, top)
           || (g_str_equal(top, "data") && path->len == 2 && g_strv_contains(files, last))
           || (g_str_equal(top, "graphs") && path->len == 4
               && g_strv_contains(of_stages, last));
}

static char *value_text(const LoomNode *node)
{
    g_autofree char *json = node ? loom_yaml_json(node) : g_strdup("nothing");

    if (g_utf8_strlen(json, -1) <= RESUME_SHOWN)
        return g_steal_pointer(&json);
    g_autofree char *start = g_utf8_substring(json, 0, RESUME_SHOWN);
    return g_strconcat(start, "...", NULL);
}

static void difference_tell(Comparison *of, const LoomNode *before, const LoomNode *now)
{
    g_autofree char *from = value_text(before), *to = value_text(now);
    g_autoptr(GString) name = g_string_new(NULL);
    const gboolean allowed = harmless(of->path);

    for (guint i = 0; i < of->path->len; i++)
        g_string_append_printf(name, "%s%s", i ? "." : "", (const char *)of->path->pdata[i]);
    terminal_print("segloom: %s changed since this run began: %s -> %s%s", name->str, from, to,
                   allowed ? "" : " (not what it was trained with)");
    if (!allowed)
        g_ptr_array_add(of->harmful, g_strdup(name->str));
}

static void compare(Comparison *of, const LoomNode *before, const LoomNode *now);

static void step_into(Comparison *of, const char *key, const LoomNode *before,
                      const LoomNode *now)
{
    g_ptr_array_add(of->path, (gpointer)(guintptr)key);
    compare(of, before, now);
    g_ptr_array_set_size(of->path, (gint)of->path->len - 1);
}

/* One of them may be NULL: it has no such key. */
static void compare(Comparison *of, const LoomNode *before, const LoomNode *now)
{
    if (!before || !now || before->type != now->type) {
        difference_tell(of, before, now);
        return;
    }
    if (before->type == LOOM_NODE_MAPPING) {
        for (guint i = 0; i < before->keys->len; i++) {
            const char *key = ((const LoomNode *)before->keys->pdata[i])->text;

            step_into(of, key, before->items->pdata[i], loom_node_get(now, key));
        }
        for (guint i = 0; i < now->keys->len; i++) {
            const char *key = ((const LoomNode *)now->keys->pdata[i])->text;

            if (!loom_node_get(before, key))
                step_into(of, key, NULL, now->items->pdata[i]);
        }
        return;
    }
    g_autofree char *a = loom_yaml_json(before), *b = loom_yaml_json(now);
    if (!g_str_equal(a, b))
        difference_tell(of, before, now);
}

gboolean resume_config_check(const LoomNode *config, const LoomRegistry *registry,
                             const char *folder, gboolean force, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "config.yaml", NULL);
    g_autoptr(GPtrArray) keys = g_ptr_array_new();
    g_autoptr(GPtrArray) harmful = g_ptr_array_new_with_free_func(g_free);
    Comparison of = {keys, harmful};

    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return TRUE;
    g_autoptr(LoomNode) before = loom_yaml_read(path, error);
    if (!before)
        return FALSE;
    /* what an older version wrote lacks the defaults of newer keys */
    g_autoptr(LoomNode) complete = loom_config_effective(before, registry);
    g_autoptr(LoomNode) now = loom_config_effective(config, registry);
    if (complete->type != LOOM_NODE_MAPPING || now->type != LOOM_NODE_MAPPING)
        return TRUE; /* no config: said when it is opened */
    compare(&of, complete, now);
    if (!harmful->len || force)
        return TRUE;
    g_ptr_array_add(harmful, NULL);
    g_autofree char *all = g_strjoinv(", ", (char **)harmful->pdata);
    return loom_fail_as(error, "E-RESUME-CONFIG", LOOM_ERROR_CONFIG,
                        "--resume: %s differ%s from '%s': a run goes on with the config it "
                        "began with; --force-config takes the new one",
                        all, harmful->len == 2 ? "s" : "", path);
}
