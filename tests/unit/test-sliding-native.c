/* sliding_window where stages have moved the image: the prediction on the grid of the file, as
 * whole volumes of logits would give it; grids that cannot be. */
#include "loom_test.h"

#include "toy_model.h"

#include <math.h>
#include <string.h>

/* Logits lie below 6; a mean over at most 27 windows and 8 voxels in f32 is off by at most
 * 35 * 6e-8 * 6 = 1.3e-5, and a probability by half of that. */
#define TOLERANCE 2e-5

static const double slopes[3] = {0.3, -1, 2};

/* Native voxel n lies along working axis a at scale[a] * n[from[a]] + offset[a]; D, H, W. */
typedef struct {
    gint64 working[3], native[3];
    guint from[3];
    double scale[3], offset[3];
    const char *window, *keys;
} Grids;

/* An oblique working grid, and the native one behind the mapping. */
static void geometries(const Grids *it, LoomGeometry *working, LoomGeometry *native)
{
    const double spacing[3] = {2, 2.5, 3}, c = cos(0.3), s = sin(0.3);
    const double turn[3][3] = {{c, -s, 0}, {s, c, 0}, {0, 0, 1}};
    const gint64 ones[3] = {1, 1, 1};

    loom_geometry_plain(working, ones, spacing);
    loom_geometry_plain(native, ones, spacing);
    for (guint i = 0; i < 3; i++) {
        working->size[i] = it->working[2 - i];
        native->size[i] = it->native[2 - i];
        for (guint k = 0; k < 3; k++) {
            working->affine[i][k] = turn[i][k] * spacing[k];
            native->affine[i][k] = 0;
        }
        native->affine[i][3] = working->affine[i][3] = 10.0 * i - 7;
    }
    for (guint a = 0; a < 3; a++) /* column by column: native = working * M */
        for (guint i = 0; i < 3; i++) {
            native->affine[i][2 - it->from[a]] += working->affine[i][2 - a] * it->scale[a];
            native->affine[i][3] += working->affine[i][2 - a] * it->offset[a];
        }
}

static LoomTestStage *stage_with(const char *toy, const char *window, const char *keys)
{
    g_autofree char *sections =
        g_strdup_printf("backend: {use: reference}\nmodels: {m: {use: toy, %s}}", toy);
    const LoomTestSetup setup = {.sections = sections, .seed = 1};
    g_autofree char *yaml = g_strdup_printf(
        "{use: sliding_window, model: m, size: %s, keep_probabilities: true%s}", window, keys);

    return loom_test_stage(yaml, &setup, NULL);
}

/* @geometry NULL: the packet has no grid.  What comes out stays the stage's. */
static const LoomPacket *push(LoomTestStage *stage, LoomTensor *image,
                              const LoomGeometry *geometry, const LoomGeometry *native,
                              GError **error)
{
    LoomPacket *packet = loom_packet_new();

    loom_packet_set_id(packet, "case");
    loom_packet_set(packet, "image", loom_tensor_ref(image));
    if (native)
        loom_packet_set_geometry(packet, native);
    if (native && geometry)
        loom_packet_regrid(packet, geometry);
    if (loom_test_push(stage, packet, 0, error) != LOOM_FLOW_OK)
        return NULL;
    return loom_test_out(stage)->pdata[loom_test_out(stage)->len - 1];
}

/* Image at a place of the working grid, between voxels linearly; FALSE: outside. */
static gboolean image_at(const LoomTensor *image, const Grids *it, const gint64 n[3],
                         double *value)
{
    const gint64 *size = it->working;
    gint64 low[3], high[3];
    double share[3];

    for (guint a = 0; a < 3; a++) {
        const double at = it->scale[a] * (double)n[it->from[a]] + it->offset[a];
        const double last = (double)(size[a] - 1), inside = CLAMP(at, 0, last);

        if (at < -0.5 - 1e-9 || at > last + 0.5 + 1e-9)
            return FALSE;
        low[a] = MIN((gint64)inside, size[a] - 1);
        high[a] = MIN(low[a] + 1, size[a] - 1);
        share[a] = inside - (double)low[a];
    }
    *value = 0;
    for (guint corner = 0; corner < 8; corner++) {
        gint64 at[3];
        double weight = 1;

        for (guint a = 0; a < 3; a++) {
            const gboolean far = (corner >> a & 1u) != 0;

            at[a] = far ? high[a] : low[a];
            weight *= far ? share[a] : 1 - share[a];
        }
        *value += weight
                  * (double)loom_tensor_f32(image)[(at[0] * size[1] + at[1]) * size[2] + at[2]];
    }
    return TRUE;
}

