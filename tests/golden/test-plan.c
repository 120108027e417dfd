/* The planner's mathematics against nnU-Net's.
 *
 * The table is that of the reference this project keeps of its peers: the plans that nnU-Net's
 * documentation, its benchmark page and its users' threads show (hippocampus, KiTS 2-D), and
 * the rule restated in NumPy where they show none.  The two counts of elements of residual
 * networks stand in nnU-Net's public source. */
#include "loom_test.h"

#include "plan_budget.h"
#include "plan_spacing.h"

#define PLAIN 560e6
#define PLAIN_2D 85e6
#define RESIDUAL_L 2.1e9

typedef struct {
    const char *name;
    guint dims;
    double spacing[3], median[3];
    gint64 cases, classes;
    gboolean residual;
    double elements, covered;
    gint64 patch[3], batch; /* from here on: wanted */
    guint pools[3];
    gint64 estimate; /* 0: not stated */
    gboolean coarse;
} Row;

static const Row rows[] = {
    {"hippocampus",
     3,
     {1, 1, 1},
     {36, 50, 35},
     260,
     3,
     FALSE,
     PLAIN,
     0.05,
     {40, 56, 40},
     9,
     {3, 3, 3},
     0,
     FALSE},
    /* a slice is a case there: 260 volumes of 36 slices */
    {"hippocampus-2d",
     2,
     {1, 1},
     {50, 35},
     260 * 36,
     3,
     FALSE,
     PLAIN_2D,
     0.05,
     {56, 40},
     366,
     {3, 3},
     0,
     FALSE},
    {"brain-tumour",
     3,
     {1, 1, 1},
     {138, 169, 138},
     484,
     4,
     FALSE,
     PLAIN,
     0.05,
     {128, 128, 128},
     2,
     {5, 5, 5},
     454893568,
     FALSE},
    {"kits-2d",
     2,
     {0.78125, 0.78125},
     {512, 512},
     489 * 400,
     4,
     FALSE,
     PLAIN_2D,
     0.05,
     {512, 512},
     12,
     {7, 7},
     0,
     FALSE},
    {"kits19",
     3,
     {0.78125, 0.78125, 0.78125},
     {410, 512, 512},
     210,
     3,
     FALSE,
     PLAIN,
     0.05,
     {128, 128, 128},
     2,
     {5, 5, 5},
     0,
     TRUE},
    {"brats20",
     3,
     {1, 1, 1},
     {138, 170, 137},
     369,
     4,
     FALSE,
     PLAIN,
     0.05,
     {128, 128, 128},
     2,
     {5, 5, 5},
     454893568,
     FALSE},
    {"liver",
     3,
     {1, 0.7676, 0.7676},
     {482, 512, 512},
     131,
     3,
     FALSE,
     PLAIN,
     0.05,
     {128, 128, 128},
     2,
     {5, 5, 5},
     0,
     TRUE},
    {"prostate",
     3,
     {3.6, 0.62, 0.62},
     {20, 320, 319},
     32,
     3,
     FALSE,
     PLAIN,
     0.05,
     {20, 320, 256},
     2,
     {2, 6, 6},
     0,
     FALSE},
    {"brats20-residual-l",
     3,
     {1, 1, 1},
     {138, 170, 137},
     369,
     4,
     TRUE,
     RESIDUAL_L,
     1,
     {160, 192, 160},
     3,
     {5, 5, 5},
     0,
     FALSE},
    {"kits19-residual-l",
     3,
     {0.78125, 0.78125, 0.78125},
     {410, 512, 512},
     210,
     3,
     TRUE,
     RESIDUAL_L,
     1,
     {160, 224, 192},
     2,
     {5, 5, 5},
     0,
     TRUE},
};

static PlanScene scene_of(const Row *row)
{
    PlanScene scene = {.dims = row->dims, .voxels = (double)row->cases, .in_channels = 1};

    for (guint a = 0; a < row->dims; a++) {
        scene.spacing[a] = row->spacing[a];
        scene.median[a] = row->median[a];
        scene.voxels *= row->median[a];
    }
    return scene;
}

static PlanBudget budget_of(const Row *row)
{
    return (PlanBudget){.elements = row->elements,
                        .reference_batch = row->dims == 3 ? 2 : 12,
                        .covered = row->covered,
                        .least_batch = 2,
                        .most_batch = 100000,
                        .max_levels = PLAN_MAX_LEVELS,
                        .edge = row->dims == 3 ? 256 : 2048,
                        .speed = plan_speed_of(16, 2)};
}

static PlanNetwork network_of(const Row *row)
{
    return (PlanNetwork){.base = 32,
                         .widest = row->dims == 3 ? 320 : 512,
                         .classes = row->classes,
                         .residual = row->residual};
}

