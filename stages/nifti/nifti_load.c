/* nifti_load - cases of the data set as packets, one a case:
 *   packet number p is case order[p mod n] of epoch p / n, order = shuffle(seed, stage, epoch)
 * so that which case comes when depends on nothing but its number: a run that resumes goes on
 * where it stopped. */
#include <loom/loom.h>

#include <math.h>
#include <sys/stat.h>

/* A case that was read; kept so that an epoch does not decompress it again. */
typedef struct {
    LoomTensor *image, *label; /* label NULL: the case has none */
    LoomGeometry geometry;
} Loaded;

typedef struct {
    int split;
    gboolean shuffle, truth;
    gint64 epochs;
    guint64 cache;
    int nan;
    guint64 limit;

    const LoomDataset *dataset;
    LoomVolumePolicy policy; /* of `data:`, with this stage's nan and limit */
    const char *id;
    guint64 seed;
    guint *cases; /* of the split */
    guint n_cases;
    gint64 n_packets; /* -1: no end */
    gint64 *order;    /* of `epoch`, places in `cases` */
    gint64 epoch;
    Loaded *kept;                /* n_cases, empty where not kept */
    guint64 kept_bytes, planned; /* planned: what the cache would hold */
} NiftiLoad;

static const char *const load_splits[] = {"train", "validate", "all", NULL};
static const char *const load_nan[] = {"refuse", "zero", NULL};

static const LoomParam nifti_load_params[] = {
    LOOM_ENUM(NiftiLoad, split, "train", load_splits, "which cases"),
    LOOM_BOOL(NiftiLoad, shuffle, "false", "another order in each epoch"),
    LOOM_BOOL(NiftiLoad, truth, "false",
              "write 'truth' as well: the label, which no stage moves to another grid"),
    LOOM_INT(NiftiLoad, epochs, "0", 0, 1e9, NULL,
             "times through the cases; 0: once, or as long as the run asks for steps"),
    LOOM_BYTES(NiftiLoad, cache, "4GiB", 0, 1e15,
               "decoded cases kept in memory up to this; 0: none"),
    LOOM_ENUM(NiftiLoad, nan, "refuse", load_nan,
              "voxels that are NaN or infinite; refuse: unless data.nan_policy says else"),
    LOOM_BYTES(NiftiLoad, limit, "8GiB", 1, 1e15, "voxels of one volume, refused above"),
    {0},
};

static const LoomSlot nifti_load_writes[] = {
    {"image", LOOM_F32, "CDHW", 0, "intensities as stored, scaled by the header"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "class of each voxel; 255: counts nowhere"},
    {"truth", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL | LOOM_SLOT_NATIVE,
     "the label on the grid of its file, for metrics"},
    {0},
};

/* A packet of a case on @geometry, of sizes alone; (transfer full), NULL with an error. */
static LoomPacket *case_sketch(const NiftiLoad *load, const LoomCase *one,
                               const LoomGeometry *geometry, GError **error)
{
    const gint64 *size = geometry->size;
    const gint64 shape[4] = {load->dataset->n_channels, size[2], size[1], size[0]};
    g_autoptr(LoomPacket) sketch = loom_packet_new();
    LoomTensor *tensor = loom_tensor_sketch(LOOM_F32, "CDHW", shape, error);

    if (!tensor)
        return NULL;
    loom_packet_set_id(sketch, one->id);
    loom_packet_set_geometry(sketch, geometry);
    loom_packet_set(sketch, "image", tensor);
    if (!one->label)
        return g_steal_pointer(&sketch);
    if (!(tensor = loom_tensor_sketch(LOOM_U8, "DHW", shape + 1, error)))
        return NULL;
    if (load->truth)
        loom_packet_set(sketch, "truth", loom_tensor_ref(tensor));
    loom_packet_set(sketch, "label", tensor);
    return g_steal_pointer(&sketch);
}

/* Cases of one size, spacing and direction, with or without a label, are alike: (transfer
 * full). */
static char *kind_of(const LoomCase *one, const LoomGeometry *geometry)
{
    const gint64 *size = geometry->size;
    const double *mm = geometry->spacing_mm;

    return g_strdup_printf(
        "%" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %a %a %a %s %d",
        size[0], size[1], size[2], mm[0], mm[1], mm[2], geometry->axes, one->label != NULL);
}

static gboolean case_tell(const NiftiLoad *load, LoomHost *host, const LoomCase *one,
                          const LoomGeometry *geometry, GHashTable *told, GError **error)
{
    LoomPacket *sketch;

    if (!g_hash_table_add(told, kind_of(one, geometry)))
        return TRUE;
    if (!(sketch = case_sketch(load, one, geometry, error)))
        return FALSE;
    loom_host_case(host, sketch);
    return TRUE;
}

