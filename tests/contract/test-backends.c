/* Every backend of the registry computes what the reference computes, with the same bits on any
 * number of threads, and moves weights as PyTorch does. */
#include "block_case.h"
#include "loom_test.h"

#include <string.h>

/* Sizes of 1, primes, none a multiple of 8, and some that need several tiles or portions. */
static const BlockCase cases[] = {
    /* n, inputs, outputs, D,H,W, kernel, stride, transposed, norm, activation, unwanted, add */
    {"one voxel", 1, {1, 0}, 1, ONE, THREE, ONE, NO, NO, NO, {0}, {0}},
    {"one voxel, normed", 2, {3, 0}, 5, ONE, THREE, ONE, NO, YES, YES, {0}, {0}},
    {"a needle", 1, {2, 0}, 3, {1, 1, 13}, THREE, ONE, NO, YES, YES, {0}, {0}},
    {"a column", 2, {2, 0}, 3, {13, 1, 1}, THREE, ONE, NO, NO, YES, {0}, {YES, NO}},
    {"primes", 2, {3, 0}, 5, {7, 11, 13}, THREE, ONE, NO, YES, YES, {0}, {0}},
    {"wide rows", 1, {2, 0}, 3, {2, 3, 601}, THREE, ONE, NO, NO, NO, {0}, {0}},
    {"two inputs", 2, {5, 3}, 7, {5, 9, 11}, THREE, ONE, NO, YES, YES, {0}, {0}},
    {"two inputs, added to",
     1,
     {5, 3},
     7,
     {3, 9, 7},
     THREE,
     ONE,
     NO,
     YES,
     YES,
     {0},
     {YES, YES}},
    {"first unwanted", 1, {2, 3}, 4, {3, 5, 7}, THREE, ONE, NO, NO, YES, {YES, NO}, {NO, YES}},
    {"second unwanted", 1, {2, 3}, 4, {3, 5, 7}, THREE, ONE, NO, NO, NO, {NO, YES}, {YES, NO}},
    {"both unwanted", 1, {1, 0}, 9, {5, 7, 9}, THREE, ONE, NO, YES, YES, {YES, YES}, {0}},
    {"many channels", 1, {47, 0}, 45, {7, 8, 9}, THREE, ONE, NO, YES, YES, {0}, {0}},
    {"many tiles", 2, {17, 3}, 33, {9, 13, 11}, THREE, ONE, NO, YES, YES, {0}, {YES, NO}},
    /* Winograd's weight gradient: more blocks of tiles than partial sums */
    {"tiles and more tiles", 2, {3, 2}, 5, {19, 17, 29}, THREE, ONE, NO, YES, YES, {0}, {0}},
    {"down", 2, {3, 0}, 5, {7, 10, 13}, THREE, DOWN, NO, YES, YES, {0}, {0}},
    {"down, added to", 2, {3, 2}, 5, {6, 9, 11}, THREE, DOWN, NO, YES, YES, {0}, {YES, NO}},
    {"down, one unwanted", 2, {3, 2}, 5, {2, 2, 3}, THREE, DOWN, NO, NO, YES, {NO, YES}, {0}},
    {"down flat", 1, {4, 0}, 3, {5, 9, 12}, THREE, FLAT, NO, YES, YES, {0}, {YES, NO}},
    {"down along D", 1, {4, 0}, 3, {5, 9, 12}, THREE, {2, 1, 1}, NO, YES, YES, {0}, {0}},
    {"down along H", 1, {2, 0}, 3, {5, 8, 7}, THREE, {1, 2, 1}, NO, NO, NO, {0}, {0}},
    {"down, long", 1, {31, 0}, 3, {2, 101, 23}, THREE, DOWN, NO, NO, YES, {0}, {0}},
    {"slices", 2, {3, 2}, 4, {5, 11, 7}, KNIFE, ONE, NO, YES, YES, {0}, {0}},
    {"slices down", 2, {3, 0}, 4, {5, 11, 7}, KNIFE, FLAT, NO, YES, YES, {0}, {0}},
    {"across slices", 1, {3, 0}, 4, {5, 3, 7}, {3, 1, 1}, ONE, NO, YES, YES, {0}, {0}},
    {"large slices", 1, {17, 0}, 3, {3, 31, 37}, KNIFE, ONE, NO, YES, YES, {0}, {YES, NO}},
    {"long across", 2, {3, 2}, 19, {41, 5, 7}, {3, 1, 1}, ONE, NO, YES, YES, {0}, {0}},
    {"pointed, down", 1, {3, 0}, 4, {5, 4, 7}, ONE, DOWN, NO, NO, YES, {0}, {0}},
    {"head", 2, {5, 0}, 3, {5, 7, 31}, ONE, ONE, NO, NO, NO, {0}, {YES, NO}},
    {"head, two inputs", 1, {5, 2}, 3, {5, 7, 11}, ONE, ONE, NO, YES, YES, {0}, {0}},
    {"up", 2, {5, 0}, 3, {3, 5, 7}, DOWN, DOWN, YES, NO, NO, {0}, {0}},
    {"up flat", 1, {5, 0}, 3, {3, 5, 7}, FLAT, FLAT, YES, NO, NO, {0}, {YES, NO}},
    {"up, two inputs", 1, {5, 3}, 3, {3, 1, 7}, DOWN, DOWN, YES, YES, YES, {0}, {0}},
    {"up, one unwanted", 1, {5, 3}, 3, {3, 1, 7}, DOWN, DOWN, YES, NO, YES, {YES, NO}, {0}},
    {"up, long", 1, {3, 0}, 33, {5, 17, 19}, DOWN, DOWN, YES, NO, NO, {0}, {0}},
};

