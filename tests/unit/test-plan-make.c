/* From what a data set is like to the numbers of a config: channels, axes, wishes, text. */
#include "loom_test.h"

#include "plan.h"
#include "plan_lines.h"

#include <string.h>

#define MOST_CASES 20

typedef struct {
    char *channels[3], *labels[4];
    LoomDataset dataset;
    guint8 in_train[MOST_CASES];
    LoomNode *config;
    PlanGrid grids[MOST_CASES];
    Histogram foreground[2];
    Fingerprint print;
} Scene;

static void intensities(Histogram *histogram, float from, float to)
{
    g_autoptr(HistogramCounts) counts = histogram_counts_new();

    for (float x = from; x <= to; x++)
        histogram_count(counts, x);
    histogram_take(counts, histogram);
}

/* @n cases of one shape and spacing (D, H, W), foreground 0..200 in the first channel and
 * -100..100 in the second. */
static Scene *scene_new(guint n, const char *first, const char *second, const gint64 shape[3],
                        const double spacing[3])
{
    static const char text[] = "data: {dataset: \"/data/it's: a set\", folds: 4}";
    Scene *scene = g_new0(Scene, 1);

    scene->channels[0] = g_strdup(first);
    scene->channels[1] = g_strdup(second);
    scene->labels[0] = g_strdup("background");
    scene->labels[1] = g_strdup("organ");
    scene->labels[2] = g_strdup("tumour\n# of it");
    scene->dataset = (LoomDataset){.folder = (char *)(gpointer) "/data/it's: a set",
                                   .name = (char *)(gpointer) "set",
                                   .n_cases = n,
                                   .n_channels = second ? 2 : 1,
                                   .channel_names = scene->channels,
                                   .label_names = scene->labels,
                                   .n_labels = 3,
                                   .in_train = scene->in_train};
    memset(scene->in_train, 1, n);
    scene->in_train[0] = 0; /* validates */
    scene->config = loom_yaml_parse(text, strlen(text), "test", "/", NULL);
    for (guint i = 0; i < n; i++) {
        memcpy(scene->grids[i].shape, shape, sizeof scene->grids[i].shape);
        memcpy(scene->grids[i].spacing, spacing, sizeof scene->grids[i].spacing);
    }
    intensities(&scene->foreground[0], 0, 200);
    intensities(&scene->foreground[1], -100, 100);
    scene->print = (Fingerprint){.n_cases = n,
                                 .n_channels = scene->dataset.n_channels,
                                 .grids = scene->grids,
                                 .foreground = scene->foreground,
                                 .kept = 1,
                                 .labels = {1000, 10, 1},
                                 .cases_with = {n, n, 1}};
    return scene;
}

