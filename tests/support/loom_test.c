/* loom_test - see loom_test.h. */
#include "loom_test.h"

#include "core/packet.h"
#include "graph/state.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

/* ---- tensors ------------------------------------------------------------------------ */

static LoomTensor *tensor_new(LoomDtype dtype, const char *axes, const gint64 *shape,
                              gsize rank)
{
    LoomTensor *tensor;

    g_assert_cmpuint(strlen(axes), ==, rank);
    tensor = loom_tensor_new(dtype, axes, shape, NULL);
    g_assert_nonnull(tensor);
    return tensor;
}

LoomTensor *loom_test_f32(const char *axes, const gint64 *shape, gsize rank,
                          const float *values, gsize n)
{
    LoomTensor *tensor = tensor_new(LOOM_F32, axes, shape, rank);

    g_assert_cmpint((gint64)n, ==, loom_tensor_count(tensor));
    memcpy(loom_tensor_f32_mut(tensor), values, n * sizeof *values);
    return tensor;
}

LoomTensor *loom_test_u8(const char *axes, const gint64 *shape, gsize rank,
                         const guint8 *values, gsize n)
{
    LoomTensor *tensor = tensor_new(LOOM_U8, axes, shape, rank);

    g_assert_cmpint((gint64)n, ==, loom_tensor_count(tensor));
    memcpy(loom_tensor_u8_mut(tensor), values, n);
    return tensor;
}

LoomTensor *loom_test_random(const char *axes, const gint64 *shape, gsize rank, guint64 seed,
                             double low, double high)
{
    LoomTensor *tensor = tensor_new(LOOM_F32, axes, shape, rank);
    LoomRng rng = loom_rng(seed, "test", 0);

    for (gint64 i = 0; i < loom_tensor_count(tensor); i++)
        loom_tensor_f32_mut(tensor)[i] = (float)loom_rng_uniform(&rng, low, high);
    return tensor;
}

LoomTensor *loom_test_random_labels(const char *axes, const gint64 *shape, gsize rank,
                                    guint64 seed, gint64 classes)
{
    LoomTensor *tensor = tensor_new(LOOM_U8, axes, shape, rank);
    LoomRng rng = loom_rng(seed, "test labels", 0);

    for (gint64 i = 0; i < loom_tensor_count(tensor); i++)
        loom_tensor_u8_mut(tensor)[i] = (guint8)loom_rng_below(&rng, classes);
    return tensor;
}

gboolean loom_test_equal(const LoomTensor *a, const LoomTensor *b)
{
    const gsize bytes = loom_tensor_bytes(a);

    if (loom_tensor_dtype(a) != loom_tensor_dtype(b) || loom_tensor_bytes(b) != bytes
        || !g_str_equal(loom_tensor_axes(a), loom_tensor_axes(b))
        || memcmp(loom_tensor_shape(a), loom_tensor_shape(b),
                  loom_tensor_rank(a) * sizeof(gint64))
               != 0)
        return FALSE;
    const void *x =
        loom_tensor_dtype(a) == LOOM_U8 ? (const void *)loom_tensor_u8(a) : loom_tensor_f32(a);
    const void *y =
        loom_tensor_dtype(b) == LOOM_U8 ? (const void *)loom_tensor_u8(b) : loom_tensor_f32(b);
    return memcmp(x, y, bytes) == 0;
}

/* ---- plugins ------------------------------------------------------------------------ */

LoomRegistry *loom_test_registry(void)
{
    static LoomRegistry *registry;
    g_autoptr(GError) error = NULL;

    if (!registry) {
        registry = loom_registry_new();
        loom_registry_load_all(registry, NULL, &error);
        g_assert_no_error(error);
    }
    return registry;
}