/* The toy's logits depend on the voxel alone, whatever the windows: slope * x. */
static void voxel_check(const LoomPacket *out, gint64 v, gboolean inside, double x)
{
    const guint8 label = loom_tensor_u8(loom_packet_get(out, "prediction"))[v];
    const LoomTensor *p = loom_packet_get(out, "probabilities");
    const gint64 voxels = loom_tensor_count_from(p, 'D');
    double norm = 0, most = -INFINITY;

    for (guint k = 0; k < 3; k++) {
        norm += exp(slopes[k] * x);
        most = MAX(most, slopes[k] * x);
    }
    if (!inside)
        g_assert_cmpuint(label, ==, 0);
    else
        loom_assert_near(slopes[label] * x, most, TOLERANCE);
    for (guint k = 0; k < 3; k++)
        loom_assert_near((double)loom_tensor_f32(p)[k * voxels + v],
                         inside   ? exp(slopes[k] * x) / norm
                         : k == 0 ? 1.0
                                  : 0.0,
                         TOLERANCE);
}

static void compare(const Grids *it)
{
    g_autoptr(LoomTestStage) stage =
        stage_with("slope: [0.3, -1, 2], tilt: [0, 0, 0]", it->window, it->keys);
    const gint64 shape[4] = {1, it->working[0], it->working[1], it->working[2]};
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", shape, 4, 5, -3, 3);
    LoomGeometry working, native;
    guint inside = 0;

    geometries(it, &working, &native);
    const LoomPacket *out = push(stage, image, &working, &native, NULL);
    const gint64 *size = it->native;
    g_assert_true(
        memcmp(loom_tensor_shape(loom_packet_get(out, "prediction")), size, 3 * sizeof *size)
        == 0);
    for (gint64 v = 0; v < size[0] * size[1] * size[2]; v++) {
        const gint64 n[3] = {v / (size[1] * size[2]), v / size[2] % size[1], v % size[2]};
        double x = 0;
        const gboolean there = image_at(image, it, n, &x);

        voxel_check(out, v, there, x);
        inside += there ? 1 : 0;
    }
    g_assert_cmpuint(inside, >, 0);
}

