/* block_case - see block_case.h. */
#include "block_case.h"

#include "graph/state.h"
#include "loom_test.h"

#include <math.h>
#include <string.h>

const char *const block_part_names[N_PARTS] = {"Y",    "DX0",   "DX1",  "KERNEL",
                                               "BIAS", "SCALE", "SHIFT"};

LoomBlockSpec block_case_spec(const BlockCase *c, gboolean training)
{
    LoomBlockSpec spec = {.n = c->n,
                          .c_in = {c->c_in[0], c->c_in[1]},
                          .c_out = c->c_out,
                          .transposed = c->transposed,
                          .norm = c->norm,
                          .activation = c->activation,
                          .training = training};

    for (guint a = 0; a < 3; a++) {
        spec.in[a] = c->in[a];
        spec.kernel[a] = c->kernel[a];
        spec.stride[a] = c->stride[a];
        spec.out[a] =
            c->transposed ? c->in[a] * c->stride[a] : (c->in[a] - 1) / c->stride[a] + 1;
    }
    return spec;
}

gint64 block_case_count(const BlockCase *c, BlockPart part)
{
    const LoomBlockSpec spec = block_case_spec(c, TRUE);
    const gint64 inner = c->in[0] * c->in[1] * c->in[2];
    const gint64 taps = c->kernel[0] * c->kernel[1] * c->kernel[2];

    switch (part) {
    case PART_Y:
        return c->n * c->c_out * spec.out[0] * spec.out[1] * spec.out[2];
    case PART_DX0:
    case PART_DX1:
        return c->n * c->c_in[part - PART_DX0] * inner;
    case PART_KERNEL:
        return c->c_out * (c->c_in[0] + c->c_in[1]) * taps;
    case PART_BIAS:
        return c->c_out;
    case PART_SCALE:
    case PART_SHIFT:
        return c->norm ? c->c_out : 0;
    case N_PARTS:
        break;
    }
    g_assert_not_reached();
}

float *block_case_input(const BlockCase *c, const char *name, gint64 count)
{
    LoomRng rng = loom_rng(1, name, (guint64)(c->c_out + 100 * c->in[2]));
    float *values = g_new(float, (gsize)count);

    for (gint64 i = 0; i < count; i++)
        values[i] = (float)loom_rng_uniform(&rng, -1.0, 1.0);
    return values;
}

/* ---- the backend -------------------------------------------------------------------- */

BlockDevice *block_device_new(const char *name, guint threads)
{
    static const char *const reserved[] = {NULL};
    const LoomScope scope = {.registry = loom_test_registry()};
    g_autofree char *yaml = g_strdup_printf("{use: %s}", name);
    BlockDevice *device = g_new0(BlockDevice, 1);
    GError *error = NULL;

    device->node = loom_yaml_parse(yaml, strlen(yaml), "test", "/", &error);
    g_assert_no_error(error);
    device->pool = loom_pool_new(threads);
    LoomRun run = {.seed = 1, .pool = device->pool};
    LoomHost host = {&run, "test", NULL};

    device->instance =
        loom_instance_new(LOOM_KIND_BACKEND, NULL, device->node, reserved, &scope, &error);
    g_assert_no_error(error);
    loom_instance_open(device->instance, &host, &error);
    g_assert_no_error(error);
    device->backend = (const LoomBackend *)device->instance->plugin;
    device->self = device->instance->self;
    return device;
}

void block_device_free(BlockDevice *device)
{
    loom_instance_free(device->instance);
    loom_node_free(device->node);
    loom_pool_free(device->pool);
    g_free(device);
}

static float *input_of(const BlockDevice *d, const BlockCase *c, const char *name, gint64 count)
{
    float *values = block_case_input(c, name, count);

    for (gint64 i = 0; d->whole && i < count; i++)
        values[i] = roundf(values[i]);
    return values;
}

static LoomArray *array_of(const BlockDevice *d, const BlockCase *c, const char *name,
                           gint64 count)
{
    g_autofree float *values = input_of(d, c, name, count);
    LoomArray *array = count ? d->backend->array_new(d->self, count, NULL) : NULL;

    if (array)
        d->backend->array_write(d->self, array, values);
    return array;
}

static float *array_values(const BlockDevice *d, const LoomArray *array, gint64 count)
{
    float *values = g_new0(float, (gsize)count);

    d->backend->array_read(d->self, array, values);
    return values;
}