LoomInstance *loom_test_instance(LoomKind kind, const char *yaml, const LoomInstance *backend,
                                 GError **error)
{
    static LoomRun *bare; /* what the host of every such plugin points to */
    static GPtrArray *nodes;
    const LoomScope scope = {.registry = loom_test_registry()};
    g_autoptr(GError) cause = NULL;
    LoomNode *node = loom_yaml_parse(yaml, strlen(yaml), "test", "/", &cause);

    if (!bare) {
        bare = g_new0(LoomRun, 1);
        bare->seed = 1;
        bare->pool = loom_pool_new(2);
    }
    if (!nodes)
        nodes = g_ptr_array_new();
    g_ptr_array_add(nodes, node);
    g_assert_no_error(cause);
    bare->backend = (LoomInstance *)(guintptr)backend;
    LoomHost host = {bare, "test", NULL};
    g_autoptr(LoomInstance) instance =
        loom_instance_new(kind, NULL, node, NULL, &scope, &cause);
    /* The node lives as long as the process: instances borrow it for their messages. */
    const gboolean opened = instance && loom_instance_open(instance, &host, &cause);
    if (!error)
        g_assert_no_error(cause);
    if (opened)
        return g_steal_pointer(&instance);
    g_propagate_error(error, g_steal_pointer(&cause));
    return NULL;
}

double loom_test_eval(const LoomInstance *loss, const LoomTensor *logits,
                      const LoomTensor *target, LoomTensor *dlogits)
{
    GError *error = NULL;
    double value = NAN;

    loom_loss_eval(loss, logits, target, &value, dlogits, &error);
    g_assert_no_error(error);
    return value;
}

/* ---- one stage between two hands ---------------------------------------------------- */

struct _LoomTestStage {
    LoomRegistry *registry;
    LoomNode *config;
    LoomRun *run;
    LoomHop *hop;
    LoomWorker worker;
};

typedef struct {
    GPtrArray *out;
} Keep;

static gboolean keep_open(gpointer self, G_GNUC_UNUSED LoomHost *host,
                          G_GNUC_UNUSED GError **error)
{
    ((Keep *)self)->out = g_ptr_array_new_with_free_func((GDestroyNotify)loom_packet_free);
    return TRUE;
}

static void keep_close(gpointer self)
{
    g_clear_pointer(&((Keep *)self)->out, g_ptr_array_unref);
}

static gboolean keep_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                         G_GNUC_UNUSED GError **error)
{
    g_ptr_array_add(((Keep *)self)->out, loom_packet_fork(packet));
    return TRUE;
}

static LoomFlow feed_produce(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomPacket **packet,
                             G_GNUC_UNUSED LoomContext *ctx, G_GNUC_UNUSED GError **error)
{
    return LOOM_FLOW_STOP; /* packets come by loom_test_push */
}

static LoomRegistry *registry_with_hands(const LoomStage *tested)
{
    LoomRegistry *registry = loom_registry_new();
    const LoomStage keep = {
        .base = LOOM_STAGE(Keep, "test_keep", "Keeps what arrives", .open = keep_open,
                           .close = keep_close),
        .map = keep_map,
    };
    const LoomStage feed = {
        .base = LOOM_STAGE(Keep, "test_feed", "Promises what the tested stage reads",
                           .params = NULL),
        .writes = tested->reads,
        .produce = feed_produce,
    };
    const LoomPlugin *const plugins[] = {&keep.base, &feed.base, NULL};
    static LoomModule module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, "test", "0", NULL};
    g_autoptr(GError) error = NULL;

    loom_registry_load_all(registry, NULL, &error);
    g_assert_no_error(error);
    module.plugins = plugins;
    loom_registry_add(registry, &module, "test", &error);
    g_assert_no_error(error);
    return registry;
}

static char *config_text(const char *yaml, const LoomStage *tested, const LoomTestSetup *setup)
{
    g_autoptr(GString) stage = g_string_new(yaml);
    GString *text = g_string_new(NULL);

    if (!tested->produce) { /* "{use: crop, ...}" gains its edge */
        g_assert_true(g_str_has_suffix(yaml, "}"));
        g_string_truncate(stage, stage->len - 1);
        g_string_append(stage, ", from: feed}");
    }
    g_string_append_printf(text,
                           "segloom: 1\nseed: %" G_GUINT64_FORMAT "\n%s\ngraphs:\n  test:\n",
                           setup->seed, setup->sections ? setup->sections : "");
    if (!tested->produce)
        g_string_append(text, "    feed: {use: test_feed}\n");
    g_string_append_printf(text, "    it: %s\n    keep: {use: test_keep, from: it}\n",
                           stage->str);
    g_string_append_printf(text, "run: {graph: test%s%s}\n", setup->run ? ", " : "",
                           setup->run ? setup->run : "");
    return g_string_free(text, FALSE);
}