/* What the backend `cpu` would measure where its plan is not given: for given plans. */
static const BlockCase large_cases[] = {
    /* few tiles, many channels: by panels, several planes' weights at a time, shared panels */
    {"many channels, few tiles",
     2,
     {176, 16},
     180,
     {3, 5, 6},
     THREE,
     ONE,
     NO,
     YES,
     YES,
     {0},
     {YES, NO}},
    {"very many channels", 2, {701, 0}, 33, {2, 3, 3}, THREE, ONE, NO, NO, NO, {0}, {0}},
};
/* clang-format on */

/* The cases with 8 more channels each: maps of 8 or fewer, and what reads and writes them, are
 * others in the backend `cpu`.  Not @activated: without the activation, whose slope jumps, so
 * that of a hundred thousand voxels one may be where rounding decides of its gradient. */
static const BlockCase *wide_cases(gboolean activated)
{
    static BlockCase both[2][G_N_ELEMENTS(cases)];
    BlockCase *wide = both[activated ? 1 : 0];

    if (wide[0].n)
        return wide;
    memcpy(wide, cases, sizeof both[0]);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        wide[i].c_in[0] += 8;
        wide[i].c_in[1] += wide[i].c_in[1] ? 8 : 0;
        wide[i].c_out += 8;
        wide[i].activation = wide[i].activation && activated;
        wide[i].norm = wide[i].norm && i > 1; /* of one voxel it is rounding times 316 */
    }
    return wide;
}

typedef void (*PerBackend)(const char *name);

static void each_backend(PerBackend test)
{
    g_autofree const LoomPlugin **all =
        loom_registry_list(loom_test_registry(), LOOM_KIND_BACKEND);

    g_assert_nonnull(all[0]);
    for (guint i = 0; all[i]; i++) {
        g_test_message("backend %s", all[i]->name);
        test(all[i]->name);
    }
}

/* ---- the same numbers as the reference ---------------------------------------------- */

/* A sum of K products in f32 errs by about sqrt(K) 6e-8 of its norm: 2e-6 for K = 27 * 47, the
 * longest here; of 27 * 701, in another list: 8e-6.  1e-5 is what the project promises for each
 * operation. */
#define TOLERANCE 1e-5

static void compare(const BlockCase *c, const BlockResult *found, const BlockResult *want,
                    double tolerance)
{
    for (guint p = 0; p < N_PARTS; p++) {
        const double error =
            want->count[p] ? block_error(found->part[p], want->part[p], want->count[p]) : 0.0;

        g_assert_cmpint(found->count[p], ==, want->count[p]);
        g_test_message("%s: %s: %.2g", c->what, block_part_names[p], error);
        g_assert_cmpfloat(error, <, tolerance); /* false for NaN */
    }
}

/* Minutes of numbers need no ThreadSanitizer: 'shared' and 'bits' run every case and plan on
 * several threads. */