static LoomBlockWeights weights_new(const BlockDevice *d, const BlockCase *c,
                                    const char *const names[4])
{
    return (LoomBlockWeights){
        .kernel = array_of(d, c, names[0], block_case_count(c, PART_KERNEL)),
        .bias = array_of(d, c, names[1], c->c_out),
        .scale = array_of(d, c, names[2], c->norm ? c->c_out : 0),
        .shift = array_of(d, c, names[3], c->norm ? c->c_out : 0),
    };
}

static void weights_free(const BlockDevice *d, LoomBlockWeights *w)
{
    d->backend->array_free(d->self, w->kernel);
    d->backend->array_free(d->self, w->bias);
    d->backend->array_free(d->self, w->scale);
    d->backend->array_free(d->self, w->shift);
}

/* @values NULL: NaN everywhere, so that what is not overwritten shows. */
static void map_fill(const BlockDevice *d, LoomMap *map, const gint64 shape[5],
                     const float *values)
{
    g_autoptr(LoomTensor) tensor = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);

    for (gint64 i = 0; i < loom_tensor_count(tensor); i++)
        loom_tensor_f32_mut(tensor)[i] = values ? values[i] : NAN;
    d->backend->map_import(d->self, tensor, map);
}

static float *map_values(const BlockDevice *d, const LoomMap *map, const gint64 shape[5])
{
    g_autoptr(LoomTensor) tensor = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);

    d->backend->map_export(d->self, map, tensor);
    return g_memdup2(loom_tensor_f32(tensor), loom_tensor_bytes(tensor));
}

/* ---- the run ------------------------------------------------------------------------ */

typedef struct {
    const BlockCase *c;
    const BlockDevice *d;
    LoomBlock *block;
    LoomBlockWeights w;
    LoomMap *x[2], *y;
    gint64 x_shape[2][5], y_shape[5];
    BlockResult *result;
    LoomArena *arena; /* NULL: each map has memory of its own */
    guint64 room;     /* of a map in the arena */
} Bench;

/* Where maps lie in the arena: each in a room of its own, unless told otherwise. */
enum { ROOM_Y, ROOM_X, ROOM_DY = ROOM_X + 2, ROOM_DX, ROOMS = ROOM_DX + 2 };

static void bench_arena(Bench *bench)
{
    const BlockDevice *d = bench->d;

    bench->room = d->backend->map_bytes(d->self, bench->y_shape);
    for (guint i = 0; i < 2 && bench->c->c_in[i]; i++)
        bench->room = MAX(bench->room, d->backend->map_bytes(d->self, bench->x_shape[i]));
    bench->room = (bench->room + 63) / 64 * 64;
    bench->arena = d->backend->arena_new(d->self, ROOMS * bench->room, NULL);
    g_assert_nonnull(bench->arena);
}

static LoomMap *bench_map(const Bench *bench, guint room, const gint64 shape[5])
{
    const BlockDevice *d = bench->d;
    LoomMap *map = bench->arena ? d->backend->arena_map(d->self, bench->arena,
                                                        room * bench->room, shape, NULL)
                                : d->backend->map_new(d->self, shape, NULL);

    g_assert_nonnull(map);
    return map;
}

/* The gradient of input @i, where y or x lie already if it may be there. */
static LoomMap *bench_gradient(const Bench *bench, guint i)
{
    const BlockCase *c = bench->c;
    const gint64 *shape = bench->x_shape[i];
    g_autofree char *name = g_strdup_printf("before DX%u", i);
    g_autofree float *before = input_of(bench->d, c, name, block_case_count(c, PART_DX0 + i));
    const gboolean moves = bench->arena && !c->add[i] && (i == 0 || !c->transposed);
    LoomMap *map = bench_map(bench, moves ? (i ? ROOM_X : ROOM_Y) : ROOM_DX + i, shape);

    if (!moves)
        map_fill(bench->d, map, shape, c->add[i] ? before : NULL);
    return map;
}

