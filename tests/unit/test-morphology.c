/* Distances against brute force, components against a flood, on random masks; the same bits
 * with and without threads. */
#include "loom_test.h"

#include <loom/morphology.h>
#include <math.h>
#include <string.h>

#define ROOM 4096

typedef struct {
    gint64 shape[3], voxels;
    double spacing[3];
    guint8 mask[ROOM];
} Case;

static Case random_case(gint64 number)
{
    static const gint64 shapes[][3] = {{1, 1, 1},  {1, 1, 9},  {7, 1, 1}, {1, 6, 5},
                                       {3, 4, 5},  {5, 3, 7},  {2, 9, 6}, {20, 5, 4},
                                       {35, 3, 2}, {9, 11, 13}};
    static const double edges[] = {1, 0.5, 2.5, 0.78125};
    static const double shares[] = {0.02, 0.2, 0.5, 0.95};
    LoomRng rng = loom_rng(1, "morphology", (guint64)number);
    Case it = {.voxels = 1};

    for (guint i = 0; i < 3; i++) {
        it.shape[i] = shapes[number % 10][i];
        it.voxels *= it.shape[i];
        it.spacing[i] = edges[loom_rng_below(&rng, 4)];
    }
    for (gint64 v = 0; v < it.voxels; v++)
        it.mask[v] = loom_rng_uniform(&rng, 0, 1) < shares[number / 10 % 4] ? 7 : 0;
    return it;
}

static void place(const Case *it, gint64 v, gint64 at[3])
{
    at[0] = v / (it->shape[1] * it->shape[2]);
    at[1] = v / it->shape[2] % it->shape[1];
    at[2] = v % it->shape[2];
}

static double between(const Case *it, gint64 a, gint64 b)
{
    gint64 x[3], y[3];
    double sum = 0;

    place(it, a, x);
    place(it, b, y);
    for (guint i = 0; i < 3; i++)
        sum += pow((double)(x[i] - y[i]) * it->spacing[i], 2);
    return sum;
}

static double brute(const Case *it, gint64 v, gboolean set)
{
    double least = INFINITY;

    for (gint64 other = 0; other < it->voxels; other++)
        if ((it->mask[other] != 0) == set)
            least = fmin(least, between(it, v, other));
    return least;
}

static void test_distances(void)
{
    g_autoptr(LoomPool) pool = loom_pool_new(3);
    g_autofree double *squared = g_new(double, ROOM), *again = g_new(double, ROOM);
    g_autofree gint64 *nearest = g_new(gint64, ROOM);

    for (gint64 number = 0; number < 40; number++) {
        const Case it = random_case(number);

        loom_distance_squared(it.mask, it.shape, it.spacing, squared, nearest, pool);
        loom_distance_squared(it.mask, it.shape, it.spacing, again, NULL, NULL);
        g_assert_true(memcmp(squared, again, (gsize)it.voxels * sizeof *squared) == 0);
        for (gint64 v = 0; v < it.voxels; v++) {
            const double wanted = brute(&it, v, TRUE);

            if (isinf(wanted)) {
                g_assert_true(isinf(squared[v]) && nearest[v] == -1);
                continue;
            }
            loom_assert_near(squared[v], wanted, 1e-14 * wanted); /* a few roundings */
            g_assert_true(it.mask[nearest[v]]);
            loom_assert_near(between(&it, v, nearest[v]), wanted, 1e-14 * wanted);
        }
    }
}

static void test_signed(void)
{
    g_autofree double *distance = g_new(double, ROOM);

    for (gint64 number = 0; number < 40; number++) {
        const Case it = random_case(number);

        g_assert_true(
            loom_distance_signed(it.mask, it.shape, it.spacing, distance, NULL, NULL));
        for (gint64 v = 0; v < it.voxels; v++) {
            const double out = brute(&it, v, TRUE), in = brute(&it, v, FALSE);
            const double wanted = isinf(out) || isinf(in) ? 0 : sqrt(out) - sqrt(in);

            loom_assert_near(distance[v], wanted, 1e-14 * fabs(wanted));
        }
    }
}

