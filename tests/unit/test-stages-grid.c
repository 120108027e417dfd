/* orient, crop_nonzero and resample: where voxels end up, and that the geometry says so. */
#include "loom_test.h"

#include <loom/resample.h>

#include <math.h>
#include <string.h>

#define PLACE_MM 1e-9 /* doubles of some 100 mm through a few products */

/* ---- cases -------------------------------------------------------------------------- */

/* An oblique affine: turned about z by @angle, edges @mm, origin at (-20, 30, 7). */
static LoomGeometry geometry_of(const gint64 size[3], const double mm[3], double angle)
{
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, size, mm);
    geometry.affine[0][0] = mm[0] * cos(angle);
    geometry.affine[1][0] = mm[0] * sin(angle);
    geometry.affine[0][1] = -mm[1] * sin(angle);
    geometry.affine[1][1] = mm[1] * cos(angle);
    geometry.affine[0][3] = -20;
    geometry.affine[1][3] = 30;
    geometry.affine[2][3] = 7;
    memcpy(geometry.srow, geometry.affine, sizeof geometry.srow);
    geometry.quatern[2] = sin(angle / 2);
    for (guint i = 0; i < 3; i++)
        geometry.qoffset[i] = geometry.affine[i][3];
    return geometry;
}

/* Voxel v of channel c holds 1000 c + v + 1, its label v % 7. */
static LoomPacket *counted_case(gint64 d, gint64 h, gint64 w, const double mm[3], double angle)
{
    const gint64 shape[] = {2, d, h, w}, voxels = d * h * w;
    const LoomGeometry geometry = geometry_of((const gint64[]){w, h, d}, mm, angle);
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_tensor_new(LOOM_F32, "CDHW", shape, NULL);
    LoomTensor *label = loom_tensor_new(LOOM_U8, "DHW", shape + 1, NULL);

    for (gint64 v = 0; v < voxels; v++) {
        loom_tensor_f32_mut(image)[v] = (float)(v + 1);
        loom_tensor_f32_mut(image)[voxels + v] = (float)(1000 + v + 1);
        loom_tensor_u8_mut(label)[v] = (guint8)(v % 7);
    }
    loom_packet_set(packet, "image", image);
    loom_packet_set(packet, "label", label);
    loom_packet_set_id(packet, "case");
    loom_packet_set_geometry(packet, &geometry);
    return packet;
}

/* A packet (transfer full) through a stage; borrowed from @stage. */
static LoomPacket *through(LoomTestStage *stage, LoomPacket *packet)
{
    GPtrArray *out = loom_test_out(stage);

    g_assert_cmpint(loom_test_push(stage, packet, out->len, NULL), ==, LOOM_FLOW_OK);
    return out->pdata[out->len - 1];
}

static const float *image_of(const LoomPacket *packet)
{
    return loom_tensor_f32(loom_packet_get(packet, "image"));
}

static const guint8 *label_of(const LoomPacket *packet)
{
    return loom_tensor_u8(loom_packet_get(packet, "label"));
}

static void place_of(const LoomGeometry *geometry, const double ijk[3], double mm[3])
{
    for (guint row = 0; row < 3; row++) {
        mm[row] = geometry->affine[row][3];
        for (guint i = 0; i < 3; i++)
            mm[row] += geometry->affine[row][i] * ijk[i];
    }
}

/* Voxel @index of a volume, as i, j, k. */
static void voxel_of(gint64 index, const gint64 size[3], double ijk[3])
{
    ijk[0] = (double)(index % size[0]);
    ijk[1] = (double)(index / size[0] % size[1]);
    ijk[2] = (double)(index / size[0] / size[1]);
}