static void scene_free(Scene *scene)
{
    for (guint i = 0; i < 3; i++) {
        g_free(scene->channels[i]);
        g_free(scene->labels[i]);
    }
    loom_node_free(scene->config);
    histogram_clear(&scene->foreground[0]);
    histogram_clear(&scene->foreground[1]);
    g_free(scene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

static PlanWishes wishes_of(const Scene *scene, const char *preset)
{
    return (PlanWishes){.preset = plan_preset_named(preset, NULL),
                        .threads = 2,
                        .lanes = 16,
                        .data = loom_node_get(scene->config, "data")};
}

static Plan *planned(const Scene *scene, const PlanWishes *wishes)
{
    g_autoptr(GError) error = NULL;
    Plan *plan = plan_make(&scene->dataset, &scene->print, wishes, &error);

    g_assert_no_error(error);
    return plan;
}

/* nnU-Net: samples from round(0.67 b) on are forced; counted by hand for b = 2 to 12. */
static void test_forced(void)
{
    static const gint64 want[] = {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4};

    for (gint64 batch = 2; batch <= 12; batch++)
        g_assert_cmpint(plan_forced(batch, 0.33), ==, want[batch - 2]);
    g_assert_cmpint(plan_forced(2, 0), ==, 0);
}

/* CT by the data set's numbers, whatever its letters; all else by the image's. */
static void test_channels(void)
{
    g_autoptr(Scene) scene =
        scene_new(10, "ct", "T2", (const gint64[]){64, 64, 64}, (const double[]){1, 1, 1});
    const PlanWishes wishes = wishes_of(scene, "nnunet");
    g_autoptr(Plan) plan = planned(scene, &wishes);

    g_assert_cmpint(plan->channels[0].scheme, ==, SCHEME_CT);
    loom_assert_near(plan->channels[0].low, 1, 1e-9); /* 0.5 % of 0 .. 200 */
    loom_assert_near(plan->channels[0].high, 199, 1e-9);
    loom_assert_near(plan->channels[0].mean, 100, 1e-9);
    loom_assert_near(plan->channels[0].sd, 58.02298395, 1e-6); /* sqrt((201^2 - 1) / 12) */
    g_assert_cmpint(plan->channels[1].scheme, ==, SCHEME_ZSCORE);
    g_assert_false(plan->masked);
    scene->print.kept = 0.7499;
    g_autoptr(Plan) masked = planned(scene, &wishes);
    g_assert_true(masked->masked);
}

static void assert_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        g_error("no '%s' in:\n%s", part, text);
}

/* MSD Prostate with its slices along W: the same plan, turned. */
static void test_turned(void)
{
    g_autoptr(Scene) scene = scene_new(20, "T2", NULL, (const gint64[]){320, 319, 20},
                                       (const double[]){0.62, 0.62, 3.6});
    PlanWishes wishes = wishes_of(scene, "nnunet");
    g_autoptr(Plan) plan = NULL;

    /* thick, so it would be brought to the 10th percentile: all cases have the same */
    plan = planned(scene, &wishes);
    g_assert_cmpint(plan->thick, ==, 2);
    loom_assert_near(plan->fine.spacing[2], 3.6, 1e-12);
    g_assert_cmpint(plan->fine.patch[2], ==, 20);
    g_assert_cmpint(plan->fine.patch[0], ==, 320);
    g_assert_cmpint(plan->fine.patch[1], ==, 256);
    g_autofree char *yaml = plan_write(plan, &plan->fine, "c.yaml");
    assert_in(yaml, "strides: [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 2], [2, 2, 1], "
                    "[2, 2, 1]]");
    assert_in(yaml, "kernels: [[3, 3, 1], [3, 3, 1], [3, 3, 3],");
    assert_in(yaml, "features: [32, 64, 128, 256, 320, 320, 320]");
    assert_in(yaml, "spacing: [0.62, 0.62, 3.6]");
}

static void test_wishes(void)
{
    g_autoptr(Scene) scene =
        scene_new(4, "MR", NULL, (const gint64[]){64, 64, 64}, (const double[]){1, 1, 1});
    PlanWishes wishes = wishes_of(scene, "cpu-small");

    wishes.steps = 77;
    wishes.spacing[0] = 2, wishes.spacing[1] = 2, wishes.spacing[2] = 2.5;
    wishes.patch[0] = 30, wishes.patch[1] = 40, wishes.patch[2] = 24;
    wishes.loss = "{use: tversky}";
    g_autoptr(Plan) plan = planned(scene, &wishes);
    g_assert_cmpuint(plan->validating, ==, 1);
    g_assert_cmpint(plan->steps, ==, 77);
    g_assert_cmpint(plan->every, ==, 77);
    g_assert_cmpint(plan->fine.patch[0], ==, 32); /* padded to a multiple of 4 at least */
    g_assert_cmpint(plan->fine.patch[1], ==, 40);
    g_assert_cmpint(plan->fine.patch[2], ==, 24);
    loom_assert_near(plan->fine.median[2], 26, 0); /* round(64 / 2.5) */
    g_autofree char *yaml = plan_write(plan, &plan->fine, NULL);
    assert_in(yaml, "loss: {use: tversky}");
    assert_in(yaml, "  folds: 4");
}

/* A budget of half the memory: nnU-Net's count of elements is halved.  A limit in seconds and
 * one in bytes hold. */
static void test_budgets(void)
{
    g_autoptr(Scene) scene =
        scene_new(20, "MR", NULL, (const gint64[]){200, 200, 200}, (const double[]){1, 1, 1});
    PlanWishes nnunet = wishes_of(scene, "nnunet"), small = wishes_of(scene, "cpu-small");

    nnunet.memory = G_GUINT64_CONSTANT(4) << 30;
    g_autoptr(Plan) half = planned(scene, &nnunet);
    loom_assert_near(half->budget.elements, 280e6, 0);
    g_assert_cmpint(half->fine.fit.elements, <=, 280000000);
    small.seconds = 0.5;
    g_autoptr(Plan) quick = planned(scene, &small);
    g_assert_cmpfloat(quick->fine.fit.seconds, <=, 0.5);
    g_assert_cmpint(quick->fine.fit.shrunk_by, ==, PLAN_BY_TIME);
    small.seconds = 0;
    small.memory = 256 << 20;
    g_autoptr(Plan) slim = planned(scene, &small);
    g_assert_cmpfloat(slim->fine.fit.bytes, <=, 256 << 20);
    g_assert_cmpint(slim->fine.fit.shrunk_by, ==, PLAN_BY_MEMORY);
    small.memory = 0;
    small.seconds = 1e-4;
    g_autoptr(GError) error = NULL;
    loom_assert_failed(plan_make(&scene->dataset, &scene->print, &small, &error), error,
                       LOOM_ERROR, LOOM_ERROR_CONFIG, "no patch is small enough");
}

/* The paper's numbers for CT: MIScnn's KiTS19 example. */
static void test_paper(void)
{
    g_autoptr(Scene) scene = scene_new(20, "CT", NULL, (const gint64[]){100, 512, 512},
                                       (const double[]){3, 0.78, 0.78});
    const PlanWishes wishes = wishes_of(scene, "paper");
    g_autoptr(Plan) plan = planned(scene, &wishes);
    g_autofree char *yaml = plan_write(plan, &plan->fine, "paper.yaml");

    assert_in(yaml, "spacing: [3.22, 1.62, 1.62]");
    assert_in(yaml, "low: -79, high: 304");
    assert_in(yaml, "schemes: [zscore]");
    assert_in(yaml, "size: [80, 160, 160]");
    assert_in(yaml, "features: [32, 64, 128, 256, 512]");
    assert_in(yaml, "deep_supervision: false");
    assert_in(yaml, "foreground: 0 ");
    g_assert_null(strstr(yaml, "coarsest"));
}

/* Names of others stay in their comment and in their quotes; what is written can be read. */
static void test_text(void)
{
    g_autoptr(Scene) scene =
        scene_new(5, "MR", NULL, (const gint64[]){64, 64, 64}, (const double[]){1, 1, 1});
    const PlanWishes wishes = wishes_of(scene, "cpu-small");
    g_autoptr(Plan) plan = planned(scene, &wishes);
    g_autofree char *yaml = plan_write(plan, &plan->fine, "c.yaml");
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) root = loom_yaml_parse(yaml, strlen(yaml), "c.yaml", "/", &error);
    g_auto(GStrv) lines = g_strsplit(yaml, "\n", -1);

    g_assert_no_error(error);
    g_assert_cmpstr(loom_node_get(loom_node_get(root, "data"), "dataset")->text, ==,
                    "/data/it's: a set");
    assert_in(yaml, "background, organ, tumour # of it");
    for (char **line = lines; *line; line++)
        g_assert_cmpuint(strlen(*line), <=, 96);
}

