/* The reference backend against a second implementation, in double throughout and written the
 * other way round (outputs are scattered to, not gathered; padding is real zeros), and its
 * gradients against central differences of that one. */
#include "block_case.h"
#include "loom_test.h"

#include <math.h>

/* Small: central differences run the whole block twice for each value. */
static const BlockCase cases[] = {
    /* n, inputs, outputs, D,H,W, kernel, stride, transposed, norm, activation, unwanted, add */
    {"one voxel", 1, {1, 0}, 1, ONE, THREE, ONE, NO, NO, NO, {0}, {0}},
    {"plain", 2, {2, 0}, 3, {3, 4, 2}, THREE, ONE, NO, NO, NO, {0}, {0}},
    {"normed", 2, {1, 2}, 2, {3, 2, 4}, THREE, ONE, NO, YES, YES, {0}, {0}},
    {"down", 1, {2, 0}, 2, {3, 4, 5}, THREE, DOWN, NO, YES, YES, {0}, {0}},
    {"anisotropic", 1, {2, 1}, 2, {2, 5, 4}, {1, 3, 3}, FLAT, NO, NO, YES, {0}, {0}},
    {"head", 1, {3, 0}, 2, {2, 1, 3}, ONE, ONE, NO, NO, NO, {0}, {0}},
    {"up", 2, {2, 1}, 2, {2, 1, 3}, DOWN, DOWN, YES, NO, NO, {0}, {0}},
    {"up flat, normed", 1, {2, 0}, 2, {2, 2, 2}, FLAT, FLAT, YES, YES, YES, {0}, {0}},
};
/* clang-format on */

/* All inputs of a block in double; indexed by the part that is their gradient. */
typedef struct {
    double *value[N_PARTS];
} Inputs;

static Inputs inputs_new(const BlockCase *c)
{
    static const char *const names[N_PARTS] = {"dy",   "x0",    "x1",   "kernel",
                                               "bias", "scale", "shift"};
    Inputs inputs;

    for (guint p = 0; p < N_PARTS; p++) {
        const gint64 count = block_case_count(c, p);
        g_autofree float *values = block_case_input(c, names[p], count);

        inputs.value[p] = g_new(double, (gsize)count);
        for (gint64 i = 0; i < count; i++)
            inputs.value[p][i] = (double)values[i];
    }
    return inputs;
}

static void inputs_clear(Inputs *inputs)
{
    for (guint p = 0; p < N_PARTS; p++)
        g_free(inputs->value[p]);
}

/* Adds what input (n, c) gives to output (n, k): every input voxel to all places it reaches. */
static void scatter(const LoomBlockSpec *s, const double *x, const double *kernel, double *z)
{
    for (gint64 d = 0; d < s->in[0]; d++)
        for (gint64 h = 0; h < s->in[1]; h++)
            for (gint64 w = 0; w < s->in[2]; w++)
                for (gint64 a = 0; a < s->kernel[0]; a++)
                    for (gint64 b = 0; b < s->kernel[1]; b++)
                        for (gint64 e = 0; e < s->kernel[2]; e++) {
                            const gint64 in[3] = {d, h, w}, tap[3] = {a, b, e};
                            gint64 at = 0;
                            gboolean hit = TRUE;

                            for (guint i = 0; i < 3; i++) {
                                const gint64 pad = s->kernel[i] == 3;
                                const gint64 to = s->transposed ? in[i] * s->stride[i] + tap[i]
                                                                : in[i] - tap[i] + pad;

                                const gint64 step = s->transposed ? 1 : s->stride[i];
                                hit &= to >= 0 && to % step == 0 && to / step < s->out[i];
                                at = at * s->out[i] + to / step;
                            }
                            if (hit)
                                z[at] += x[(d * s->in[1] + h) * s->in[2] + w]
                                         * kernel[(a * s->kernel[1] + b) * s->kernel[2] + e];
                        }
}

