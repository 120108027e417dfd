/* loom/cache.h - packets on disk, each under a key that says all they depend on.
 *
 * A file holds one packet, KEY.case: tensors, both grids, the case's id.  It is mapped into
 * memory, so what nobody looks at is not read.  Files are written beside their place and
 * renamed: several processes may fill one folder at once. */
#pragma once

#include <loom/packet.h>

G_BEGIN_DECLS

typedef struct _LoomCache LoomCache;

/* @limit: bytes of all files in @folder; what would go beyond is not kept.  Makes no folder
 * yet. Returns: (transfer full) */
LOOM_EXPORT LoomCache *loom_cache_new(const char *folder, guint64 limit);
LOOM_EXPORT void loom_cache_free(LoomCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomCache, loom_cache_free)

/* loom_cache_get - the packet under @key, hexadecimal digits
 * Its tensors lie in the file and are copied before anybody writes to them.  The checksum of a
 * file is verified the first time that this cache sees it.
 * Returns: (transfer full): NULL: none.  A file that is damaged, cut or of another version
 *   counts as none, with a warning; the next loom_cache_put replaces it. */
LOOM_EXPORT LoomPacket *loom_cache_get(LoomCache *cache, const char *key);

/* loom_cache_put - keeps @packet (transfer none)
 * Where room is short, files that this cache has not used go first, the oldest before others.
 * Without enough of them the packet is not kept, with one warning: TRUE all the same.
 * Errors: LOOM_ERROR_IO. */
LOOM_EXPORT gboolean loom_cache_put(LoomCache *cache, const char *key, const LoomPacket *packet,
                                    GError **error);

G_END_DECLS
