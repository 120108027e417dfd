/* loom/store.h - weights on disk: safetensors, written so that a crash at any moment leaves a
 * file that loads. */
#pragma once

#include <loom/plugin.h>

typedef struct {
    char *name;
    guint rank;
    gint64 shape[5];
    gint64 count;
    float *data; /* owned */
} LoomStoredTensor;

typedef struct {
    GPtrArray *tensors;   /* LoomStoredTensor * */
    GHashTable *metadata; /* char * -> char * */
} LoomStore;

LOOM_EXPORT LoomStore *loom_store_new(void);
LOOM_EXPORT void loom_store_free(LoomStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomStore, loom_store_free)
/* @data: (transfer full), g_free-able. */
LOOM_EXPORT void loom_store_add(LoomStore *store, const char *name, guint rank,
                                const gint64 *shape, float *data);
LOOM_EXPORT const LoomStoredTensor *loom_store_find(const LoomStore *store, const char *name);
/* Temporary file in the same folder, fsync, the old file kept as @previous (may be NULL),
 * rename, fsync of the folder.  The metadata gain "sha256" of the tensors' bytes. */
LOOM_EXPORT gboolean loom_store_write(const LoomStore *store, const char *path,
                                      const char *previous, GError **error);
/* Bounded: header at most 8 MiB, offsets contiguous and inside the file, sha256 as promised. */
LOOM_EXPORT LoomStore *loom_store_read(const char *path, GError **error);
/* The same protocol for any small file: JSON beside the weights. */
LOOM_EXPORT gboolean loom_file_replace(const char *path, const char *bytes, gsize length,
                                       GError **error);
