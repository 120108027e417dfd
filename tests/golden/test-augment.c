/* What augments against SciPy, PyTorch and batchgenerators, on one small volume;
 * augment_vectors.py made the numbers.  All values lie in -1 .. 1.02; every result is a sum of
 * at most 729 products with weights that sum to 1, in f32: error below 1e-6, gamma's mean and
 * deviation included. */
#include "../../stages/augment/coarse.h"
#include "../../stages/augment/gaussian.h"
#include "../../stages/augment/resample.h"
#include "augment_vectors.h"
#include "loom_test.h"

#define VOXELS (7 * 6 * 5)
static const gint64 volume_size[] = {7, 6, 5};

static const Resample general = {
    .from = {7, 6, 5},
    .to = {4, 5, 6},
    .matrix = {{0.9, -0.5, 0.2}, {0.4, 1.1, -0.3}, {-0.25, 0.35, 0.8}},
    .centre_from = {3.0, 2.5, 2.25},
    .centre_to = {1.5, 2.0, 2.5},
};

static void volume_fill(float *x)
{
    for (gint64 i = 0; i < VOXELS; i++)
        x[i] = (float)((double)((i * 7919) % 1009) / 500 - 1);
}

static void values_near(const float *x, const double *expected, gint64 n)
{
    for (gint64 i = 0; i < n; i++)
        loom_assert_near((double)x[i], expected[i], 1e-6);
}

static void test_linear(void)
{
    float x[VOXELS], y[G_N_ELEMENTS(affine_image)];

    G_STATIC_ASSERT(G_N_ELEMENTS(affine_image) == 4 * 5 * 6);
    volume_fill(x);
    resample_linear(&general, x, y);
    values_near(y, affine_image, G_N_ELEMENTS(affine_image));
}

static void test_labels(void)
{
    guint8 x[VOXELS], y[G_N_ELEMENTS(affine_label)];
    guint seen[3] = {0};

    for (gint64 i = 0; i < VOXELS; i++)
        x[i] = (guint8)(i / 4 * 31 % 7 % 3);
    resample_labels(&general, x, y);
    for (gsize i = 0; i < G_N_ELEMENTS(affine_label); i++) {
        g_assert_cmpint(y[i], ==, affine_label[i]);
        seen[y[i]]++;
    }
    g_assert_true(seen[0] > 5 && seen[1] > 5 && seen[2] > 5);
}

static void test_blur(void)
{
    float x[VOXELS], scratch[VOXELS];

    volume_fill(x);
    g_assert_cmpint(gaussian_scratch(volume_size, 1), <=, VOXELS);
    gaussian_blur(x, volume_size, (const double[]){0.6, 1.0, 0.8}, scratch);
    values_near(x, blurred, VOXELS);
}

static void test_coarse(void)
{
    float x[VOXELS];

    volume_fill(x);
    g_assert_true(coarse_volume(x, volume_size, (const gint64[]){3, 6, 4}, NULL));
    values_near(x, coarse, VOXELS);
}

/* A stage whose factor is fixed. */
static void stage_near(const char *yaml, const double *expected)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", (const gint64[]){1, 7, 6, 5}, NULL);
    LoomPacket *packet = loom_packet_new();

    volume_fill(loom_tensor_f32_mut(image));
    loom_packet_set(packet, "image", image);
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    const LoomPacket *out = loom_test_out(stage)->pdata[0];
    values_near(loom_tensor_f32(loom_packet_get(out, "image")), expected, VOXELS);
}

static void test_intensity(void)
{
    stage_near("{use: contrast, chance: 1, low: 1.2, high: 1.2}", contrast);
    stage_near("{use: gamma, chance: 1, low: 0.8, high: 0.8}", gamma_0_8);
    stage_near("{use: gamma, chance: 1, low: 1.4, high: 1.4, invert: true}",
               gamma_inverted_1_4);
}

static void test_load(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(loads); i++) {
        gint64 load[3];

        loom_patch_to_load(loads[i].size, load);
        for (int axis = 0; axis < 3; axis++)
            g_assert_cmpint(load[axis], ==, loads[i].load[axis]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/golden/augment/linear", test_linear);
    g_test_add_func("/golden/augment/labels", test_labels);
    g_test_add_func("/golden/augment/blur", test_blur);
    g_test_add_func("/golden/augment/coarse", test_coarse);
    g_test_add_func("/golden/augment/intensity", test_intensity);
    g_test_add_func("/golden/augment/load", test_load);
    return loom_test_run();
}