/* Every voxel of @after, made of those of counted_case @before, lies where it was in mm. */
static void voxels_stayed(const LoomPacket *after, const LoomGeometry *before)
{
    const LoomGeometry *geometry = loom_packet_geometry(after);
    const LoomTensor *image = loom_packet_get(after, "image");
    const gint64 voxels = loom_tensor_count_from(image, 'D');

    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(loom_tensor_shape(image)[3 - i], ==, geometry->size[i]);
    for (gint64 v = 0; v < voxels; v++) {
        const gint64 was = (gint64)image_of(after)[v] - 1;
        double ijk[3], now_mm[3], was_mm[3];

        voxel_of(v, geometry->size, ijk);
        place_of(geometry, ijk, now_mm);
        voxel_of(was, before->size, ijk);
        place_of(before, ijk, was_mm);
        for (guint i = 0; i < 3; i++)
            loom_assert_near(now_mm[i], was_mm[i], PLACE_MM);
        g_assert_cmpint(label_of(after)[v], ==, was % 7);
        g_assert_cmpfloat(image_of(after)[voxels + v], ==, (float)(1000 + was + 1));
    }
}

/* The header's fields say the same as the affine: written, read again. */
static void header_agrees(const LoomGeometry *geometry, gboolean sform)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "volume.nii", NULL);
    const gint64 shape[] = {geometry->size[2], geometry->size[1], geometry->size[0]};
    g_autoptr(LoomTensor) volume = loom_tensor_new(LOOM_U8, "DHW", shape, NULL);
    g_autoptr(GError) error = NULL;
    LoomGeometry written = *geometry;
    LoomVolumeHeader header;

    if (!sform)
        written.sform_code = 0;
    g_assert_true(loom_volume_write(path, volume, &written, &error));
    g_assert_true(loom_volume_read_header(path, &header, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(header.geometry.axes, ==, geometry->axes);
    /* floats of numbers up to some 100 mm, of edges of about 1 mm */
    loom_geometry_check(geometry, "made", &header.geometry, "written", 1e-4, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < 3; i++)
        loom_assert_near(header.geometry.spacing_mm[i], geometry->spacing_mm[i], 1e-5);
    loom_test_folder_remove(folder);
}

/* ---- orient ------------------------------------------------------------------------- */

static const double unequal_mm[3] = {0.75, 1, 1.5};

/* Oblique by 20 degrees: to each of the 48 orientations and back. */
static void test_orient_all(void)
{
    static const char *const lines[] = {"RL", "AP", "SI"};
    static const guint orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                       {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    g_autoptr(LoomTestStage) back = loom_test_stage("{use: orient, axes: RAS}", NULL, NULL);

    for (guint n = 0; n < 48; n++) {
        g_autoptr(LoomPacket) start = counted_case(2, 3, 4, unequal_mm, 0.35);
        char axes[4] = {0};

        for (guint i = 0; i < 3; i++)
            axes[i] = lines[orders[n / 8][i]][n >> i & 1];
        g_autofree char *yaml = g_strdup_printf("{use: orient, axes: %s}", axes);
        g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
        LoomPacket *turned = through(stage, loom_packet_fork(start));

        g_assert_cmpstr(loom_packet_geometry(turned)->axes, ==, axes);
        voxels_stayed(turned, loom_packet_geometry(start));
        g_assert_cmpint(loom_packet_native(turned)->size[0], ==, 4);
        header_agrees(loom_packet_geometry(turned), TRUE);
        header_agrees(loom_packet_geometry(turned), FALSE);

        LoomPacket *again = through(back, loom_packet_fork(turned));
        g_assert_true(
            loom_test_equal(loom_packet_get(again, "image"), loom_packet_get(start, "image")));
        g_assert_true(
            loom_test_equal(loom_packet_get(again, "label"), loom_packet_get(start, "label")));
        g_assert_true(loom_geometry_check(loom_packet_geometry(again), "again",
                                          loom_packet_geometry(start), "start", PLACE_MM,
                                          NULL));
    }
}

/* Nothing to turn: not even copied. */
static void test_orient_keep(void)
{
    static const char *const yaml[] = {"{use: orient}", "{use: orient, axes: RAS}"};

    for (guint i = 0; i < 2; i++) {
        g_autoptr(LoomTestStage) stage = loom_test_stage(yaml[i], NULL, NULL);
        LoomPacket *packet = counted_case(2, 3, 4, unequal_mm, 0.35);
        g_autoptr(LoomPacket) held = loom_packet_fork(packet);
        LoomPacket *kept = through(stage, packet);

        g_assert_true(loom_packet_get(kept, "image") == loom_packet_get(held, "image"));
        g_assert_true(loom_packet_native(kept) == loom_packet_geometry(kept));
    }
}

/* The axis of 3 mm voxels comes to D, the others keep their order; of 1.9 mm it stays. */
static void test_orient_thick(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: orient, axes: LPS, thick_first: true}", NULL, NULL);
    g_autoptr(LoomPacket) start = counted_case(2, 3, 4, (const double[]){3, 1.2, 1}, 0);
    LoomPacket *turned = through(stage, loom_packet_fork(start));

    g_assert_cmpstr(loom_packet_geometry(turned)->axes, ==, "PSL");
    loom_assert_near(loom_packet_geometry(turned)->spacing_mm[2], 3, 0);
    voxels_stayed(turned, loom_packet_geometry(start));
    turned = through(stage, counted_case(2, 3, 4, (const double[]){1.9, 1, 1}, 0));
    g_assert_cmpstr(loom_packet_geometry(turned)->axes, ==, "LPS");
}

/* Without sform and qform left and right are a guess; once turned, the guess is written down.
 */
static void test_orient_formless(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: orient, axes: RPI}", NULL, NULL);
    LoomPacket *packet = counted_case(2, 3, 4, unequal_mm, 0);
    LoomGeometry geometry = *loom_packet_geometry(packet);

    geometry.sform_code = geometry.qform_code = 0;
    loom_packet_set_geometry(packet, &geometry);
    const LoomPacket *turned = through(stage, packet);
    voxels_stayed(turned, &geometry);
    g_assert_cmpint(loom_packet_geometry(turned)->sform_code, ==, 2);
    header_agrees(loom_packet_geometry(turned), TRUE);
}

