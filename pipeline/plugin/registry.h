/* registry.h - which plugins there are. */
#pragma once

#include <loom/plugin.h>

typedef struct _LoomRegistry LoomRegistry;

LoomRegistry *loom_registry_new(void);
void loom_registry_free(LoomRegistry *registry); /* modules stay resident */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomRegistry, loom_registry_free)
/* Loads one module file, or every *.so of a folder in the order of their names. */
gboolean loom_registry_load(LoomRegistry *registry, const char *path, GError **error);
gboolean loom_registry_load_folder(LoomRegistry *registry, const char *folder, GError **error);
/* The built-in folder, those of LOOM_MODULE_PATH (colons between), then those of @folders. */
gboolean loom_registry_load_all(LoomRegistry *registry, const char *const *folders,
                                GError **error);
/* Registers descriptors that are linked in: tests. */
gboolean loom_registry_add(LoomRegistry *registry, const LoomModule *module, const char *path,
                           GError **error);

/* NULL: none of that name. */
const LoomPlugin *loom_registry_find(const LoomRegistry *registry, LoomKind kind,
                                     const char *name);
/* The same; where there is none, E-NAME-UNKNOWN with a near name, or with all there are. */
const LoomPlugin *loom_registry_need(const LoomRegistry *registry, LoomKind kind,
                                     const char *name, GError **error);
/* All of a kind in the order of their names, ends with NULL; (transfer container), g_free. */
const LoomPlugin **loom_registry_list(const LoomRegistry *registry, LoomKind kind);
/* "loss_dice.so 0.1, ABI 1.0": the module that brought @plugin; (transfer full). */
char *loom_registry_origin(const LoomRegistry *registry, const LoomPlugin *plugin);
/* Path of that module, as it was loaded; (transfer none). */
const char *loom_registry_path(const LoomRegistry *registry, const LoomPlugin *plugin);
/* The folder of the modules that come with this library; (transfer full). */
char *loom_registry_built_in(void);

const char *loom_kind_name(LoomKind kind);
/* 0: no such kind. */
LoomKind loom_kind_from(const char *name);
#define LOOM_N_KINDS LOOM_KIND_COLLECTIVE
