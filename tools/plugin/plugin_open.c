/* plugin_open - one plugin outside of any run: a metric to measure with, a backend to try. */
#include "plugin_open.h"

#include "graph/state.h"

LoomInstance *plugin_open(const LoomRegistry *registry, LoomPool *pool, LoomKind kind,
                          const LoomNode *node, GError **error)
{
    const LoomScope scope = {.registry = registry};
    LoomRun nothing = {.registry = registry, .pool = pool, .resumed_at = -1};
    LoomHost host = {&nothing, loom_kind_name(kind), NULL};
    g_autoptr(LoomInstance) instance = loom_instance_new(kind, NULL, node, NULL, &scope, error);

    if (!instance || !loom_instance_open(instance, &host, error))
        return NULL;
    return g_steal_pointer(&instance);
}