static void test_orient_errors(void)
{
    static const char *const wrong[] = {"RAR", "RA", "ras", "RAX", "\"\""};
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: orient, axes: RAS}", NULL, NULL);
    g_autoptr(GError) error = NULL;
    LoomPacket *packet = loom_packet_new();

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *yaml = g_strdup_printf("{use: orient, axes: %s}", wrong[i]);

        loom_assert_failed(loom_test_stage(yaml, NULL, &error), error, LOOM_ERROR,
                           LOOM_ERROR_CONFIG, "is no orientation, want one letter each of");
        g_clear_error(&error);
    }
    loom_packet_set(packet, "image", loom_test_f32("CDHW", SHAPE(1, 1, 1, 1), F32(1)));
    loom_assert_failed(loom_test_push(stage, packet, 0, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "has no geometry, so no directions");
}

/* ---- crop_nonzero ------------------------------------------------------------------- */

/* Channel 0 is not 0 in one corner of the box, channel 1 in the opposite one. */
static void test_crop_box(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: crop_nonzero}", NULL, NULL);
    LoomPacket *packet = counted_case(5, 6, 7, unequal_mm, 0.35);
    const LoomGeometry before = *loom_packet_geometry(packet);
    float *image = loom_tensor_f32_mut(loom_packet_edit(packet, "image", NULL));
    double ijk[3] = {0, 0, 0}, now_mm[3], was_mm[3];

    memset(image, 0, 2 * 210 * sizeof *image);
    image[(1 * 6 + 4) * 7 + 2] = -3;      /* (1,4,2) */
    image[210 + (3 * 6 + 2) * 7 + 5] = 8; /* (3,2,5) */
    const LoomPacket *cut = through(stage, packet);
    const LoomTensor *part = loom_packet_get(cut, "image");
    const gint64 shape[] = {2, 3, 3, 4}; /* D 1..3, H 2..4, W 2..5 */

    g_assert_true(memcmp(loom_tensor_shape(part), shape, sizeof shape) == 0);
    g_assert_cmpfloat(image_of(cut)[(0 * 3 + 2) * 4 + 0], ==, -3);
    g_assert_cmpfloat(image_of(cut)[36 + (2 * 3 + 0) * 4 + 3], ==, 8);
    g_assert_cmpint(label_of(cut)[0], ==, ((1 * 6 + 2) * 7 + 2) % 7);
    place_of(loom_packet_geometry(cut), ijk, now_mm);
    place_of(&before, (const double[]){2, 2, 1}, was_mm);
    for (guint i = 0; i < 3; i++)
        loom_assert_near(now_mm[i], was_mm[i], PLACE_MM);
    header_agrees(loom_packet_geometry(cut), TRUE);
    header_agrees(loom_packet_geometry(cut), FALSE);
    g_assert_cmpint(loom_packet_native(cut)->size[0], ==, 7);
}