static void bench_backward(Bench *bench)
{
    static const char *const names[4] = {"before KERNEL", "before BIAS", "before SCALE",
                                         "before SHIFT"};
    const BlockCase *c = bench->c;
    const BlockDevice *d = bench->d;
    BlockResult *result = bench->result;
    g_autofree float *dy_values = input_of(d, c, "dy", result->count[PART_Y]);
    LoomMap *dy = bench_map(bench, ROOM_DY, bench->y_shape);
    LoomBlockWeights dw = weights_new(d, c, names);
    LoomBlockGradient dx[2] = {{0}};

    map_fill(d, dy, bench->y_shape, dy_values);
    for (guint i = 0; i < 2; i++)
        if (bench->x[i] && !c->unwanted[i])
            dx[i] = (LoomBlockGradient){bench_gradient(bench, i), c->add[i]};
    d->backend->backward(d->self, bench->block, (const LoomMap *const *)bench->x, &bench->w,
                         bench->y, dy, dx, &dw);
    const LoomArray *const arrays[] = {dw.kernel, dw.bias, dw.scale, dw.shift};
    for (guint i = 0; i < G_N_ELEMENTS(arrays); i++)
        if ((result->count[PART_KERNEL + i] = block_case_count(c, PART_KERNEL + i)))
            result->part[PART_KERNEL + i] =
                array_values(d, arrays[i], result->count[PART_KERNEL + i]);
    for (guint i = 0; i < 2; i++)
        if (dx[i].map) {
            result->count[PART_DX0 + i] = block_case_count(c, PART_DX0 + i);
            result->part[PART_DX0 + i] = map_values(d, dx[i].map, bench->x_shape[i]);
            d->backend->map_free(d->self, dx[i].map);
        }
    weights_free(d, &dw);
    d->backend->map_free(d->self, dy);
}

BlockResult *block_case_run(const BlockCase *c, const BlockDevice *d, gboolean training)
{
    static const char *const names[4] = {"kernel", "bias", "scale", "shift"};
    static const char *const inputs[2] = {"x0", "x1"};
    const LoomBlockSpec spec = block_case_spec(c, training);
    Bench bench = {.c = c, .d = d, .result = g_new0(BlockResult, 1)};
    GError *error = NULL;

    bench.block = d->backend->block_new(d->self, &spec, &error);
    g_assert_no_error(error);
    bench.w = weights_new(d, c, names);
    memcpy(bench.y_shape,
           (const gint64[]){c->n, c->c_out, spec.out[0], spec.out[1], spec.out[2]},
           sizeof bench.y_shape);
    for (guint i = 0; i < 2 && c->c_in[i]; i++)
        memcpy(bench.x_shape[i],
               (const gint64[]){c->n, c->c_in[i], c->in[0], c->in[1], c->in[2]},
               sizeof bench.x_shape[i]);
    if (d->shares)
        bench_arena(&bench);
    for (guint i = 0; i < 2 && c->c_in[i]; i++) {
        g_autofree float *values = input_of(d, c, inputs[i], block_case_count(c, PART_DX0 + i));

        bench.x[i] = bench_map(&bench, ROOM_X + i, bench.x_shape[i]);
        map_fill(d, bench.x[i], bench.x_shape[i], values);
    }
    bench.y = bench_map(&bench, ROOM_Y, bench.y_shape);
    map_fill(d, bench.y, bench.y_shape, NULL);
    d->backend->forward(d->self, bench.block, (const LoomMap *const *)bench.x, &bench.w,
                        bench.y);
    bench.result->count[PART_Y] = block_case_count(c, PART_Y);
    bench.result->part[PART_Y] = map_values(d, bench.y, bench.y_shape);
    if (training)
        bench_backward(&bench);
    d->backend->map_free(d->self, bench.y);
    d->backend->map_free(d->self, bench.x[0]);
    d->backend->map_free(d->self, bench.x[1]);
    if (bench.arena)
        d->backend->arena_free(d->self, bench.arena);
    weights_free(d, &bench.w);
    d->backend->block_free(d->self, bench.block);
    return bench.result;
}

void block_result_free(BlockResult *result)
{
    for (guint i = 0; i < N_PARTS; i++)
        g_free(result->part[i]);
    g_free(result);
}

double block_error(const float *a, const float *b, gint64 count)
{
    double difference = 0.0, norm = 0.0;

    for (gint64 i = 0; i < count; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        norm += (double)b[i] * (double)b[i];
    }
    return difference == 0.0 ? 0.0 : sqrt(difference / norm);
}
