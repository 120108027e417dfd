/* plugin_open.h - one plugin outside of any run: a metric to measure with, a backend to try. */
#pragma once

#include "config/yaml.h"
#include "plugin/instance.h"

/* @node: the mapping with `use:`, must outlive the instance; so must @pool.
 * Returns: (transfer full): opened, with neither data, backend nor folder; NULL with the
 * reason. */
LoomInstance *plugin_open(const LoomRegistry *registry, LoomPool *pool, LoomKind kind,
                          const LoomNode *node, GError **error);