/* What the cache will hold, and how large cases are, by the headers of the first channels. */
static gboolean cases_plan(NiftiLoad *load, LoomHost *host, GError **error)
{
    const guint64 voxel_bytes = sizeof(float) * load->dataset->n_channels + 1;
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint64 bytes = 0, largest = 0;

    for (guint i = 0; i < load->n_cases; i++) {
        const LoomCase *one = &load->dataset->cases[load->cases[i]];
        LoomVolumeHeader header;

        if (!loom_volume_header_by(one->images[0], &load->policy, &header, error)
            || !case_tell(load, host, one, &header.geometry, told, error)) {
            g_prefix_error(error, "case '%s': ", one->id);
            return FALSE;
        }
        const gint64 *size = header.geometry.size;
        const guint64 own = (guint64)(size[0] * size[1] * size[2]) * voxel_bytes;
        bytes += own;
        largest = MAX(largest, own);
    }
    load->planned = MIN(bytes, load->cache);
    loom_host_cache(host, load->planned, largest);
    return TRUE;
}

static gboolean nifti_load_open(gpointer self, LoomHost *host, GError **error)
{
    NiftiLoad *load = self;

    load->dataset = loom_host_dataset(host);
    if (!load->dataset)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "the config has no 'data:', want data: {dataset: FOLDER}");
    load->policy = load->dataset->policy;
    load->policy.limit = load->limit;
    if (load->nan)
        load->policy.nan = LOOM_NAN_ZERO;
    load->id = loom_host_id(host);
    load->seed = loom_host_seed(host);
    load->cases = loom_dataset_split(load->dataset, (LoomSplit)load->split, &load->n_cases);
    if (!load->n_cases)
        return loom_fail(error, LOOM_ERROR_CONFIG, "split '%s' of data set '%s' has no case%s",
                         load_splits[load->split], load->dataset->name,
                         load->split == LOOM_SPLIT_VALIDATE ? " (folds: 1 trains on all)" : "");
    load->n_packets = (load->epochs ? load->epochs : 1) * (gint64)load->n_cases;
    if (!load->epochs && loom_host_endless(host))
        load->n_packets = -1;
    load->order = g_new(gint64, load->n_cases);
    load->epoch = -1;
    load->kept = g_new0(Loaded, load->n_cases);
    return cases_plan(load, host, error);
}

