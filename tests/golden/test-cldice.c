/* cldice against PyTorch: value and gradient of two samples (cldice_gradient.py made them). */
#include "loom_test.h"

#include <math.h>

#define VOXELS 210 /* (5,6,7) */

static void test_gradient(void)
{
    g_autoptr(LoomInstance) loss =
        loom_test_instance(LOOM_KIND_LOSS, "{use: cldice}", NULL, NULL);
    const gint64 shape[] = {2, 2, 5, 6, 7}, grid[] = {2, 5, 6, 7};
    g_autoptr(LoomTensor) logits = loom_tensor_new(LOOM_F32, "NCDHW", shape, NULL);
    g_autoptr(LoomTensor) target = loom_tensor_new(LOOM_U8, "NDHW", grid, NULL);
    g_autoptr(LoomTensor) dlogits = loom_tensor_new_like(logits, NULL);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    double value = NAN;

    g_assert_true(g_file_get_contents("tests/golden/cldice_gradient.csv", &text, NULL, NULL));
    lines = g_strsplit(g_strstrip(text), "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 1 + 2 * VOXELS);
    for (gint64 v = 0; v < 2 * VOXELS; v++) {
        g_auto(GStrv) cells = g_strsplit(lines[1 + v], ",", -1);

        loom_tensor_f32_mut(logits)[(2 * (v / VOXELS) + 1) * VOXELS + v % VOXELS] =
            (float)(g_ascii_strtod(cells[0], NULL) / 1000);
        loom_tensor_u8_mut(target)[v] = (guint8)g_ascii_strtoull(cells[1], NULL, 10);
    }
    g_assert_true(loom_loss_eval(loss, logits, target, &value, dlogits, NULL));
    /* probabilities in float32: 1e-7 each, which mostly cancels in sums of 420 */
    loom_assert_near(value, g_ascii_strtod(lines[0], NULL), 1e-6);
    for (gint64 v = 0; v < 2 * VOXELS; v++) {
        g_auto(GStrv) cells = g_strsplit(lines[1 + v], ",", -1);
        const gint64 at = 2 * (v / VOXELS) * VOXELS + v % VOXELS;
        const double wanted = g_ascii_strtod(cells[2], NULL);

        /* sums of up to 27 products in float32, of the size of the largest, 2e-2 */
        loom_assert_near((double)loom_tensor_f32(dlogits)[at + VOXELS], wanted, 1e-7);
        loom_assert_near((double)loom_tensor_f32(dlogits)[at], -wanted, 1e-7);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/loss/cldice/pytorch", test_gradient);
    return loom_test_run();
}
