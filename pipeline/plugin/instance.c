/* instance - a plugin made, filled from the YAML, opened and closed. */
#include "instance.h"

#include <string.h>

typedef struct {
    LoomInstance base; /* must stay first */
    const LoomNode *node;
    char *id;
    LoomPool *pool;  /* the run's; NULL before open */
    gboolean opened; /* or tried: close runs once, also after a failed open */
} Instance;

const LoomPlugin *loom_instance_plugin(LoomKind kind, const LoomNode *node,
                                       const LoomScope *scope, GError **error)
{
    const LoomNode *use = loom_node_get(node, "use");
    const char *kind_name = loom_kind_name(kind);

    if (node->type != LOOM_NODE_MAPPING || !use || use->type != LOOM_NODE_SCALAR) {
        loom_node_fail_as(node, "E-VALUE-TYPE", error, "want a %s: {use: NAME, ...}",
                          kind_name);
        return NULL;
    }
    const LoomPlugin *plugin = loom_registry_need(scope->registry, kind, use->text, error);
    if (!plugin) {
        g_autofree char *place = loom_node_place(use);

        g_prefix_error(error, "%s: ", place);
    }
    return plugin;
}

LoomInstance *loom_instance_new(LoomKind kind, const char *id, const LoomNode *node,
                                const char *const *reserved, const LoomScope *scope,
                                GError **error)
{
    const LoomPlugin *plugin = loom_instance_plugin(kind, node, scope, error);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    if (!plugin)
        return NULL;
    g_strv_builder_add(builder, "use");
    for (; reserved && *reserved; reserved++)
        g_strv_builder_add(builder, *reserved);
    g_auto(GStrv) others = g_strv_builder_end(builder);

    Instance *instance = g_new0(Instance, 1);
    instance->id = g_strdup(id ? id : plugin->name);
    instance->node = node;
    instance->base =
        (LoomInstance){plugin, g_malloc0(MAX(plugin->instance_size, 1)), instance->id};
    g_autofree char *title = loom_instance_title(&instance->base);
    if (loom_params_fill(plugin->params, instance->base.self, node, (const char *const *)others,
                         title, scope, error))
        return &instance->base;
    loom_instance_free(&instance->base);
    return NULL;
}

char *loom_instance_title(const LoomInstance *instance)
{
    const LoomPlugin *plugin = instance->plugin;
    const char *kind = loom_kind_name(plugin->kind);

    return g_str_equal(instance->id, plugin->name)
               ? g_strdup_printf("%s '%s'", kind, instance->id)
               : g_strdup_printf("%s '%s' (%s)", kind, instance->id, plugin->name);
}

const LoomNode *loom_instance_node(const LoomInstance *instance)
{
    return ((const Instance *)instance)->node;
}

LoomPool *loom_instance_pool(const LoomInstance *instance)
{
    return ((const Instance *)instance)->pool;
}

void loom_instance_blame(const LoomInstance *instance, GError **error)
{
    g_autofree char *place = loom_node_place(loom_instance_node(instance));
    g_autofree char *title = loom_instance_title(instance);

    g_prefix_error(error, "%s: %s: ", place, title);
}

gboolean loom_instance_honest(const LoomInstance *instance, gboolean failed, const char *call,
                              GError **error)
{
    if (failed == (*error != NULL))
        return TRUE;
    g_autofree char *title = loom_instance_title(instance);
    if (failed)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "%s failed in %s without saying why", title,
                         call);
    g_autofree char *said = g_strdup((*error)->message);
    g_clear_error(error);
    return loom_fail(error, LOOM_ERROR_PLUGIN, "%s set an error in %s but did not fail: %s",
                     title, call, said);
}

gboolean loom_instance_open(LoomInstance *instance, LoomHost *host, GError **error)
{
    const LoomPlugin *plugin = instance->plugin;
    g_autoptr(GError) cause = NULL;

    for (const LoomParam *row = plugin->params; row && row->name; row++) {
        guint n = 0;
        LoomInstance **nested =
            loom_param_nests(row) ? loom_param_nested(row, instance->self, &n) : NULL;

        for (guint i = 0; i < n; i++)
            if (!loom_instance_open(nested[i], host, error))
                return FALSE;
    }
    ((Instance *)instance)->opened = TRUE;
    ((Instance *)instance)->pool = loom_host_pool(host);
    if (!plugin->open)
        return TRUE;
    const gboolean done = plugin->open(instance->self, host, &cause);
    if (loom_instance_honest(instance, !done, "open", &cause) && done)
        return TRUE;
    loom_instance_blame(instance, &cause);
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

void loom_instance_free(LoomInstance *instance)
{
    Instance *full = (Instance *)instance;

    if (!instance)
        return;
    if (full->opened && instance->plugin->close)
        instance->plugin->close(instance->self);
    loom_params_clear(instance->plugin->params, instance->self);
    g_free(instance->self);
    g_free(full->id);
    g_free(full);
}