static gboolean numbers_skip(void)
{
#ifdef __SANITIZE_THREAD__
    g_test_skip("minutes of numbers that need no ThreadSanitizer: see 'shared' and 'bits'");
    return TRUE;
#else
    return FALSE;
#endif
}

/* What the oracle says of @c; asked once, for it is slow. */
static const BlockResult *oracle_of(const BlockCase *c)
{
    static GHashTable *said;

    if (!said)
        said = g_hash_table_new(g_direct_hash, g_direct_equal);
    if (!g_hash_table_contains(said, c)) {
        g_autoptr(BlockDevice) oracle = block_device_new("reference", 1);

        g_hash_table_insert(said, (gpointer)(guintptr)c, block_case_run(c, oracle, TRUE));
    }
    return g_hash_table_lookup(said, c);
}

static void equal_within(const char *name, const BlockCase *all, guint n, double tolerance)
{
    g_autoptr(BlockDevice) device = block_device_new(name, 2);

    for (guint i = 0; i < n; i++) {
        const BlockResult *want = oracle_of(&all[i]);
        g_autoptr(BlockResult) found = block_case_run(&all[i], device, TRUE);
        g_autoptr(BlockResult) still = block_case_run(&all[i], device, FALSE);

        compare(&all[i], found, want, tolerance);
        g_assert_cmpfloat(
            block_error(still->part[PART_Y], want->part[PART_Y], want->count[PART_Y]), <,
            tolerance);
    }
}

static void equal_reference(const char *name)
{
    equal_within(name, cases, G_N_ELEMENTS(cases), TOLERANCE);
}

static void test_reference(void)
{
    if (numbers_skip())
        return;
    each_backend(equal_reference);
}

/* The fast backend by each of its ways.  F(4^3) loses a digit: its transforms multiply by up to
 * 8 along each axis, and the weight gradient's take differences of such sums. */
static const struct {
    const char *name;
    double tolerance;
} plans[] = {{"cpu, plan: fixed", TOLERANCE},
             {"cpu, plan: direct", TOLERANCE},
             {"cpu, plan: f2", TOLERANCE},
             {"cpu, plan: f4", 1e-4}};

static void test_plans(void)
{
    if (numbers_skip())
        return;
    for (guint i = 0; i < G_N_ELEMENTS(plans); i++) {
        g_test_message("backend %s", plans[i].name);
        equal_within(plans[i].name, cases, G_N_ELEMENTS(cases), plans[i].tolerance);
        equal_within(plans[i].name, wide_cases(FALSE), G_N_ELEMENTS(cases), plans[i].tolerance);
        equal_within(plans[i].name, large_cases, G_N_ELEMENTS(large_cases), plans[i].tolerance);
    }
}

/* ---- maps of bf16 --------------------------------------------------------------------- */

static const struct {
    const char *name;
    double tolerance; /* of its sums */
} halves[] = {{"cpu, precision: bf16, plan: direct", TOLERANCE},
              {"cpu, precision: bf16, plan: f2", TOLERANCE},
              {"cpu, precision: bf16, plan: f4", 1e-4}};

/* Sums of some hundred whole numbers of -1, 0 and 1 stay below 256: bf16 has them all, so that
 * only what is computed in f32 can err. */
static void test_whole_numbers(void)
{
    if (numbers_skip())
        return;
    g_autoptr(BlockDevice) oracle = block_device_new("reference", 2);

    oracle->whole = TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        BlockCase c = wide_cases(TRUE)[i];

        c.norm = c.activation = FALSE;
        g_autoptr(BlockResult) want = block_case_run(&c, oracle, TRUE);
        for (guint h = 0; h < G_N_ELEMENTS(halves); h++) {
            g_autoptr(BlockDevice) device = block_device_new(halves[h].name, 2);

            device->whole = TRUE;
            g_autoptr(BlockResult) found = block_case_run(&c, device, TRUE);
            compare(&c, found, want, halves[h].tolerance);
        }
    }
}

/* What is stored is off by 2^-8 at most of itself, and by 2^-8 / sqrt(7) = 1.5e-3 in the mean
 * square: e.  Two such roundings make y, and dx where nothing but sums lies between: 4e-3
 * leaves a factor of 2.  The slope of the activation jumps: where the roundings of x and z,
 * sqrt(2) e times the z that the norm has still to shift, up to 4 standard deviations here,
 * carry u across 0, the gradient of a voxel is wrong altogether.  So it is for 0.4 of 0.8
 * sqrt(2) e 4 of them, 0.2 %, and the square root of that is what gradients err: 4e-2; 0.1
 * where voxels are few. */