/* Regions that may overlap: a channel each, told apart by themselves. */
static void test_regions(void)
{
    g_autoptr(Scene) scene =
        scene_new(5, "MR", NULL, (const gint64[]){64, 64, 64}, (const double[]){1, 1, 1});
    const PlanWishes wishes = wishes_of(scene, "cpu-small");
    LoomLabelRegion regions[2] = {
        {.name = (char *)(gpointer) "whole", .holds = {0, 1, 1}, .written = 1},
        {.name = (char *)(gpointer) "core", .holds = {0, 0, 1}, .written = 2}};

    scene->dataset.regions = regions;
    scene->dataset.n_regions = 2;
    g_autoptr(Plan) plan = planned(scene, &wishes);
    g_autofree char *yaml = plan_write(plan, &plan->fine, "c.yaml");
    assert_in(yaml, "classes: 2 ");
    assert_in(yaml, "each by itself: whole, core");
    assert_in(yaml, "regions: true");
    assert_in(yaml, "regions: [1, 2]");
}

/* KiTS19 at full resolution needs a second, coarser network; then its Dice is of the batch. */
static void test_coarse(void)
{
    g_autoptr(Scene) scene = scene_new(20, "CT", NULL, (const gint64[]){410, 512, 512},
                                       (const double[]){0.78125, 0.78125, 0.78125});
    const PlanWishes wishes = wishes_of(scene, "nnunet");
    g_autoptr(Plan) plan = planned(scene, &wishes);
    g_autofree char *fine = NULL, *coarse = NULL;

    g_assert_true(plan->has_coarse);
    fine = plan_write(plan, &plan->fine, "c.yaml");
    coarse = plan_write(plan, &plan->coarse, "c-lowres.yaml");
    assert_in(fine, "loss: {use: dice_cross_entropy}\n");
    assert_in(coarse, "loss: {use: dice_cross_entropy, batch: false}");
    assert_in(fine, "spacing: [0.78125, 0.78125, 0.78125]");
    assert_in(coarse, "at low resolution");
    assert_in(fine, "keep: {use: cache, from: grid, queue: 2, folder: cache}");
    assert_in(fine, "draw: {use: overlay, from: score, cases: 8}");
    assert_in(coarse, "draw: {use: overlay, from: score, cases: 8}");
    assert_in(fine, "save: {use: checkpoint, from: check, model: seg, every: 500, keep: best}");
    plan->validating = 0; /* nothing tells the best */
    g_autofree char *blind = plan_write(plan, &plan->fine, "c.yaml");
    assert_in(blind, "save: {use: checkpoint, from: step, model: seg, every: 500}");
}

