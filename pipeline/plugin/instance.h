/* instance.h - a plugin with its parameters: text -> member, ranges, nested plugins. */
#pragma once

#include "config/yaml.h"
#include "core/findings.h"
#include "registry.h"

#include <loom/context.h>

/* What parameters may refer to. */
typedef struct {
    const LoomRegistry *registry;
    GHashTable *models; /* id -> LoomInstance *, borrowed; NULL: none */
    GHashTable *graphs; /* id -> anything; NULL: none */
    /* All mistakes go here, and the error that is returned says so; NULL: the first ends it. */
    LoomFindings *findings;
} LoomScope;

/* Fills the members at the rows' offsets from a mapping.  Keys in @reserved (ends with NULL,
 * may be NULL) belong to somebody else.  Unknown keys, wrong types, values out of range and
 * missing required keys are refused with file:line:column; then nothing stays allocated.
 * @node NULL: an empty mapping. */
gboolean loom_params_fill(const LoomParam *rows, gpointer self, const LoomNode *node,
                          const char *const *reserved, const char *what, const LoomScope *scope,
                          GError **error);
/* Frees what loom_params_fill allocated, nested plugins closed first; may be called again. */
void loom_params_clear(const LoomParam *rows, gpointer self);
/* "a, b, c"; @words ends with NULL; (transfer full). */
char *loom_words_join(const char *const *words);
/* loom_did_you_mean among the keys of a table; NULL: an empty one; (transfer full). */
char *loom_hint_among(const char *word, GHashTable *table);
/* Registry: does the row's default pass the row's own check? */
gboolean loom_param_default_check(const LoomParam *row, GError **error);
/* The mapping as it took effect: every row with its value, defaults included. */
LoomNode *loom_params_node(const LoomParam *rows, const LoomNode *node);
/* Does a row hold plugins of another kind? */
gboolean loom_param_nests(const LoomParam *row);
/* The nested instances of a PLUGIN or PLUGINS row; @n of them. */
LoomInstance **loom_param_nested(const LoomParam *row, gpointer self, guint *n);

/* The descriptor that `use:` of a mapping names. */
const LoomPlugin *loom_instance_plugin(LoomKind kind, const LoomNode *node,
                                       const LoomScope *scope, GError **error);
/* Made, filled, not opened.  @node: the mapping with `use:`. */
LoomInstance *loom_instance_new(LoomKind kind, const char *id, const LoomNode *node,
                                const char *const *reserved, const LoomScope *scope,
                                GError **error);
/* Opens nested plugins first.  An error carries the node's place and the id in front. */
gboolean loom_instance_open(LoomInstance *instance, LoomHost *host, GError **error);
/* Closes if it was opened (or tried), then frees. */
void loom_instance_free(LoomInstance *instance);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomInstance, loom_instance_free)
const LoomNode *loom_instance_node(const LoomInstance *instance);
/* The threads of the run it was opened for. */
LoomPool *loom_instance_pool(const LoomInstance *instance);
/* "stage 'load' (nifti_load)", "loss 'dice'"; (transfer full). */
char *loom_instance_title(const LoomInstance *instance);
/* Puts "file:line:column: stage 'load' (nifti_load): " in front of an error's message. */
void loom_instance_blame(const LoomInstance *instance, GError **error);
/* FALSE unless `failed` and an error go together: a plugin that lies gets LOOM_ERROR_PLUGIN. */
gboolean loom_instance_honest(const LoomInstance *instance, gboolean failed, const char *call,
                              GError **error);