static void test_row(gconstpointer data)
{
    const Row *row = data;
    const PlanScene scene = scene_of(row);
    const PlanBudget budget = budget_of(row);
    const PlanNetwork network = network_of(row);
    PlanScene coarse_scene;
    PlanFit fit, coarse;

    g_assert_true(plan_fit(&scene, &budget, &network, NULL, &fit));
    for (guint a = 0; a < row->dims; a++) {
        g_assert_cmpint(fit.topology.patch[a], ==, row->patch[a]);
        g_assert_cmpuint(fit.topology.pools[a], ==, row->pools[a]);
    }
    g_assert_cmpint(fit.batch, ==, row->batch);
    if (row->estimate)
        g_assert_cmpint(fit.elements, ==, row->estimate);
    g_assert_cmpint(plan_fit_coarse(&scene, &budget, &network, &fit, &coarse_scene, &coarse),
                    ==, row->coarse);
}

/* ---- the shape of the network ------------------------------------------------------- */

/* Thick slices: in the plane alone at first, and back there when the slices are used up. */
static void test_thick(void)
{
    static const gint64 stride[7][3] = {{1, 1, 1}, {1, 2, 2}, {1, 2, 2}, {2, 2, 2},
                                        {2, 2, 2}, {1, 2, 2}, {1, 2, 2}};
    static const gint64 kernel[7] = {1, 1, 3, 3, 3, 3, 3}; /* through the slices */
    const double spacing[3] = {3.6, 0.62, 0.62}, patch[3] = {20, 320, 256};
    PlanTopology topology;

    plan_topology_make(3, spacing, patch, PLAN_MAX_LEVELS, &topology);
    g_assert_cmpuint(topology.levels, ==, 7);
    for (guint l = 0; l < 7; l++)
        for (guint a = 0; a < 3; a++) {
            g_assert_cmpint(topology.stride[l][a], ==, stride[l][a]);
            g_assert_cmpint(topology.kernel[l][a], ==, a ? 3 : kernel[l]);
        }
}

/* nnU-Net counts the heads of all levels where it states these. */
static void test_residual_elements(void)
{
    const double spacing[3] = {1, 1, 1}, cube[3] = {128, 128, 128}, square[2] = {512, 512};
    const PlanNetwork in_3d = {32, 320, 3, TRUE, TRUE}, in_2d = {32, 512, 3, TRUE, TRUE};
    PlanTopology topology;

    plan_topology_make(3, spacing, cube, PLAN_MAX_LEVELS, &topology);
    g_assert_cmpuint(topology.levels, ==, 6);
    g_assert_cmpint(plan_elements(&topology, &in_3d), ==, 558319104);
    plan_topology_make(2, spacing, square, 7, &topology);
    g_assert_cmpint(plan_elements(&topology, &in_2d), ==, 129793792);
}

static void test_coarse_spacing(void)
{
    /* of MSD Liver: 2.50, 1.92, 1.92 mm, as printed with two digits */
    const Row *liver = &rows[6];
    const PlanScene scene = scene_of(liver);
    const PlanBudget budget = budget_of(liver);
    const PlanNetwork network = network_of(liver);
    PlanScene coarse_scene;
    PlanFit fit, coarse;

    g_assert_cmpstr(liver->name, ==, "liver");
    g_assert_true(plan_fit(&scene, &budget, &network, NULL, &fit));
    g_assert_true(plan_fit_coarse(&scene, &budget, &network, &fit, &coarse_scene, &coarse));
    loom_assert_near(coarse_scene.spacing[0], 2.50, 0.005);
    loom_assert_near(coarse_scene.spacing[1], 1.92, 0.005);
    loom_assert_near(coarse_scene.spacing[2], 1.92, 0.005);
}

/* nnU-Net's step: at most half a patch, evenly spread.  Of 110 voxels in windows of 64 three,
 * at 0, 23 and 46, which is what the stage that predicts does. */
static void test_windows(void)
{
    const gint64 patch[3] = {64, 64, 64};

    g_assert_cmpint(plan_windows(3, patch, (const double[]){110, 64, 20}), ==, 3);
    g_assert_cmpint(plan_windows(3, patch, (const double[]){110, 65, 96}), ==, 3 * 2 * 2);
}