static void loaded_clear(Loaded *loaded)
{
    g_clear_pointer(&loaded->image, loom_tensor_unref);
    g_clear_pointer(&loaded->label, loom_tensor_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Loaded, loaded_clear)

static void nifti_load_close(gpointer self)
{
    NiftiLoad *load = self;

    for (guint i = 0; load->kept && i < load->n_cases; i++)
        loaded_clear(&load->kept[i]);
    g_free(load->kept);
    g_free(load->order);
    g_free(load->cases);
}

/* ---- reading ------------------------------------------------------------------------ */

static gboolean label_read(const NiftiLoad *load, const LoomCase *one, Loaded *loaded,
                           GError **error)
{
    LoomGeometry grid;

    loaded->label = loom_dataset_read_label(load->dataset, one, &load->policy, &grid, error);
    return loaded->label
           && loom_geometry_check(&loaded->geometry, one->images[0], &grid, one->label,
                                  LOOM_GRID_TOLERANCE, error);
}

/* nan_policy: mask: what is not finite becomes 0, and counts in no loss. */
static void nan_mask(Loaded *loaded)
{
    float *x = loom_tensor_f32_mut(loaded->image);
    guint8 *label = loaded->label ? loom_tensor_u8_mut(loaded->label) : NULL;
    const gint64 *shape = loom_tensor_shape(loaded->image);
    const gint64 n = loom_tensor_count(loaded->image), volume = n / shape[0];

    for (gint64 v = 0; v < n; v++) {
        if (isfinite(x[v]))
            continue;
        x[v] = 0;
        if (label)
            label[v % volume] = LOOM_IGNORED;
    }
}

static gboolean case_read(const NiftiLoad *load, const LoomCase *one, Loaded *loaded,
                          GError **error)
{
    loaded->image =
        loom_dataset_read_image(load->dataset, one, &load->policy, &loaded->geometry, error);
    if (loaded->image && (!one->label || label_read(load, one, loaded, error))) {
        if (load->policy.nan == LOOM_NAN_MASK)
            nan_mask(loaded);
        return TRUE;
    }
    g_prefix_error(error, "case '%s': ", one->id);
    return FALSE;
}

/* Keeps the case if it still fits: first come, first kept. */
static void case_keep(NiftiLoad *load, guint place, const Loaded *loaded,
                      const LoomContext *ctx)
{
    const guint64 cache = MIN(load->cache, loom_context_cache(ctx));
    const guint64 bytes = loom_tensor_bytes(loaded->image)
                          + (loaded->label ? loom_tensor_bytes(loaded->label) : 0);

    if (bytes > cache || load->kept_bytes > cache - bytes)
        return;
    load->kept_bytes += bytes;
    load->kept[place] = *loaded;
    loom_tensor_ref(loaded->image);
    if (loaded->label)
        loom_tensor_ref(loaded->label);
}

/* ---- packets ------------------------------------------------------------------------ */

/* The place in `cases` of packet @index. */
static guint place_of(NiftiLoad *load, gint64 index)
{
    const gint64 epoch = index / load->n_cases;

    if (load->epoch != epoch) {
        LoomRng rng = loom_rng(load->seed, load->id, (guint64)epoch);

        for (gint64 i = 0; i < load->n_cases; i++)
            load->order[i] = i;
        if (load->shuffle)
            loom_rng_shuffle(&rng, load->order, load->n_cases);
        load->epoch = epoch;
    }
    return (guint)load->order[index % load->n_cases];
}

static gboolean nifti_load_start(gpointer self, LoomContext *ctx, G_GNUC_UNUSED GError **error)
{
    const NiftiLoad *load = self;

    loom_context_expect(ctx, MAX(load->n_packets, 0));
    return TRUE;
}

/* All that a packet of @one depends on: its files and what is done to them here; (transfer
 * full), NULL: a file is not there, which reading will tell. */
static char *inputs_text(const NiftiLoad *load, const LoomCase *one)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text, "nifti_load %s nan=%d prefer=%d orientation=%d labels=%u truth=%d\n",
                    one->id, load->policy.nan, load->policy.prefer, load->policy.orientation,
                    load->dataset->n_labels, load->truth);
    for (guint i = 0; i <= load->dataset->n_channels; i++) {
        const char *path = i < load->dataset->n_channels ? one->images[i] : one->label;
        struct stat status;

        if (!path)
            continue;
        if (stat(path, &status) != 0)
            return NULL;
        g_string_append_printf(text, "%s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT ".%09ld\n",
                               path, (gint64)status.st_size, (gint64)status.st_mtim.tv_sec,
                               status.st_mtim.tv_nsec);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* The files, or what is kept of them in memory. */
static gboolean case_take(NiftiLoad *load, guint place, gboolean kept_below,
                          const LoomContext *ctx, Loaded *loaded, GError **error)
{
    const Loaded *kept = &load->kept[place];

    if (!kept->image) {
        if (!case_read(load, &load->dataset->cases[load->cases[place]], loaded, error))
            return FALSE;
        if (!kept_below) /* else it will not be asked for again */
            case_keep(load, place, loaded, ctx);
        return TRUE;
    }
    *loaded = *kept;
    loom_tensor_ref(loaded->image);
    if (loaded->label)
        loom_tensor_ref(loaded->label);
    return TRUE;
}

static LoomFlow nifti_load_produce(gpointer self, LoomPacket **packet, LoomContext *ctx,
                                   GError **error)
{
    NiftiLoad *load = self;
    const gint64 index = loom_context_index(ctx);
    g_auto(Loaded) loaded = {0};

    if (load->n_packets >= 0 && index >= load->n_packets)
        return LOOM_FLOW_STOP;
    const guint place = place_of(load, index);
    const LoomCase *one = &load->dataset->cases[load->cases[place]];
    g_autofree char *inputs = inputs_text(load, one);
    const gboolean kept_below = inputs && loom_context_recall(ctx, inputs, packet);

    if (*packet)
        return LOOM_FLOW_OK;
    if (!case_take(load, place, kept_below, ctx, &loaded, error))
        return LOOM_FLOW_FAIL;
    *packet = loom_packet_new();
    loom_packet_set_id(*packet, one->id);
    loom_packet_set_geometry(*packet, &loaded.geometry);
    loom_packet_set(*packet, "image", g_steal_pointer(&loaded.image));
    if (loaded.label && load->truth)
        loom_packet_set(*packet, "truth", loom_tensor_ref(loaded.label));
    if (loaded.label)
        loom_packet_set(*packet, "label", g_steal_pointer(&loaded.label));
    return LOOM_FLOW_OK;
}

static gboolean nifti_load_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    const NiftiLoad *load = self;

    plan->c = load->dataset->n_channels;
    plan->bytes = load->planned;
    return TRUE;
}

/* Channels of several files are read one by one and put together; of one file that holds others
 * too, or in another order, all are read. */
static gboolean nifti_load_need(gpointer self, LoomPacket *sketch, LoomNeed *need,
                                G_GNUC_UNUSED GError **error)
{
    const LoomDataset *dataset = ((const NiftiLoad *)self)->dataset;
    const LoomTensor *image = loom_packet_get(sketch, "image");
    const guint64 channel = (guint64)loom_tensor_count_from(image, 'D') * sizeof(float);
    gboolean in_order = dataset->n_channels == dataset->n_volumes;

    for (guint c = 0; dataset->n_volumes && c < dataset->n_channels; c++)
        in_order = in_order && dataset->volume_of[c] == c;
    need->work = dataset->n_volumes        ? (in_order ? 0 : dataset->n_volumes * channel)
                 : dataset->n_channels > 1 ? channel
                                           : 0;
    return TRUE;
}

static const LoomStage nifti_load = {
    .base = LOOM_STAGE(
        NiftiLoad, "nifti_load", "Read the cases of the data set from NIfTI files",
        .params = nifti_load_params, .open = nifti_load_open, .close = nifti_load_close),
    .writes = nifti_load_writes,
    .produce = nifti_load_produce,
    .start = nifti_load_start,
    .plan = nifti_load_plan,
    .need = nifti_load_need,
};
LOOM_MODULE("stage_nifti_load", "0.1", &nifti_load.base);
