/* What the backend `cpu` says it will take is what it takes, to the byte for a map or a block,
 * to a page of 2 MiB for a network, whose activations share memory: its allocations are
 * counted, the linker leads them through here (--wrap). */
#include "loom_test.h"

#include "../../plugins/backend/cpu.h"
#include "../../plugins/model/unet3d_plan.h"
#include "graph/state.h"

#include <stdlib.h>

extern const LoomModule loom_module; /* of the backend, linked into this test */

/* ---- counting --------------------------------------------------------------------------- */

static GHashTable *sizes; /* address -> bytes; NULL: not counting */
static gsize taken;

static void *count(void *memory, gsize bytes)
{
    if (sizes && memory) {
        g_hash_table_insert(sizes, memory, GSIZE_TO_POINTER(bytes));
        taken += bytes;
    }
    return memory;
}

static void forget(void *memory)
{
    if (sizes && memory) {
        taken -= GPOINTER_TO_SIZE(g_hash_table_lookup(sizes, memory));
        g_hash_table_remove(sizes, memory);
    }
}

int __real_posix_memalign(void **memory, gsize alignment, gsize bytes);
LOOM_EXPORT int __wrap_posix_memalign(void **memory, gsize alignment, gsize bytes);
int __wrap_posix_memalign(void **memory, gsize alignment, gsize bytes)
{
    const int failed = __real_posix_memalign(memory, alignment, bytes);

    if (!failed)
        count(*memory, bytes);
    return failed;
}

void __real_free(void *memory);
LOOM_EXPORT void __wrap_free(void *memory);
void __wrap_free(void *memory)
{
    forget(memory);
    __real_free(memory);
}

void __real_g_free(gpointer memory);
LOOM_EXPORT void __wrap_g_free(gpointer memory);
void __wrap_g_free(gpointer memory)
{
    forget(memory);
    __real_g_free(memory);
}