/* What was measured on two cores with AVX-512: seconds of segloom bench train_step, MiB. */
static void test_cost(void)
{
    static const struct {
        gint64 patch[3], base, widest, batch, in, classes;
        guint levels;
        double seconds, mib;
    } measured[] = {
        {{40, 56, 40}, 16, 64, 4, 1, 3, 3, 0.145, 265},
        {{64, 64, 64}, 32, 320, 2, 1, 3, 5, 0.68, 1065},
        {{96, 96, 64}, 32, 256, 2, 4, 4, 4, 1.31, 1557},
    };
    const double spacing[3] = {1, 1, 1};
    const PlanSpeed speed = plan_speed_of(16, 2);

    for (guint i = 0; i < G_N_ELEMENTS(measured); i++) {
        const double patch[3] = {(double)measured[i].patch[0], (double)measured[i].patch[1],
                                 (double)measured[i].patch[2]};
        const PlanNetwork network = {measured[i].base, measured[i].widest, measured[i].classes,
                                     FALSE, TRUE};
        PlanTopology topology;

        plan_topology_make(3, spacing, patch, measured[i].levels, &topology);
        g_assert_cmpuint(topology.levels, ==, measured[i].levels);
        /* the fit is within 10 % of these */
        loom_assert_near(
            plan_seconds(&speed, &topology, &network, measured[i].in, measured[i].batch)
                / measured[i].seconds,
            1, 0.1);
        loom_assert_near(plan_bytes(&topology, &network, measured[i].in, measured[i].batch)
                             / (measured[i].mib * 1024 * 1024),
                         1, 0.1);
    }
}

/* ---- spacing ------------------------------------------------------------------------ */

/* KiTS19: median 3 x 0.78 x 0.78 mm; a tenth of the cases is finer than the plane, so all are
 * brought to the plane's spacing (MIC-DKFZ/nnUNet#230). */
static void test_kits_spacing(void)
{
    PlanGrid grids[11];
    double spacing[3];
    guint order[3];
    int thick;

    for (guint i = 0; i < 11; i++)
        grids[i] = (PlanGrid){{107, 512, 512}, {i < 2 ? 0.5 : 3, 0.78125, 0.78125}};
    plan_spacing_target(grids, 11, spacing, &thick);
    g_assert_cmpint(thick, ==, 0);
    loom_assert_near(spacing[0], 0.78125, 1.1e-5); /* nnU-Net adds 1e-5 */
    loom_assert_near(spacing[1], 0.78125, 0);
    plan_axis_order(spacing, order);
    g_assert_cmpuint(order[0], ==, 0);
}

/* The same along W: no axis is special. */
static void test_thick_w(void)
{
    PlanGrid grids[11];
    double spacing[3], median[3];
    guint order[3];
    int thick;

    for (guint i = 0; i < 11; i++)
        grids[i] = (PlanGrid){{200, 220, 20}, {0.9, 0.9, i < 2 ? 2.5 : 5}};
    plan_spacing_target(grids, 11, spacing, &thick);
    g_assert_cmpint(thick, ==, 2);
    loom_assert_near(spacing[2], 2.5, 1e-12); /* rank 1 of 0..10 */
    plan_axis_order(spacing, order);
    g_assert_cmpuint(order[0], ==, 2);
    g_assert_cmpuint(order[1], ==, 0);
    g_assert_cmpuint(order[2], ==, 1);
    plan_shape_median(grids, 11, spacing, median);
    loom_assert_near(median[2], 40, 0); /* 20 slices of 5 mm */
}

/* Thick, but with as many slices as rows: nothing to gain, the median stays. */
static void test_thick_and_many(void)
{
    const PlanGrid grid = {{100, 120, 120}, {5, 1, 1}};
    double spacing[3];
    int thick;

    plan_spacing_target(&grid, 1, spacing, &thick);
    g_assert_cmpint(thick, ==, -1);
    loom_assert_near(spacing[0], 5, 0);
}

/* numpy.percentile([1, 2, 4, 8], [0, 10, 50, 99.5, 100]) */
static void test_percentile(void)
{
    static const double p[] = {0, 10, 50, 99.5, 100}, want[] = {1, 1.3, 3, 7.94, 8};

    for (guint i = 0; i < G_N_ELEMENTS(p); i++) {
        double values[] = {8, 1, 4, 2};

        loom_assert_near(plan_percentile(values, 4, p[i]), want[i], 1e-12);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *path = g_strconcat("/plan/golden/", rows[i].name, NULL);

        g_test_add_data_func(path, &rows[i], test_row);
    }
    g_test_add_func("/plan/golden/thick", test_thick);
    g_test_add_func("/plan/golden/residual-elements", test_residual_elements);
    g_test_add_func("/plan/golden/coarse-spacing", test_coarse_spacing);
    g_test_add_func("/plan/cost/windows", test_windows);
    g_test_add_func("/plan/cost/measured", test_cost);
    g_test_add_func("/plan/spacing/kits", test_kits_spacing);
    g_test_add_func("/plan/spacing/thick-w", test_thick_w);
    g_test_add_func("/plan/spacing/thick-and-many", test_thick_and_many);
    g_test_add_func("/plan/spacing/percentile", test_percentile);
    return loom_test_run();
}