/* Comments of any length: each line of them is one, and none is too wide. */
static void test_lines(void)
{
    g_autoptr(GString) comment = g_string_new("of");

    for (guint n = 0; n < 300; n++) {
        g_autoptr(GString) text = g_string_new(NULL);

        line_add(text, n % 7, comment->str, "key: %u", n);
        g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
        const guint last = g_strv_length(lines) - 1;

        g_assert_cmpstr(lines[last], ==, "");
        for (guint l = 0; l < last; l++) {
            g_assert_cmpuint(strlen(lines[l]), <=, 96);
            g_assert_cmpint(lines[l][n % 7], ==, l + 1 < last ? '#' : 'k');
        }
        g_string_append(comment, n % 5 ? "x" : " y");
    }
}

static void test_classes(void)
{
    g_autoptr(Scene) scene =
        scene_new(5, "MR", NULL, (const gint64[]){64, 64, 64}, (const double[]){1, 1, 1});
    const PlanWishes wishes = wishes_of(scene, "cpu-small");
    g_autoptr(GError) absent = NULL, none = NULL;

    scene->print.cases_with[1] = 0;
    loom_assert_failed(plan_make(&scene->dataset, &scene->print, &wishes, &absent), absent,
                       LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "no case of 'set' has a voxel of label 1");
    scene->dataset.n_labels = 1;
    loom_assert_failed(plan_make(&scene->dataset, &scene->print, &wishes, &none), none,
                       LOOM_ERROR, LOOM_ERROR_FORMAT, "no label besides the background");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/plan/make/forced", test_forced);
    g_test_add_func("/plan/make/channels", test_channels);
    g_test_add_func("/plan/make/turned", test_turned);
    g_test_add_func("/plan/make/wishes", test_wishes);
    g_test_add_func("/plan/make/budgets", test_budgets);
    g_test_add_func("/plan/make/paper", test_paper);
    g_test_add_func("/plan/make/text", test_text);
    g_test_add_func("/plan/make/regions", test_regions);
    g_test_add_func("/plan/make/coarse", test_coarse);
    g_test_add_func("/plan/make/lines", test_lines);
    g_test_add_func("/plan/make/classes", test_classes);
    return loom_test_run();
}