static void test_crop_whole(void)
{
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: crop_nonzero}", NULL, NULL);
    LoomPacket *packet = counted_case(2, 3, 4, unequal_mm, 0);
    LoomPacket *zeros = counted_case(2, 3, 4, unequal_mm, 0);

    memset(loom_tensor_f32_mut(loom_packet_edit(zeros, "image", NULL)), 0, 48 * sizeof(float));
    for (guint i = 0; i < 2; i++) {
        LoomPacket *kept = through(stage, i ? zeros : packet);

        g_assert_cmpint(loom_tensor_count(loom_packet_get(kept, "image")), ==, 48);
        g_assert_true(loom_packet_native(kept) == loom_packet_geometry(kept));
    }
}

/* ---- resample ----------------------------------------------------------------------- */

static LoomPacket *line_case(gint64 d, gint64 h, gint64 w, double (*value)(double),
                             const double mm[3])
{
    LoomPacket *packet = counted_case(d, h, w, mm, 0);
    float *image = loom_tensor_f32_mut(loom_packet_edit(packet, "image", NULL));

    for (gint64 v = 0; v < 2 * d * h * w; v++)
        image[v] = (float)value((double)(v % w));
    return packet;
}

static double ramp(double x)
{
    return 3 * x - 7;
}

static double cube(double x)
{
    return ((x - 30) * 0.01 * (x - 25) + 2) * (x - 40) / 8;
}

/* Far enough from the ends, splines give back a cubic, and lines a ramp: an end is felt by
 * |z|^k at k voxels, 1e-7 at 12. */
static void reproduces(const char *order, double (*value)(double), double mm, gint64 want,
                       gint64 from_end, double tolerance)
{
    g_autofree char *yaml =
        g_strdup_printf("{use: resample, spacing: [1, 1, %g], order: %s}", mm, order);
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    const LoomPacket *out =
        through(stage, line_case(1, 2, 60, value, (const double[]){1, 1, 1}));

    g_assert_cmpint(loom_packet_geometry(out)->size[0], ==, want);
    for (gint64 o = 0; o < want; o++) {
        const double x = ((double)o + 0.5) * 60.0 / (double)want - 0.5;

        if (x > (double)from_end && x < 59 - (double)from_end)
            loom_assert_near((double)image_of(out)[want + o], value(x), tolerance);
    }
}

static void test_resample_exact(void)
{
    /* f32: values up to 200, a few roundings */
    reproduces("1", ramp, 0.7, 86, 0, 1e-4);
    reproduces("1", ramp, 1.9, 32, 0, 1e-4);
    reproduces("3", ramp, 0.7, 86, 13, 1e-4);
    reproduces("3", cube, 0.7, 86, 13, 1e-4);
    reproduces("3", cube, 2.5, 24, 13, 1e-4);
}

