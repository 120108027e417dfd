/* param_value.h - one value of a config, by the type that its row says. */
#pragma once

#include "instance.h"

/* Fills @member from @node, or refuses it with file:line:column.  @what: "stage 'patch' (crop):
 * size", in front of the reason.  @scope: may be NULL, where nothing can be referred to.  What
 * was allocated before a refusal, loom_params_clear frees. */
gboolean loom_param_value(const LoomParam *row, gpointer member, const LoomNode *node,
                          const char *what, const LoomScope *scope, GError **error);