/* y of the block, (transfer full). */
static double *brute(const BlockCase *c, const Inputs *in)
{
    const LoomBlockSpec s = block_case_spec(c, TRUE);
    const gint64 inner = s.in[0] * s.in[1] * s.in[2], outer = s.out[0] * s.out[1] * s.out[2];
    const gint64 taps = s.kernel[0] * s.kernel[1] * s.kernel[2], all = s.c_in[0] + s.c_in[1];
    double *y = g_new(double, (gsize)block_case_count(c, PART_Y));

    for (gint64 i = 0; i < s.n * s.c_out; i++) {
        const gint64 n = i / s.c_out, k = i % s.c_out;
        double *z = y + i * outer, sum = 0.0, square = 0.0;

        for (gint64 o = 0; o < outer; o++)
            z[o] = in->value[PART_BIAS][k];
        for (gint64 j = 0; j < all; j++) {
            const guint side = j >= s.c_in[0];
            const double *x = in->value[PART_DX0 + side]
                              + (n * s.c_in[side] + j - (side ? s.c_in[0] : 0)) * inner;
            const gint64 at = s.transposed ? j * s.c_out + k : k * all + j;

            scatter(&s, x, in->value[PART_KERNEL] + at * taps, z);
        }
        for (gint64 o = 0; o < outer; o++) {
            sum += z[o];
            square += z[o] * z[o];
        }
        const double mean = sum / (double)outer,
                     variance = square / (double)outer - mean * mean;
        for (gint64 o = 0; o < outer; o++) {
            if (s.norm)
                z[o] = in->value[PART_SCALE][k] * (z[o] - mean) / sqrt(variance + 1e-5)
                       + in->value[PART_SHIFT][k];
            z[o] = s.activation ? MAX(z[o], 0.0) + 0.01 * MIN(z[o], 0.0) : z[o];
        }
    }
    return y;
}

/* The sum of y dy: its gradients are what backward gives. */
static double brute_sum(const BlockCase *c, const Inputs *in)
{
    g_autofree double *y = brute(c, in);
    double sum = 0.0;

    for (gint64 i = 0; i < block_case_count(c, PART_Y); i++)
        sum += y[i] * in->value[PART_Y][i];
    return sum;
}

static void test_forward(void)
{
    g_autoptr(BlockDevice) device = block_device_new("reference", 1);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(BlockResult) result = block_case_run(&cases[i], device, TRUE);
        Inputs in = inputs_new(&cases[i]);
        g_autofree double *y = brute(&cases[i], &in);

        g_test_message("%s", cases[i].what);
        for (gint64 v = 0; v < result->count[PART_Y]; v++) /* |y| < 8: half a unit is 2.4e-7 */
            loom_assert_near((double)result->part[PART_Y][v], y[v], 5e-7);
        inputs_clear(&in);
    }
}

/* d sum / d value by central differences, plus what was there before. */
static void compare_gradient(const BlockCase *c, Inputs *in, BlockPart p, const float *found)
{
    const double h = 1e-5; /* truncation h^2 = 1e-10, cancellation 1e-14 / h = 1e-9 */
    g_autofree char *name = g_strdup_printf("before %s", block_part_names[p]);
    g_autofree float *before = block_case_input(c, name, block_case_count(c, p));
    const gboolean adds = p >= PART_KERNEL;

    for (gint64 i = 0; i < block_case_count(c, p); i++) {
        const double value = in->value[p][i];

        in->value[p][i] = value + h;
        const double above = brute_sum(c, in);
        in->value[p][i] = value - h;
        const double below = brute_sum(c, in);
        in->value[p][i] = value;
        const double want = (above - below) / (2.0 * h) + (adds ? (double)before[i] : 0.0);
        /* The result is an f32, added to one: 2e-7 of it; the rest is the differences' own. */
        loom_assert_near((double)found[i], want, 1e-6 * (1.0 + fabs(want)));
    }
}

static void test_gradient(void)
{
    g_autoptr(BlockDevice) device = block_device_new("reference", 1);

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(BlockResult) result = block_case_run(&cases[i], device, TRUE);
        Inputs in = inputs_new(&cases[i]);

        for (BlockPart p = PART_DX0; p < N_PARTS; p++) {
            g_test_message("%s: %s", cases[i].what, block_part_names[p]);
            g_assert_cmpint(result->count[p], ==, block_case_count(&cases[i], p));
            if (result->count[p])
                compare_gradient(&cases[i], &in, p, result->part[p]);
        }
        inputs_clear(&in);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/contract/reference/forward", test_forward);
    g_test_add_func("/contract/reference/gradient", test_gradient);
    return loom_test_run();
}