/* The least number that any voxel of a part has, spread until nothing changes. */
static void flood(const Case *it, gint64 faces, gint64 least[ROOM])
{
    gboolean changed = TRUE;

    for (gint64 v = 0; v < it->voxels; v++)
        least[v] = v;
    while (changed) {
        changed = FALSE;
        for (gint64 a = 0; a < it->voxels; a++)
            for (gint64 b = 0; b < it->voxels; b++) {
                gint64 x[3], y[3], apart = 0, far = 0;

                if (!it->mask[a] || !it->mask[b] || least[b] >= least[a])
                    continue;
                place(it, a, x);
                place(it, b, y);
                for (guint i = 0; i < 3; i++) {
                    apart += ABS(x[i] - y[i]);
                    far = MAX(far, ABS(x[i] - y[i]));
                }
                if (far <= 1 && apart <= faces) {
                    least[a] = least[b];
                    changed = TRUE;
                }
            }
    }
}

static void check_components(const Case *it, int neighbours, LoomPool *pool)
{
    g_autofree gint64 *least = g_new(gint64, ROOM), *number = g_new0(gint64, ROOM);
    g_autofree gint32 *component = g_new(gint32, ROOM), *again = g_new(gint32, ROOM);
    gint64 n = -1, n_again = -1, wanted = 0;

    flood(it, neighbours == 6 ? 1 : 3, least);
    g_assert_true(loom_components(it->mask, it->shape, neighbours, component, &n, pool, NULL));
    g_assert_true(
        loom_components(it->mask, it->shape, neighbours, again, &n_again, NULL, NULL));
    for (gint64 v = 0; v < it->voxels; v++) {
        if (it->mask[v] && least[v] == v)
            number[v] = ++wanted;
        g_assert_cmpint(component[v], ==, it->mask[v] ? number[least[v]] : 0);
        g_assert_cmpint(component[v], ==, again[v]);
    }
    g_assert_cmpint(n, ==, wanted);
    g_assert_cmpint(n_again, ==, wanted);
}

static void test_components(void)
{
    g_autoptr(LoomPool) pool = loom_pool_new(3);

    for (gint64 number = 0; number < 40; number++) {
        const Case it = random_case(number);

        if (it.voxels > 700)
            continue; /* the flood is of the second order */
        check_components(&it, 6, pool);
        check_components(&it, 26, pool);
    }
}

/* A thread through 40 planes, there and back: one part, over every seam of the slabs. */
static void test_snake(void)
{
    static const gint64 shape[] = {40, 1, 3};
    g_autoptr(LoomPool) pool = loom_pool_new(3);
    guint8 mask[120];
    gint32 component[120];
    gint64 n = 0;

    for (gint64 v = 0; v < 120; v++)
        mask[v] = v % 3 != 1 || v / 3 == 39;
    g_assert_true(loom_components(mask, shape, 6, component, &n, pool, NULL));
    g_assert_cmpint(n, ==, 1);
    g_assert_cmpint(component[2], ==, 1);
    mask[39 * 3 + 1] = 0;
    g_assert_true(loom_components(mask, shape, 26, component, &n, pool, NULL));
    g_assert_cmpint(n, ==, 2);
    g_assert_cmpint(component[39 * 3 + 2], ==, 2);
}

static void test_border(void)
{
    static const gint64 shape[] = {5, 5, 5};
    guint8 mask[125], border[125];

    memset(mask, 1, sizeof mask);
    g_assert_cmpint(loom_border(mask, shape, border), ==, 125 - 27); /* the end counts */
    mask[62] = 0;                                                    /* the middle: 6 around */
    g_assert_cmpint(loom_border(mask, shape, border), ==, 125 - 27 + 6);
    g_assert_cmpuint(border[62], ==, 0);
    g_assert_cmpuint(border[61], ==, 1);
    g_assert_cmpuint(border[62 + 25 + 5], ==, 0); /* across an edge only */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/morphology/distances", test_distances);
    g_test_add_func("/morphology/signed", test_signed);
    g_test_add_func("/morphology/components", test_components);
    g_test_add_func("/morphology/snake", test_snake);
    g_test_add_func("/morphology/border", test_border);
    return loom_test_run();
}