static const LoomStage *stage_named(const char *yaml)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) node = loom_yaml_parse(yaml, strlen(yaml), "test", "/", &error);
    const LoomPlugin *plugin;

    g_assert_no_error(error);
    plugin = loom_registry_find(loom_test_registry(), LOOM_KIND_STAGE,
                                loom_node_get(node, "use")->text);
    g_assert_nonnull(plugin);
    return (const LoomStage *)plugin;
}

LoomTestStage *loom_test_stage(const char *yaml, const LoomTestSetup *setup, GError **error)
{
    static const LoomTestSetup plain = {.seed = 1};
    g_autoptr(LoomTestStage) stage = g_new0(LoomTestStage, 1);
    g_autoptr(GError) cause = NULL;
    const LoomStage *tested = stage_named(yaml);

    setup = setup ? setup : &plain;
    g_autofree char *text = config_text(yaml, tested, setup);
    const LoomRunOptions options = {
        .folder = setup->folder, .resume = setup->resume, .dataset = setup->dataset};
    stage->registry = registry_with_hands(tested);
    stage->config = loom_yaml_parse(text, strlen(text), "test", "/", &cause);
    g_assert_no_error(cause);
    stage->run = loom_run_open(stage->config, stage->registry, &options, &cause);
    if (!error)
        g_assert_no_error(cause);
    if (!stage->run) {
        g_propagate_error(error, g_steal_pointer(&cause));
        return NULL;
    }
    stage->hop = loom_graph_find(stage->run->main, "it");
    stage->worker = (LoomWorker){stage->run, stage->hop->lane, 0, NULL};
    return g_steal_pointer(&stage);
}

void loom_test_stage_free(LoomTestStage *stage)
{
    if (!stage)
        return;
    loom_run_free(stage->run);
    loom_node_free(stage->config);
    loom_registry_free(stage->registry);
    g_free(stage);
}

LoomFlow loom_test_push(LoomTestStage *stage, LoomPacket *packet, gint64 index, GError **error)
{
    g_autoptr(GError) cause = NULL;
    LoomFlow flow;

    loom_packet_set_index(packet, index);
    flow = loom_hop_run(&stage->worker, stage->hop, packet, &cause);
    if (!error)
        g_assert_no_error(cause);
    else
        g_propagate_error(error, g_steal_pointer(&cause));
    return flow;
}

static LoomContext context_at(LoomTestStage *stage, gboolean push, gint64 index)
{
    return (LoomContext){stage->run, push ? &stage->worker : NULL, stage->hop, index, 0, FALSE};
}

static LoomFlow called(LoomFlow flow, GError *cause, GError **error)
{
    if (!error)
        g_assert_no_error(cause);
    g_assert_true((flow == LOOM_FLOW_FAIL) == (cause != NULL));
    if (cause)
        g_propagate_error(error, cause);
    return flow;
}

LoomPacket *loom_test_produce(LoomTestStage *stage, gint64 index, GError **error)
{
    LoomContext ctx = context_at(stage, FALSE, index);
    LoomPacket *packet = NULL;
    GError *cause = NULL;
    const LoomFlow flow =
        stage->hop->stage->produce(loom_test_self(stage), &packet, &ctx, &cause);

    g_assert_true((flow == LOOM_FLOW_OK) == (packet != NULL));
    called(flow, cause, error);
    return packet;
}

gboolean loom_test_need(LoomTestStage *stage, LoomPacket *sketch, LoomNeed *need,
                        GError **error)
{
    GError *cause = NULL;

    g_assert_nonnull(stage->hop->stage->need);
    const gboolean done = stage->hop->stage->need(loom_test_self(stage), sketch, need, &cause);
    return called(done ? LOOM_FLOW_OK : LOOM_FLOW_FAIL, cause, error) == LOOM_FLOW_OK;
}

