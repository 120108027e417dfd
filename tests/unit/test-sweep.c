/* sweep: the sums of a case in tiles are those of the whole case, to the last bit. */
#include "loom_test.h"

#include "../../stages/sample/sweep.h"

#include <string.h>

typedef struct {
    gint64 volume[3];
    gint64 size[3];
    guint tiles[2];
    gboolean moved; /* onto a grid of two thirds of the spacing, 3 voxels further */
} Tiling;

static const LoomGeometry *grid(LoomGeometry *geometry, const gint64 volume[3], double spacing,
                                double origin)
{
    const gint64 size[3] = {volume[2], volume[1], volume[0]};
    const double edges[3] = {spacing, spacing, spacing};

    loom_geometry_plain(geometry, size, edges);
    for (guint i = 0; i < 3; i++)
        geometry->affine[i][3] = origin;
    return geometry;
}

/* Logits of window @window: any numbers that depend on it. */
static LoomTensor *logits_of(const SweepRules *rules, gint64 window)
{
    return loom_test_random(
        "CDHW", SHAPE(rules->channels, rules->size[0], rules->size[1], rules->size[2]),
        (guint64)window + 10, -3, 3);
}

/* How many windows were added; @sweep: cleared by the caller. */
static gint64 run(Sweep *sweep, const Tiling *it, const SweepRules *rules,
                  const LoomTensor *image, const guint tiles[2], LoomPool *pool)
{
    const gint64 fine[3] = {it->volume[0] * 3 / 2, it->volume[1] * 3 / 2, it->volume[2]};
    LoomGeometry working, native;
    g_autoptr(GError) error = NULL;
    gint64 n = 0;

    grid(&working, it->volume, 1.5, 0);
    grid(&native, fine, 1, 3);
    sweep_begin(sweep, rules, image, &working, it->moved ? &native : &working, pool, &error);
    g_assert_no_error(error);
    memcpy(sweep->tiles, tiles, sizeof sweep->tiles);
    sweep_allocate(sweep, &error);
    g_assert_no_error(error);
    for (guint tile = 0; sweep_tile_begin(sweep, tile); tile++) {
        for (gint64 window = 0; window < sweep_windows(sweep); window++) {
            g_autoptr(LoomTensor) logits = logits_of(rules, window);

            if (!sweep_touches(sweep, window))
                continue;
            g_assert_true(sweep_add(sweep, window, loom_tensor_f32(logits), &error));
            n++;
        }
        g_assert_true(sweep_tile_end(sweep, &error));
    }
    return n;
}

static void test_tiles(void)
{
    static const Tiling tilings[] = {
        {{9, 20, 23}, {4, 8, 8}, {2, 1}, FALSE}, {{9, 20, 23}, {4, 8, 8}, {2, 4}, FALSE},
        {{9, 20, 23}, {4, 8, 8}, {5, 3}, TRUE},  {{5, 6, 30}, {4, 8, 8}, {1, 4}, TRUE},
        {{5, 6, 7}, {4, 8, 8}, {4, 4}, TRUE}, /* of which some are padding, or empty */
        {{3, 21, 9}, {4, 8, 8}, {21, 1}, TRUE},
    };
    static const guint whole[2] = {1, 1};
    g_autoptr(LoomPool) pool = loom_pool_new(2);

    for (guint i = 0; i < G_N_ELEMENTS(tilings); i++) {
        const Tiling *it = &tilings[i];
        const SweepRules rules = {.model = "m",
                                  .size = {it->size[0], it->size[1], it->size[2]},
                                  .overlap = 0.5,
                                  .channels = 3,
                                  .keep_probabilities = TRUE};
        g_autoptr(LoomTensor) image = loom_tensor_new(
            LOOM_F32, "CDHW", (gint64[]){1, it->volume[0], it->volume[1], it->volume[2]}, NULL);
        g_auto(Sweep) one = {0}, many = {0};
        const gint64 windows = run(&one, it, &rules, image, whole, pool);

        g_assert_cmpint(windows, ==, sweep_windows(&one));
        g_assert_cmpint(run(&many, it, &rules, image, it->tiles, pool), >=, windows);
        g_assert_cmpuint(sweep_bytes(&many, it->tiles, 1), <, sweep_bytes(&one, whole, 1));
        g_assert_cmpint(one.moved, ==, it->moved);
        g_assert_true(loom_test_equal(one.prediction, many.prediction));
        g_assert_true(loom_test_equal(one.probabilities, many.probabilities));
    }
}

/* Sums do not grow with the depth of the case. */
static void test_bytes(void)
{
    const SweepRules rules = {.model = "m", .size = {4, 8, 8}, .overlap = 0.5, .channels = 5};
    g_autoptr(LoomPool) pool = loom_pool_new(1);

    for (gint64 depth = 4; depth <= 64; depth *= 4) {
        g_autoptr(LoomTensor) image =
            loom_tensor_new(LOOM_F32, "CDHW", (gint64[]){1, depth, 20, 30}, NULL);
        g_auto(Sweep) sweep = {0};

        g_assert_true(sweep_begin(&sweep, &rules, image, NULL, NULL, pool, NULL));
        g_assert_cmpuint(sweep_bytes(&sweep, sweep.tiles, 1), ==,
                         (guint64)(5 * 4 * 20 * 30 * 4 + depth * 20 * 30));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sweep/tiles", test_tiles);
    g_test_add_func("/sweep/bytes", test_bytes);
    return loom_test_run();
}