/* The same spacing, also with an affine's last digits: not even copied. */
static void test_resample_same(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: resample, spacing: [1.5, 1.0001, 0.75]}", NULL, NULL);
    LoomPacket *packet = counted_case(5, 6, 7, unequal_mm, 0.35);
    g_autoptr(LoomPacket) held = loom_packet_fork(packet);
    LoomPacket *kept = through(stage, packet);

    g_assert_true(loom_packet_get(kept, "image") == loom_packet_get(held, "image"));
    g_assert_true(loom_packet_native(kept) == loom_packet_geometry(kept));
}

/* One axis moves: the others give their bits back where it does not interpolate. */
static void test_resample_one_axis(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: resample, spacing: [0.5, 1, 0.75], order: 1}", NULL, NULL);
    const LoomPacket *out = through(stage, counted_case(2, 3, 4, unequal_mm, 0));

    /* D 2 -> 6: places -1/3, 0, 1/3, 2/3, 1, 4/3 of planes that differ by 12 */
    for (gint64 v = 0; v < 12; v++) {
        g_assert_cmpfloat(image_of(out)[v], ==, (float)(v + 1));
        g_assert_cmpfloat(image_of(out)[60 + v], ==, (float)(v + 13));
        loom_assert_near((double)image_of(out)[24 + v], (double)v + 5, 1e-5);
    }
}

/* Both grids have the same outer faces, and the header says so. */
static void test_resample_geometry(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: resample, spacing: [2, 0.7, 0.9]}", NULL, NULL);
    g_autoptr(LoomPacket) start = counted_case(5, 6, 7, unequal_mm, 0.35);
    const LoomPacket *out = through(stage, loom_packet_fork(start));
    const LoomGeometry *before = loom_packet_geometry(start);
    const LoomGeometry *after = loom_packet_geometry(out);
    static const gint64 want[3] = {6, 9, 4}; /* round(7 .75/.9), round(6/.7), round(5 1.5/2) */

    for (guint i = 0; i < 3; i++) {
        g_assert_cmpint(after->size[i], ==, want[i]);
        g_assert_cmpint(loom_tensor_size(loom_packet_get(out, "label"), "WHD"[i]), ==, want[i]);
        loom_assert_near(after->spacing_mm[i] * (double)want[i],
                         before->spacing_mm[i] * (double)before->size[i], PLACE_MM);
    }
    for (guint corner = 0; corner < 8; corner++) {
        double was[3], now[3], was_mm[3], now_mm[3];

        for (guint i = 0; i < 3; i++) {
            was[i] = corner >> i & 1 ? (double)before->size[i] - 0.5 : -0.5;
            now[i] = corner >> i & 1 ? (double)after->size[i] - 0.5 : -0.5;
        }
        place_of(before, was, was_mm);
        place_of(after, now, now_mm);
        for (guint i = 0; i < 3; i++)
            loom_assert_near(now_mm[i], was_mm[i], PLACE_MM);
    }
    header_agrees(after, TRUE);
    header_agrees(after, FALSE);
    g_assert_cmpint(loom_packet_native(out)->size[0], ==, 7);
}

/* Voxels of 4 mm in a plane of 1: no value between those of two slices appears. */
static void test_resample_thick(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: resample, spacing: [1, 1, 1]}", NULL, NULL);
    LoomPacket *packet = counted_case(3, 4, 4, (const double[]){1, 1, 4}, 0);
    float *image = loom_tensor_f32_mut(loom_packet_edit(packet, "image", NULL));

    for (gint64 v = 0; v < 96; v++)
        image[v] = (float)(v % 48 / 16 * 100);
    memset(loom_tensor_u8_mut(loom_packet_edit(packet, "label", NULL)), 3, 16);
    const LoomPacket *out = through(stage, packet);
    g_assert_cmpint(loom_packet_geometry(out)->size[2], ==, 12);
    for (gint64 v = 0; v < 12 * 16; v++) {
        g_assert_cmpfloat(image_of(out)[v], ==, (float)(v / 64 * 100));
        if (v < 64)
            g_assert_cmpint(label_of(out)[v], ==, 3);
    }
}