#define COUNTED(call)                                                                          \
    gpointer __real_##call(gsize bytes);                                                       \
    LOOM_EXPORT gpointer __wrap_##call(gsize bytes);                                           \
    gpointer __wrap_##call(gsize bytes)                                                        \
    {                                                                                          \
        return count(__real_##call(bytes), bytes);                                             \
    }
#define COUNTED_ITEMS(call)                                                                    \
    gpointer __real_##call(gsize items, gsize bytes);                                          \
    LOOM_EXPORT gpointer __wrap_##call(gsize items, gsize bytes);                              \
    gpointer __wrap_##call(gsize items, gsize bytes)                                           \
    {                                                                                          \
        return count(__real_##call(items, bytes), items * bytes);                              \
    }
COUNTED(g_malloc)
COUNTED(g_malloc0)
COUNTED_ITEMS(g_malloc_n)
COUNTED_ITEMS(g_malloc0_n)

static void counting_start(void)
{
    taken = 0;
    sizes = g_hash_table_new(NULL, NULL);
}

static gsize counting_stop(void)
{
    g_clear_pointer(&sizes, g_hash_table_unref);
    return taken;
}

/* ---- the backend ---------------------------------------------------------------------- */

typedef struct {
    LoomRun run;
    LoomHost host;
    Cpu cpu;
    LoomInstance instance;
} Device;

static Device *device_new(CpuPlan plan, CpuPrecision precision)
{
    const LoomPlugin *plugin = loom_module.plugins[0];
    Device *d = g_new0(Device, 1);
    GError *error = NULL;

    d->run.pool = loom_pool_new(2);
    d->host = (LoomHost){&d->run, "test", NULL};
    d->cpu.plan = (int)plan;
    d->cpu.precision = (int)precision;
    d->instance = (LoomInstance){plugin, &d->cpu, "cpu"};
    g_assert_true(plugin->open(&d->cpu, &d->host, &error));
    g_assert_no_error(error);
    return d;
}

static void device_free(Device *d)
{
    d->instance.plugin->close(&d->cpu);
    loom_pool_free(d->run.pool);
    g_free(d);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Device, device_free)

/* ---- one map, one block --------------------------------------------------------------- */

static void map_said(Device *d, const gint64 shape[5])
{
    LoomMap *map;

    counting_start();
    map = map_new(&d->cpu, shape, NULL);
    g_assert_cmpuint(counting_stop(), ==, map_bytes(&d->cpu, shape));
    map_free(&d->cpu, map);
}

static void test_map(void)
{
    for (CpuPrecision p = CPU_F32; p < CPU_PRECISIONS; p++) {
        g_autoptr(Device) d = device_new(CPU_PLAN_FIXED, p);

        map_said(d, (const gint64[]){1, 1, 1, 1, 1});
        map_said(d, (const gint64[]){2, 17, 3, 5, 7});
        map_said(d, (const gint64[]){1, 16, 32, 32, 64}); /* 4 MiB: in large pages */
        map_said(d, (const gint64[]){2, 16, 64, 32, 64});
        /* which it need not fill */
        g_assert_cmpuint(map_bytes(&d->cpu, (const gint64[]){2, 16, 64, 32, 64}), <,
                         (p == CPU_BF16 ? 8 << 20 : 16 << 20) + 1024);
        map_said(d, (const gint64[]){1, 3, 41, 43, 47});
        map_said(d, (const gint64[]){3, 9, 1, 1, 1});
        /* of few channels no more than their numbers and a few hundred bytes */
        g_assert_cmpuint(map_bytes(&d->cpu, (const gint64[]){2, 3, 41, 43, 47}), <,
                         2 * 3 * 41 * 43 * 47 * sizeof(float) + 1024);
    }
}

static void block_said(CpuPlan plan, gboolean training)
{
    g_autoptr(Device) d = device_new(plan, CPU_F32);
    const LoomBlockSpec spec = {.n = 2,
                                .c_in = {17, 5},
                                .c_out = 40,
                                .in = {20, 28, 20},
                                .out = {20, 28, 20},
                                .kernel = {3, 3, 3},
                                .stride = {1, 1, 1},
                                .norm = TRUE,
                                .activation = TRUE,
                                .training = training};
    const guint64 said = block_bytes(&d->cpu, &spec) + block_workspace(&d->cpu, &spec);
    LoomBlock *block;

    counting_start();
    block = block_new(&d->cpu, &spec, NULL);
    g_assert_cmpuint(counting_stop(), ==, said);
    block_free(&d->cpu, block);
}

static void test_block(void)
{
    for (CpuPlan plan = CPU_PLAN_FIXED; plan <= CPU_PLAN_F4; plan++) {
        block_said(plan, FALSE);
        block_said(plan, TRUE);
    }
}

/* ---- a whole network ------------------------------------------------------------------ */

/* Returns: the bytes of all maps. */
static guint64 network_said(CpuPlan plan, CpuPrecision precision, gboolean training)
{
    g_autoptr(Device) d = device_new(plan, precision);
    const UnetDesign design = {.in_channels = 1,
                               .classes = 3,
                               .levels = 3,
                               .heads = 1,
                               .features = {16, 32, 64},
                               .kernel = {{3, 3, 3}, {3, 3, 3}, {3, 3, 3}},
                               .stride = {{1, 1, 1}, {2, 2, 2}, {2, 2, 2}}};
    const UnetPlanKey key = {.n = 4, .size = {40, 56, 40}, .n_logits = 1, .training = training};
    UnetLayers layers;
    GError *error = NULL;

    unet_layers_make(&design, &layers);
    UnetPlan *network = unet_plan_layout(&design, &layers, &key, &d->instance);
    const guint64 said = unet_plan_bytes(network, &d->instance);

    counting_start();
    g_assert_true(unet_plan_allocate(network, &d->instance, &error));
    g_assert_no_error(error);
    const gsize took = counting_stop();
    g_assert_cmpuint(took, >=, said);
    g_assert_cmpuint(took - said, <, (2 << 20) + (64 << 10));
    g_test_message("%.1f MiB", (double)said / 1048576.0);
    const guint64 maps = network->arena_bytes;
    unet_plan_free(network, &d->instance);
    return maps;
}

static void test_network(void)
{
    network_said(CPU_PLAN_FIXED, CPU_F32, FALSE);
    network_said(CPU_PLAN_FIXED, CPU_F32, TRUE);
    network_said(CPU_PLAN_DIRECT, CPU_F32, TRUE);
    network_said(CPU_PLAN_F4, CPU_F32, TRUE);
}

/* Maps of bf16 are half of those of f32, but for the image and the logits, which are f32. */
static void test_bf16(void)
{
    for (guint training = 0; training < 2; training++) {
        const guint64 f32 = network_said(CPU_PLAN_FIXED, CPU_F32, training > 0);
        const guint64 bf16 = network_said(CPU_PLAN_FIXED, CPU_BF16, training > 0);

        g_assert_cmpfloat((double)bf16, <, 0.6 * (double)f32);
        g_assert_cmpfloat((double)bf16, >, 0.5 * (double)f32);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/memory/map", test_map);
    g_test_add_func("/cpu/memory/block", test_block);
    g_test_add_func("/cpu/memory/network", test_network);
    g_test_add_func("/cpu/memory/bf16", test_bf16);
    return loom_test_run();
}
