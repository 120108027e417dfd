/* cache - keeps on disk what the stages above make of each case, so that it is made once: when
 * a case comes again, in the next epoch or the next run, the file is mapped and the stages
 * above are passed by.
 *
 * What is kept depends on the case's files (path, size, time), on the stages above and their
 * parameters; another value of any of them is another entry.  Stages that give something else
 * each time must stand below.
 *
 * With a label it writes 'label.counts' too: how many voxels of each class lie in each plane,
 * so that `crop` finds one of them without a walk through the whole case. */
#include <loom/cache.h>
#include <loom/loom.h>

typedef struct {
    char *folder;
    guint64 limit;
    LoomCache *cache;
} Cache;

static const LoomParam cache_params[] = {
    LOOM_PATH(Cache, folder, NULL, "where cases are kept; several runs may share it"),
    LOOM_BYTES(Cache, limit, "20GiB", 1, 1e15,
               "of the folder; what does not fit is made anew each time"),
    {0},
};

static const LoomSlot cache_reads[] = {
    {"image", LOOM_F32, "CDHW", 0, "as the stages above made it"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "on its grid"},
    {0},
};

static const LoomSlot cache_writes[] = {
    {"image", LOOM_F32, "CDHW", 0, "the same, of this epoch or of one before"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "the same"},
    {"label.counts", LOOM_F32, "DK", LOOM_SLOT_OPTIONAL, "voxels of class K in plane D"},
    {0},
};

static gboolean cache_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    Cache *cache = self;

    if (!cache->folder)
        return loom_fail(error, LOOM_ERROR_CONFIG, "folder is empty, want a path");
    cache->cache = loom_cache_new(cache->folder, cache->limit);
    return TRUE;
}

static void cache_close(gpointer self)
{
    g_clear_pointer(&((Cache *)self)->cache, loom_cache_free);
}

typedef struct {
    const guint8 *label;
    gint64 plane, classes;
    float *counts;
} Count;

static void plane_count(gint64 d, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Count *count = data;
    const guint8 *label = count->label + d * count->plane;
    guint32 n[256] = {0};

    for (gint64 v = 0; v < count->plane; v++)
        n[label[v]]++;
    for (gint64 k = 0; k < count->classes; k++)
        count->counts[d * count->classes + k] = (float)n[k];
}

/* f32 is exact up to 2^24: a plane with more voxels is not counted. */
static gboolean label_count(LoomPacket *packet, LoomPool *pool, GError **error)
{
    const LoomTensor *label = loom_packet_get(packet, "label");
    const gint64 depth = loom_tensor_size(label, 'D');
    Count count = {loom_tensor_u8(label), loom_tensor_count_from(label, 'H'), 0, NULL};
    guint8 most = 0;

    if (count.plane > 1 << 24)
        return TRUE;
    for (gint64 v = 0; v < depth * count.plane; v++)
        most = MAX(most, count.label[v]);
    count.classes = most + 1;
    LoomTensor *counts =
        loom_tensor_new(LOOM_F32, "DK", (gint64[]){depth, count.classes}, error);
    if (!counts)
        return FALSE;
    count.counts = loom_tensor_f32_mut(counts);
    loom_pool_run(pool, depth, plane_count, &count);
    loom_packet_set(packet, "label.counts", counts);
    return TRUE;
}

static gboolean cache_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Cache *cache = self;
    const char *key = loom_packet_key(packet);

    if (!key)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "the source does not say what its packets are made of: 'cache' works "
                         "below nifti_load");
    return (!loom_packet_get(packet, "label")
            || label_count(packet, loom_context_pool(ctx), error))
           && loom_cache_put(cache->cache, key, packet, error);
}

static LoomPacket *cache_recall(gpointer self, const char *key)
{
    return loom_cache_get(((Cache *)self)->cache, key);
}

static const LoomStage cache = {
    .base = LOOM_STAGE(Cache, "cache", "Keep on disk what the stages above make of each case",
                       .params = cache_params, .open = cache_open, .close = cache_close),
    .reads = cache_reads,
    .writes = cache_writes,
    .map = cache_map,
    .recall = cache_recall,
    .need = loom_need_nothing, /* the file is written from where the tensors lie */
};
LOOM_MODULE("stage_cache", "0.1", &cache.base);