static void near_reference(const char *name, const BlockCase *c)
{
    g_autoptr(BlockDevice) device = block_device_new(name, 2);
    const BlockResult *want = oracle_of(c);
    g_autoptr(BlockResult) found = block_case_run(c, device, TRUE);

    for (guint p = 0; p < N_PARTS; p++) {
        const double error =
            want->count[p] ? block_error(found->part[p], want->part[p], want->count[p]) : 0.0;

        g_test_message("%s: %s: %.2g", c->what, block_part_names[p], error);
        g_assert_cmpfloat(error, <, p == PART_Y || !c->activation ? 4e-3 : 0.1);
    }
}

static void test_halves(void)
{
    if (numbers_skip())
        return;
    for (guint h = 0; h < G_N_ELEMENTS(halves); h++) {
        for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
            near_reference(halves[h].name, &wide_cases(TRUE)[i]);
        near_reference(halves[h].name, &large_cases[0]);
    }
}

/* ---- maps that share memory ----------------------------------------------------------- */

/* Where maps lie, and what lay there, changes no bit. */
static void share_memory_of(const char *name, const BlockCase *all)
{
    g_autoptr(BlockDevice) apart = block_device_new(name, 2);
    g_autoptr(BlockDevice) together = block_device_new(name, 2);

    g_assert_nonnull(apart->backend->arena_new);
    together->shares = TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(BlockResult) want = block_case_run(&all[i], apart, TRUE);
        g_autoptr(BlockResult) found = block_case_run(&all[i], together, TRUE);

        g_test_message("%s", all[i].what);
        for (guint p = 0; p < N_PARTS; p++)
            g_assert_true(
                !want->count[p]
                || memcmp(found->part[p], want->part[p], (gsize)want->count[p] * sizeof(float))
                       == 0);
    }
}

static void share_memory(const char *name)
{
    share_memory_of(name, cases);
}

static void test_shared(void)
{
    each_backend(share_memory);
    for (guint i = 0; i < G_N_ELEMENTS(plans); i++) {
        share_memory(plans[i].name);
        share_memory_of(plans[i].name, wide_cases(TRUE));
    }
    for (guint i = 0; i < G_N_ELEMENTS(halves); i++)
        share_memory_of(halves[i].name, wide_cases(TRUE));
}

/* ---- the same bits on any number of threads ----------------------------------------- */

static void equal_bits_of(const char *name, const BlockCase *all, guint n)
{
    BlockDevice *devices[] = {block_device_new(name, 1), block_device_new(name, 1),
                              block_device_new(name, 2), block_device_new(name, 3)};

    for (guint i = 0; i < n; i++) {
        g_autoptr(BlockResult) want = block_case_run(&all[i], devices[0], TRUE);

        for (guint d = 1; d < G_N_ELEMENTS(devices); d++) {
            g_autoptr(BlockResult) found = block_case_run(&all[i], devices[d], TRUE);

            for (guint p = 0; p < N_PARTS; p++)
                g_assert_true(!want->count[p]
                              || memcmp(found->part[p], want->part[p],
                                        (gsize)want->count[p] * sizeof(float))
                                     == 0);
        }
    }
    for (guint d = 0; d < G_N_ELEMENTS(devices); d++)
        block_device_free(devices[d]);
}

static void equal_bits(const char *name)
{
    equal_bits_of(name, cases, G_N_ELEMENTS(cases));
}

static void test_bits(void)
{
    each_backend(equal_bits);
    for (guint i = 0; i < G_N_ELEMENTS(plans); i++) {
        equal_bits(plans[i].name);
        equal_bits_of(plans[i].name, large_cases, G_N_ELEMENTS(large_cases));
    }
    for (guint i = 0; i < G_N_ELEMENTS(halves); i++) {
        equal_bits_of(halves[i].name, wide_cases(TRUE), G_N_ELEMENTS(cases));
        equal_bits_of(halves[i].name, large_cases, 1);
    }
}

/* ---- memory ------------------------------------------------------------------------- */

