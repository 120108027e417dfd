/* phantom_set - see phantom_set.h. */
#include "phantom_set.h"

#include <loom/data.h>
#include <loom/loom.h>

#include <glib/gstdio.h>

static const gint64 set_size[3] = {22, 24, 20}; /* i, j, k */

/* One bright ball in noise: the label is the ball. */
static void case_paint(guint number, float *image, guint8 *label)
{
    LoomRng rng = loom_rng(number, "phantom_set", 0);
    double centre[3];
    const double radius = loom_rng_uniform(&rng, 3.5, 5.5);

    for (guint axis = 0; axis < 3; axis++)
        centre[axis] = loom_rng_uniform(&rng, 6, (double)set_size[axis] - 6);
    for (gint64 k = 0; k < set_size[2]; k++)
        for (gint64 j = 0; j < set_size[1]; j++)
            for (gint64 i = 0; i < set_size[0]; i++) {
                const double x = (double)i - centre[0], y = (double)j - centre[1],
                             z = (double)k - centre[2];
                const gboolean inside = x * x + y * y + z * z < radius * radius;

                *label++ = inside ? 1 : 0;
                *image++ = (float)(100 + (inside ? 80 : 0) + 15 * loom_rng_normal(&rng));
            }
}

static void volume_write(const char *folder, const char *room, const char *name,
                         const LoomTensor *volume)
{
    const double spacing[3] = {1, 1, 1};
    g_autofree char *path = g_build_filename(folder, room, name, NULL);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, set_size, spacing);
    loom_volume_write(path, volume, &geometry, &error);
    g_assert_no_error(error);
}

void phantom_set_make(const char *folder, guint n)
{
    const gint64 shape[3] = {set_size[2], set_size[1], set_size[0]};
    g_autofree char *images = g_build_filename(folder, "imagesTr", NULL);
    g_autofree char *labels = g_build_filename(folder, "labelsTr", NULL);
    g_autofree char *json = g_build_filename(folder, "dataset.json", NULL);
    g_autofree char *text = g_strdup_printf(
        "{\"channel_names\": {\"0\": \"MR\"}, \"labels\": {\"background\": 0, \"ball\": 1}, "
        "\"numTraining\": %u, \"file_ending\": \".nii.gz\"}",
        n);

    g_assert_cmpint(g_mkdir_with_parents(images, 0755), ==, 0);
    g_assert_cmpint(g_mkdir_with_parents(labels, 0755), ==, 0);
    g_assert_true(g_file_set_contents(json, text, -1, NULL));
    for (guint i = 0; i < n; i++) {
        g_autofree char *image_name = g_strdup_printf("ball_%03u_0000.nii.gz", i);
        g_autofree char *label_name = g_strdup_printf("ball_%03u.nii.gz", i);
        g_autoptr(LoomTensor) image = loom_tensor_new(LOOM_F32, "DHW", shape, NULL);
        g_autoptr(LoomTensor) label = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);

        case_paint(i, loom_tensor_f32_mut(image), loom_tensor_u8_mut(label));
        volume_write(folder, "imagesTr", image_name, image);
        volume_write(folder, "labelsTr", label_name, label);
    }
}