/* A step from 0 to 100 along W, in slice d of a thick case 100 d higher: a spline through it is
 * above and below by 5 and more.  Clipped it is not, and with slices each has its own range. */
static void clip_check(const char *keys, double thickness, gboolean clipped)
{
    g_autofree char *yaml =
        g_strdup_printf("{use: resample, spacing: [%g, 1, 0.4]%s}", thickness, keys);
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
    LoomPacket *packet = counted_case(3, 4, 8, (const double[]){1, 1, thickness}, 0);
    float *image = loom_tensor_f32_mut(loom_packet_edit(packet, "image", NULL));

    for (gint64 v = 0; v < 96; v++)
        image[v] = (float)((v % 8 < 4 ? 0 : 100) + (thickness > 3 ? v / 32 * 100 : 0));
    const LoomPacket *out = through(stage, packet);
    const gint64 *shape = loom_tensor_shape(loom_packet_get(out, "image"));
    double beyond = 0;

    g_assert_cmpint(shape[3], ==, 20);
    for (gint64 v = 0; v < 3 * 4 * 20; v++) {
        const double low = thickness > 3 ? (double)(v / 80 * 100) : 0;

        beyond = MAX(beyond, low - (double)image_of(out)[v]);
        beyond = MAX(beyond, (double)image_of(out)[v] - low - 100);
    }
    if (clipped)
        g_assert_cmpfloat(beyond, ==, 0);
    else
        g_assert_cmpfloat(beyond, >, 5);
}

static void test_resample_clip(void)
{
    clip_check("", 1, TRUE); /* by default, as nnU-Net */
    clip_check("", 5, TRUE);
    clip_check(", clip: true", 5, TRUE);
    clip_check(", clip: false", 1, FALSE);
    clip_check(", clip: false", 5, FALSE);
}

/* Shapes with axes of one voxel, far ratios, large values: all finite, constants stay. */
static void test_resample_finite(void)
{
    static const gint64 shapes[][3] = {{1, 9, 1}, {1, 1, 1}, {2, 1, 5}, {1, 2, 2}, {13, 2, 1}};
    static const char *const spacings[] = {"[0.3, 0.3, 0.3]", "[7, 7, 7]", "[500, 0.1, 0.9]"};

    for (guint s = 0; s < G_N_ELEMENTS(shapes); s++)
        for (guint n = 0; n < 2 * G_N_ELEMENTS(spacings); n++) {
            g_autofree char *yaml = g_strdup_printf("{use: resample, spacing: %s, order: %d}",
                                                    spacings[n / 2], n % 2 ? 3 : 1);
            g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, NULL, NULL);
            LoomPacket *packet = counted_case(shapes[s][0], shapes[s][1], shapes[s][2],
                                              (const double[]){1, 1, 1}, 0);
            float *image = loom_tensor_f32_mut(loom_packet_edit(packet, "image", NULL));
            const gint64 voxels = shapes[s][0] * shapes[s][1] * shapes[s][2];

            for (gint64 v = 0; v < voxels; v++) {
                image[v] = v % 2 ? 1e30f : -1e30f;
                image[voxels + v] = 1234.5f;
            }
            const LoomPacket *out = through(stage, packet);
            const gint64 count = loom_tensor_count_from(loom_packet_get(out, "image"), 'D');
            for (gint64 v = 0; v < count; v++) {
                g_assert_true(isfinite(image_of(out)[v]));
                loom_assert_near((double)image_of(out)[count + v], 1234.5, 1e-2);
            }
        }
}