static void test_resampled(void)
{
    static const Grids cases[] = {
        /* the file is finer, as after a resampling that keeps the faces */
        {{9, 11, 7},
         {27, 22, 14},
         {0, 1, 2},
         {1. / 3, 0.5, 0.5},
         {-1. / 3, -0.25, -0.25},
         "[4, 4, 4]",
         ""},
        /* coarser */
        {{16, 12, 10}, {5, 6, 4}, {0, 1, 2}, {3.2, 2, 2.5}, {1.1, 0.5, 0.75}, "[6, 6, 6]", ""},
        /* cropped: the file reaches past it on all sides */
        {{5, 6, 7}, {9, 11, 12}, {0, 1, 2}, {1, 1, 1}, {-2, -3, -4}, "[4, 4, 4]", ""},
        /* cropped and resampled, axes exchanged, two of them backwards */
        {{9, 8, 10},
         {13, 15, 11},
         {2, 0, 1},
         {-0.8, 0.7, -0.9},
         {8.4, -1.3, 11.2},
         "[4, 6, 4]",
         ""},
        /* thinner than a window along each axis, and one voxel thin */
        {{3, 1, 5}, {7, 3, 9}, {0, 1, 2}, {0.5, 0.4, 0.6}, {-0.2, -0.3, 0}, "[8, 8, 8]", ""},
        {{12, 1, 2}, {1, 1, 24}, {2, 1, 0}, {0.5, 1, 0.3}, {-0.25, 0, 0.2}, "[4, 4, 4]", ""},
        /* several windows at once, over two starts along D */
        {{9, 14, 10},
         {12, 13, 19},
         {0, 1, 2},
         {0.7, 1.05, 0.5},
         {0, 0, 0.1},
         "[4, 6, 8]",
         ", batch: 7"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        compare(&cases[i]);
}

/* The same prediction turned in all 48 ways, to the last bit. */
static void test_orientations(void)
{
    static const guint orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                       {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const gint64 size[3] = {5, 9, 6};
    g_autoptr(LoomTestStage) stage =
        stage_with("slope: [0.3, -1, 2], tilt: [0, 0.25, -0.125]", "[4, 4, 4]", "");
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 5, 9, 6), 6, -3, 3);
    const LoomPacket *plain = push(stage, image, NULL, NULL, NULL);
    const guint8 *expected = loom_tensor_u8(loom_packet_get(plain, "prediction"));

    for (guint way = 0; way < 48; way++) {
        Grids it = {.working = {5, 9, 6}};
        LoomGeometry working, native;

        for (guint a = 0; a < 3; a++) {
            const gboolean back = (way / 6 >> a & 1u) != 0;

            it.from[a] = orders[way % 6][a];
            it.native[it.from[a]] = size[a];
            it.scale[a] = back ? -1 : 1;
            it.offset[a] = back ? (double)(size[a] - 1) : 0;
        }
        geometries(&it, &working, &native);
        const LoomPacket *out = push(stage, image, &working, &native, NULL);
        const guint8 *got = loom_tensor_u8(loom_packet_get(out, "prediction"));
        for (gint64 v = 0; v < 5 * 9 * 6; v++) {
            const gint64 at[3] = {v / 54, v / 6 % 9, v % 6};
            gint64 n[3];

            for (guint a = 0; a < 3; a++)
                n[it.from[a]] = it.scale[a] < 0 ? size[a] - 1 - at[a] : at[a];
            g_assert_cmpuint(got[(n[0] * it.native[1] + n[1]) * it.native[2] + n[2]], ==,
                             expected[v]);
        }
    }
}

/* A grid that was regridded onto itself: the very bits of one that never moved. */
static void test_identity(void)
{
    const Grids it = {{7, 9, 6}, {7, 9, 6}, {0, 1, 2}, {1, 1, 1}, {0, 0, 0}, "", ""};
    g_autoptr(LoomTestStage) stage =
        stage_with("slope: [0.3, -1, 2], tilt: [0, 0.25, -0.125]", "[4, 4, 4]", "");
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 7, 9, 6), 6, -3, 3);
    LoomGeometry working, native;

    geometries(&it, &working, &native);
    const LoomPacket *plain = push(stage, image, NULL, NULL, NULL);
    const LoomPacket *same = push(stage, image, &working, &native, NULL);
    g_assert_true(loom_test_equal(loom_packet_get(plain, "prediction"),
                                  loom_packet_get(same, "prediction")));
    g_assert_true(loom_test_equal(loom_packet_get(plain, "probabilities"),
                                  loom_packet_get(same, "probabilities")));
}

static void test_turned(void)
{
    const Grids it = {{7, 9, 6}, {7, 9, 6}, {0, 1, 2}, {1, 1, 1}, {0, 0, 0}, "", ""};
    g_autoptr(LoomTestStage) stage =
        stage_with("slope: [0.3, -1, 2], tilt: [0, 0, 0]", "[4, 4, 4]", "");
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 7, 9, 6), 6, -3, 3);
    g_autoptr(GError) error = NULL;
    LoomGeometry working, native;

    geometries(&it, &working, &native);
    native.affine[0][2] += 0.1; /* 0.1 mm a slice, 0.3 voxels at the end of 6 */
    loom_assert_failed(push(stage, image, &working, &native, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "is turned against that of its file");
}

/* A ceiling below what the process holds already. */
static void test_memory_refused(void)
{
    g_autoptr(LoomTestStage) stage =
        stage_with("slope: [0.3, -1, 2], tilt: [0, 0, 0]", "[4, 8, 8]", ", memory: 1MiB");
    g_autoptr(LoomTensor) image = loom_test_random("CDHW", SHAPE(1, 9, 40, 70), 6, -3, 3);
    g_autoptr(GError) error = NULL;

    loom_assert_failed(
        push(stage, image, NULL, NULL, &error), error, LOOM_ERROR, LOOM_ERROR_LIMIT,
        "memory is 1.0 MiB, but one window at a time in the smallest tiles takes");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    g_test_add_func("/stages/sliding_window/native/resampled", test_resampled);
    g_test_add_func("/stages/sliding_window/native/orientations", test_orientations);
    g_test_add_func("/stages/sliding_window/native/identity", test_identity);
    g_test_add_func("/stages/sliding_window/native/turned", test_turned);
    g_test_add_func("/stages/sliding_window/memory/refused", test_memory_refused);
    return loom_test_run();
}