static void refuse_too_much(const char *name)
{
    g_autoptr(BlockDevice) device = block_device_new(name, 1);
    const LoomBackend *backend = device->backend;
    const gint64 overflow[5] = {1 << 20, 1 << 20, 1 << 20, 1 << 20, 1};
    const gint64 huge[5] = {1 << 20, 1 << 20, 1 << 20, 4, 1}; /* 2^64 bytes */
    GError *error = NULL;

    loom_assert_failed(backend->map_new(device->self, overflow, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "overflows");
    g_clear_error(&error);
    loom_assert_failed(backend->map_new(device->self, huge, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "4611686018427387904");
    g_clear_error(&error);
    loom_assert_failed(backend->arena_new(device->self, G_MAXUINT64, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "overflow");
    g_clear_error(&error);
    loom_assert_failed(backend->arena_new(device->self, G_MAXINT64 / 4, &error), error,
                       LOOM_ERROR, LOOM_ERROR_LIMIT, "no memory for all activations");
    g_clear_error(&error);
    loom_assert_failed(backend->array_new(device->self, G_MAXINT64, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "9223372036854775807");
    g_clear_error(&error);
}

static void refuse_block(const char *name)
{
    g_autoptr(BlockDevice) device = block_device_new(name, 1);
    const gint64 edge = 1 << 20;
    const LoomBlockSpec spec = {.n = 64,
                                .c_in = {32, 0},
                                .c_out = 32,
                                .in = {edge, edge, edge},
                                .out = {edge, edge, edge},
                                .kernel = {3, 3, 3},
                                .stride = {1, 1, 1},
                                .training = TRUE};
    GError *error = NULL;

    loom_assert_failed(device->backend->block_new(device->self, &spec, &error), error,
                       LOOM_ERROR, LOOM_ERROR_LIMIT, "1048576");
    g_clear_error(&error);
    g_assert_cmpuint(device->backend->block_bytes(device->self, &spec), ==, G_MAXUINT64);
}

static void test_limits(void)
{
    each_backend(refuse_too_much);
    each_backend(refuse_block);
}

static guint64 memory_of(const BlockDevice *d, const LoomBlockSpec *spec)
{
    return d->backend->block_bytes(d->self, spec)
           + (d->backend->block_workspace ? d->backend->block_workspace(d->self, spec) : 0);
}

/* A block that keeps what backward needs says so; a map is at least its numbers. */
static void count_bytes(const char *name)
{
    g_autoptr(BlockDevice) device = block_device_new(name, 2);
    const LoomBackend *backend = device->backend;
    const LoomBlockSpec training = block_case_spec(&cases[4], TRUE);
    const LoomBlockSpec still = block_case_spec(&cases[4], FALSE);

    g_assert_cmpuint(backend->map_bytes(device->self, (const gint64[]){2, 3, 5, 7, 11}), >=,
                     2 * 3 * 5 * 7 * 11 * sizeof(float));
    g_assert_cmpuint(backend->block_bytes(device->self, &still), >, 0);
    g_assert_cmpuint(memory_of(device, &training), >, memory_of(device, &still));
}

static void test_bytes(void)
{
    each_backend(count_bytes);
}

/* ---- optimisers --------------------------------------------------------------------- */

/* Five weights, three gradients, and where torch 2.15 takes them:
 *   SGD(lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True / False), SGD(lr=0.1),
 *   AdamW(lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05), gradients times 0.5. */
#define WEIGHTS 5
#define STEPS 3
static const float start[WEIGHTS] = {0.5f, -1.25f, 2.0f, 0.0f, -0.003f};
static const float gradients[STEPS][WEIGHTS] = {{0.1f, -0.2f, 0.3f, -4.0f, 1e-3f},
                                                {-0.05f, 0.25f, 0.0f, 2.0f, 1e-3f},
                                                {0.3f, 0.1f, -0.6f, 0.5f, -2e-3f}};
static const LoomSgdUpdate sgd_updates[] = {
    {.rate = 0.1, .momentum = 0.9, .decay = 0.01, .scale = 0.5, .nesterov = TRUE},
    {.rate = 0.1, .momentum = 0.9, .decay = 0.01, .scale = 0.5},
    {.rate = 0.1, .scale = 0.5},
};
static const double sgd_wanted[][WEIGHTS] = {
    {0.457104862, -1.24899888, 1.98949921, 0.367602736, -0.00309264963},
    {0.473413914, -1.24466908, 1.97819662, 0.326340199, -0.00311344443},
    {0.482499987, -1.25750005, 2.0150001, 0.075000003, -0.00299999979},
};
static const double adam_wanted[WEIGHTS] = {0.479893297, -1.24286878, 1.98371434, 0.0139876381,
                                            -0.0222236179};

/* The weights after three steps of SGD, or of Adam where @sgd is NULL. */
static void walk(const BlockDevice *device, const LoomSgdUpdate *sgd, float after[WEIGHTS])
{
    const LoomBackend *backend = device->backend;
    LoomArray *value = backend->array_new(device->self, WEIGHTS, NULL);
    LoomArray *grad = backend->array_new(device->self, WEIGHTS, NULL);
    LoomArray *moment[2] = {backend->array_new(device->self, WEIGHTS, NULL),
                            backend->array_new(device->self, WEIGHTS, NULL)};

    backend->array_write(device->self, value, start);
    for (gint64 step = 0; step < STEPS; step++) {
        const LoomAdamUpdate adam = {.rate = 0.01,
                                     .beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .epsilon = 1e-8,
                                     .decay = 0.05,
                                     .scale = 0.5,
                                     .step = step + 1};

        backend->array_write(device->self, grad, gradients[step]);
        if (sgd)
            backend->sgd(device->self, sgd, value, grad, moment[0]);
        else
            backend->adam(device->self, &adam, value, grad, moment[0], moment[1]);
    }
    backend->array_read(device->self, value, after);
    backend->array_free(device->self, value);
    backend->array_free(device->self, grad);
    backend->array_free(device->self, moment[0]);
    backend->array_free(device->self, moment[1]);
}

/* Three steps round a handful of times at 6e-8 of values up to 2: 1e-6. */
static void move_weights(const char *name)
{
    g_autoptr(BlockDevice) device = block_device_new(name, 1);
    float after[WEIGHTS];

    for (guint i = 0; i < G_N_ELEMENTS(sgd_updates); i++) {
        walk(device, &sgd_updates[i], after);
        for (guint w = 0; w < WEIGHTS; w++)
            loom_assert_near((double)after[w], sgd_wanted[i][w], 1e-6);
    }
    walk(device, NULL, after);
    for (guint w = 0; w < WEIGHTS; w++)
        loom_assert_near((double)after[w], adam_wanted[w], 1e-6);
}

static void test_optimisers(void)
{
    each_backend(move_weights);
}

/* Zeroed when new; written, read, summed, zeroed again.  3^2 + 4^2 + 12^2 = 13^2. */
static void keep_arrays(const char *name)
{
    g_autoptr(BlockDevice) device = block_device_new(name, 1);
    const LoomBackend *backend = device->backend;
    LoomArray *array = backend->array_new(device->self, 3, NULL);
    const float values[3] = {3.0f, -4.0f, 12.0f};
    float read[3];

    g_assert_cmpfloat(backend->array_norm2(device->self, array), ==, 0.0);
    backend->array_write(device->self, array, values);
    g_assert_cmpfloat(backend->array_norm2(device->self, array), ==, 169.0);
    backend->array_read(device->self, array, read);
    g_assert_cmpint(memcmp(read, values, sizeof values), ==, 0);
    backend->array_zero(device->self, array);
    g_assert_cmpfloat(backend->array_norm2(device->self, array), ==, 0.0);
    backend->array_free(device->self, array);
}

static void test_arrays(void)
{
    each_backend(keep_arrays);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/contract/backends/reference", test_reference);
    g_test_add_func("/contract/backends/plans", test_plans);
    g_test_add_func("/contract/backends/whole-numbers", test_whole_numbers);
    g_test_add_func("/contract/backends/halves", test_halves);
    g_test_add_func("/contract/backends/shared", test_shared);
    g_test_add_func("/contract/backends/bits", test_bits);
    g_test_add_func("/contract/backends/limits", test_limits);
    g_test_add_func("/contract/backends/bytes", test_bytes);
    g_test_add_func("/contract/backends/optimisers", test_optimisers);
    g_test_add_func("/contract/backends/arrays", test_arrays);
    return loom_test_run();
}