/* The bits do not depend on threads. */
static void test_resample_threads(void)
{
    g_autoptr(LoomTensor) image = loom_test_random("DHW", SHAPE(9, 11, 13), 3, -1, 1);
    g_autoptr(LoomTensor) label = loom_test_random_labels("DHW", SHAPE(9, 11, 13), 4, 5);
    LoomResampleAxis *cubic[3], *linear[3];
    static const gint64 out[3] = {12, 7, 20};
    float images[2][1680];
    guint8 labels[2][1680];

    for (guint i = 0; i < 3; i++) {
        const gint64 in = loom_tensor_shape(image)[i];

        cubic[i] = loom_resample_axis_new(in, out[i], 3);
        linear[i] = loom_resample_axis_new(in, out[i], 1);
    }
    for (guint n = 0; n < 2; n++) {
        g_autoptr(LoomPool) pool = n ? loom_pool_new(4) : NULL;

        g_assert_true(
            loom_resample_volume(cubic, loom_tensor_f32(image), images[n], pool, NULL));
        loom_resample_labels(linear, loom_tensor_u8(label), labels[n], pool);
    }
    g_assert_true(memcmp(images[0], images[1], sizeof images[0]) == 0);
    g_assert_true(memcmp(labels[0], labels[1], sizeof labels[0]) == 0);
    for (guint i = 0; i < 3; i++) {
        loom_resample_axis_free(cubic[i]);
        loom_resample_axis_free(linear[i]);
    }
}

static void test_resample_errors(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomTestStage) tiny =
        loom_test_stage("{use: resample, spacing: [0.001, 1, 1]}", NULL, NULL);
    g_autoptr(LoomTestStage) small =
        loom_test_stage("{use: resample, spacing: [0.5, 0.5, 0.5], limit: 1000}", NULL, NULL);
    LoomPacket *packet = loom_packet_new();

    loom_assert_failed(loom_test_stage("{use: resample, spacing: [1, 1]}", NULL, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "spacing has 2 numbers, want 3");
    g_clear_error(&error);
    loom_assert_failed(loom_test_stage("{use: resample, spacing: [1, 0, 1]}", NULL, &error),
                       error, LOOM_ERROR, LOOM_ERROR_CONFIG, "out of range");
    g_clear_error(&error);
    loom_assert_failed(
        loom_test_push(tiny, counted_case(90, 1, 1, (const double[]){1, 1, 1.5}, 0), 0, &error),
        error, LOOM_ERROR, LOOM_ERROR_LIMIT, "90 voxels of 1.5 mm along D would become more");
    g_clear_error(&error);
    loom_assert_failed(
        loom_test_push(small, counted_case(9, 9, 9, (const double[]){1, 1, 1}, 0), 0, &error),
        error, LOOM_ERROR, LOOM_ERROR_LIMIT, "18 x 18 x 18 voxels are 0 MiB, above the limit");
    g_clear_error(&error);
    loom_packet_set(packet, "image", loom_test_f32("CDHW", SHAPE(1, 1, 1, 1), F32(1)));
    loom_assert_failed(loom_test_push(small, packet, 1, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "has no geometry, so no spacing");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stages/orient/all", test_orient_all);
    g_test_add_func("/stages/orient/keep", test_orient_keep);
    g_test_add_func("/stages/orient/thick", test_orient_thick);
    g_test_add_func("/stages/orient/formless", test_orient_formless);
    g_test_add_func("/stages/orient/errors", test_orient_errors);
    g_test_add_func("/stages/crop_nonzero/box", test_crop_box);
    g_test_add_func("/stages/crop_nonzero/whole", test_crop_whole);
    g_test_add_func("/stages/resample/exact", test_resample_exact);
    g_test_add_func("/stages/resample/same", test_resample_same);
    g_test_add_func("/stages/resample/one-axis", test_resample_one_axis);
    g_test_add_func("/stages/resample/geometry", test_resample_geometry);
    g_test_add_func("/stages/resample/thick", test_resample_thick);
    g_test_add_func("/stages/resample/clip", test_resample_clip);
    g_test_add_func("/stages/resample/finite", test_resample_finite);
    g_test_add_func("/stages/resample/threads", test_resample_threads);
    g_test_add_func("/stages/resample/errors", test_resample_errors);
    return loom_test_run();
}