LoomFlow loom_test_start(LoomTestStage *stage, GError **error)
{
    LoomContext ctx = context_at(stage, FALSE, 0);
    GError *cause = NULL;

    if (!stage->hop->stage->start)
        return LOOM_FLOW_OK;
    const gboolean done = stage->hop->stage->start(loom_test_self(stage), &ctx, &cause);
    return called(done ? LOOM_FLOW_OK : LOOM_FLOW_FAIL, cause, error);
}

LoomFlow loom_test_flush(LoomTestStage *stage, GError **error)
{
    LoomContext ctx = context_at(stage, TRUE, MAX(stage->hop->last, 0));
    GError *cause = NULL;

    if (!stage->hop->stage->flush)
        return LOOM_FLOW_OK;
    const LoomFlow flow = stage->hop->stage->flush(loom_test_self(stage), &ctx, &cause);
    return called(flow, cause, error); /* not one expression: arguments have no order */
}

LoomFlow loom_test_finish(LoomTestStage *stage, GError **error)
{
    LoomContext ctx = context_at(stage, FALSE, stage->hop->last);
    GError *cause = NULL;

    if (!stage->hop->stage->finish)
        return LOOM_FLOW_OK;
    const gboolean done = stage->hop->stage->finish(loom_test_self(stage), &ctx, &cause);
    return called(done ? LOOM_FLOW_OK : LOOM_FLOW_FAIL, cause, error);
}

GPtrArray *loom_test_out(LoomTestStage *stage)
{
    return ((Keep *)loom_graph_find(stage->run->main, "keep")->instances[0]->self)->out;
}

const LoomPacket *loom_test_through(LoomTestStage *stage, LoomTensor *image, LoomTensor *label,
                                    gint64 index)
{
    LoomPacket *packet = loom_packet_new();
    GPtrArray *out = loom_test_out(stage);

    loom_packet_set(packet, "image", image);
    if (label)
        loom_packet_set(packet, "label", label);
    g_ptr_array_set_size(out, 0);
    g_assert_cmpint(loom_test_push(stage, packet, index, NULL), ==, LOOM_FLOW_OK);
    return out->pdata[0];
}

gpointer loom_test_self(LoomTestStage *stage)
{
    return stage->hop->instances[0]->self;
}

LoomRun *loom_test_stage_run(LoomTestStage *stage)
{
    return stage->run;
}

/* ---- folders ---------------------------------------------------------------------- */

char *loom_test_folder(void)
{
    g_autoptr(GError) error = NULL;
    char *folder = g_dir_make_tmp("segloom-XXXXXX", &error);

    g_assert_no_error(error);
    return folder;
}

void loom_test_folder_remove(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_DIR) && !g_file_test(path, G_FILE_TEST_IS_SYMLINK))
            loom_test_folder_remove(path);
        else
            g_remove(path);
    }
    g_rmdir(folder);
}

guint loom_test_folder_count(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint n = 0;

    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

/* GLib, libzmq and the C++ library under it are not instrumented: ThreadSanitizer sees neither
 * that the last g_bytes_unref comes after all others, nor the locks of GVariant's table of
 * types and of g_log, nor that GLib publishes a lock it has just allocated with a
 * compare-and-swap, nor the queues between libzmq's threads. */
LOOM_EXPORT const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:g_bytes_unref\n"
           "race:g_variant_type_info_get\n"
           "race:g_rw_lock_\n"
           "race:g_rec_mutex_\n"
           "race:g_log_writer_format_fields\n"
           "called_from_lib:libzmq.so\n"
           "called_from_lib:libstdc++.so\n";
}

/* Memory whose size a user chose may be refused: that is an error to be tested, no reason to
 * end the test. */
LOOM_EXPORT const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

LOOM_EXPORT const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "allocator_may_return_null=1";
}

int loom_test_run(void)
{
    const int result = g_test_run();

    g_assert_cmpint(loom_tensor_alive(), ==, 0);
    return result;
}
