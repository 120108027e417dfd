/* cache - packets on disk under keys, bounded; see loom/cache.h. */
#define G_LOG_DOMAIN "loom-cache"
#include "case_file.h"

#include "core/lock.h"

#include <loom/cache.h>

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <utime.h>

#define CACHE_SUFFIX ".case"

struct _LoomCache {
    char *folder;
    guint64 limit;
    gint64 since;     /* in seconds since 1970: files used before are somebody else's */
    LoomLock lock;    /* guards the rest */
    GHashTable *seen; /* path -> "size time" of a file whose checksum was right */
    gboolean warned;
};

LoomCache *loom_cache_new(const char *folder, guint64 limit)
{
    LoomCache *cache = g_new0(LoomCache, 1);

    cache->folder = g_strdup(folder);
    cache->limit = limit;
    cache->since = g_get_real_time() / G_USEC_PER_SEC;
    cache->seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void loom_cache_free(LoomCache *cache)
{
    if (!cache)
        return;
    pthread_mutex_destroy(&cache->lock);
    g_hash_table_unref(cache->seen);
    g_free(cache->folder);
    g_free(cache);
}

static char *path_of(const LoomCache *cache, const char *key)
{
    g_autofree char *name = g_strconcat(key, CACHE_SUFFIX, NULL);

    return g_build_filename(cache->folder, name, NULL);
}

/* ---- reading ------------------------------------------------------------------------ */

/* What tells this file from one that replaced it: its place on the disk and its size. */
static char *mark_of(const GStatBuf *status)
{
    return g_strdup_printf("%" G_GUINT64_FORMAT " %" G_GINT64_FORMAT, (guint64)status->st_ino,
                           (gint64)status->st_size);
}

static gboolean seen_before(LoomCache *cache, const char *path, const char *mark)
{
    LOOM_LOCKED(&cache->lock);
    return g_strcmp0(g_hash_table_lookup(cache->seen, path), mark) == 0;
}

static void seen_now(LoomCache *cache, const char *path, const char *mark)
{
    LOOM_LOCKED(&cache->lock);
    g_hash_table_replace(cache->seen, g_strdup(path), g_strdup(mark));
}

LoomPacket *loom_cache_get(LoomCache *cache, const char *key)
{
    g_autofree char *path = path_of(cache, key), *mark = NULL;
    g_autoptr(LoomPacket) packet = NULL;
    g_autoptr(GError) error = NULL;
    GStatBuf status;

    if (g_stat(path, &status) != 0)
        return NULL;
    mark = mark_of(&status);
    packet = loom_case_file_read(path, !seen_before(cache, path, mark), &error);
    if (!packet) {
        g_warning("'%s' is not used and made anew: %s", path, error->message);
        return NULL;
    }
    seen_now(cache, path, mark);
    utime(path, NULL); /* used now; a folder that may only be read is used all the same */
    return g_steal_pointer(&packet);
}

/* ---- room --------------------------------------------------------------------------- */

typedef struct {
    char *path;
    guint64 bytes;
    gint64 used;
} Kept;

static void kept_clear(gpointer data)
{
    g_free(((Kept *)data)->path);
}

static gint kept_compare(gconstpointer a, gconstpointer b)
{
    const gint64 x = ((const Kept *)a)->used, y = ((const Kept *)b)->used;

    return (x > y) - (x < y);
}

/* The files of the folder, those first that were not used for longest; @bytes: of all. */
static GArray *kept_list(const LoomCache *cache, guint64 *bytes)
{
    GArray *all = g_array_new(FALSE, FALSE, sizeof(Kept));
    g_autoptr(GDir) dir = g_dir_open(cache->folder, 0, NULL);
    const char *name;

    g_array_set_clear_func(all, kept_clear);
    *bytes = 0;
    while (dir && (name = g_dir_read_name(dir))) {
        Kept kept = {g_build_filename(cache->folder, name, NULL), 0, 0};
        GStatBuf status;

        if (!g_str_has_suffix(name, CACHE_SUFFIX) || g_stat(kept.path, &status) != 0) {
            g_free(kept.path);
            continue;
        }
        kept.bytes = (guint64)status.st_size;
        kept.used = (gint64)status.st_mtime;
        *bytes += kept.bytes;
        g_array_append_val(all, kept);
    }
    g_array_sort(all, kept_compare);
    return all;
}

/* TRUE: @wanted bytes more fit.  Files that were last used before this cache was opened make
 * room; of its own none does: in the next epoch it would be missing. */
static gboolean room_make(LoomCache *cache, const char *path, guint64 wanted)
{
    guint64 bytes;
    g_autoptr(GArray) all = kept_list(cache, &bytes);

    for (guint i = 0; i < all->len; i++) {
        const Kept *kept = &g_array_index(all, Kept, i);
        const gboolean replaced = g_str_equal(kept->path, path);

        if (!replaced && (bytes + wanted <= cache->limit || kept->used >= cache->since))
            continue;
        if (replaced || g_unlink(kept->path) == 0)
            bytes -= kept->bytes;
    }
    return wanted <= cache->limit && bytes <= cache->limit - wanted;
}

static void full_warn(LoomCache *cache)
{
    g_autofree char *limit = g_format_size_full(cache->limit, G_FORMAT_SIZE_IEC_UNITS);
    gboolean first;

    {
        LOOM_LOCKED(&cache->lock);
        first = !cache->warned;
        cache->warned = TRUE;
    }
    if (first)
        g_warning("the cache '%s' is full (limit: %s): the other cases are made anew each "
                  "time; a higher limit would keep them",
                  cache->folder, limit);
}

gboolean loom_cache_put(LoomCache *cache, const char *key, const LoomPacket *packet,
                        GError **error)
{
    g_autofree char *path = path_of(cache, key);

    if (g_mkdir_with_parents(cache->folder, 0777) != 0) {
        const int cause = errno;

        return loom_fail(error, LOOM_ERROR_IO, "'%s': cannot make the folder of the cache: %s",
                         cache->folder, g_strerror(cause));
    }
    if (room_make(cache, path, loom_case_file_bytes(packet)))
        return loom_case_file_write(path, packet, error);
    full_warn(cache);
    return TRUE;
}
