/* Who lives where in the U-Net's memory: each pass is walked through with names instead of
 * numbers, so that anything overwritten before its last reader shows. */
#include "loom_test.h"

#include "../../plugins/model/unet3d_plan.h"

#include <string.h>

#define GRADIENT 1000 /* of the output of layer i: GRADIENT + i; its output: i */
#define IMAGE 2000
#define NOTHING (-1)

static UnetDesign design_of(guint levels, guint heads)
{
    UnetDesign design = {.in_channels = 2,
                         .classes = 3,
                         .levels = levels,
                         .heads = heads,
                         .stride = {{1, 1, 1}}};

    for (guint l = 0; l < levels; l++) {
        design.features[l] = 8; /* equal shapes are the hard case */
        for (guint a = 0; a < 3; a++) {
            design.kernel[l][a] = 3;
            design.stride[l][a] = l == 0 || (l == 2 && a == 1) ? 1 : 2;
        }
    }
    return design;
}

static void check_holds(const int *holds, guint place, int want)
{
    g_assert_cmpuint(place, !=, UNET_NO_PLACE);
    g_assert_cmpint(holds[place], ==, want);
}

static void check_place(const UnetPlan *plan, guint place, const LoomBlockSpec *spec)
{
    const gint64 shape[5] = {spec->n, spec->c_out, spec->out[0], spec->out[1], spec->out[2]};

    g_assert_cmpuint(place, <, plan->n_places);
    g_assert_true(memcmp(plan->places[place].shape, shape, sizeof shape) == 0);
}

static int content_of(int x)
{
    return x == UNET_IMAGE ? IMAGE : x;
}

static void walk_forward(const UnetPlan *plan, const UnetLayers *layers, int *holds)
{
    holds[plan->image] = IMAGE;
    for (guint i = 0; i < layers->n; i++) {
        const UnetPlanStep *step = &plan->steps[i];

        if (!step->used)
            continue;
        for (guint k = 0; k < 2; k++) {
            if (layers->v[i].x[k] == UNET_NOTHING) {
                g_assert_cmpuint(step->x[k], ==, UNET_NO_PLACE);
                continue;
            }
            check_holds(holds, step->x[k], content_of(layers->v[i].x[k]));
            g_assert_cmpuint(step->x[k], !=, step->y);
        }
        check_place(plan, step->y, &step->spec);
        holds[step->y] = (int)i;
    }
}

static void walk_backward(const UnetPlan *plan, const UnetLayers *layers, int *holds)
{
    guint parts[UNET_MAX_LAYERS] = {0}; /* readers whose share is in the gradient */
    guint readers[UNET_MAX_LAYERS] = {0};

    for (guint i = 0; i < layers->n; i++)
        for (guint k = 0; plan->steps[i].used && k < 2; k++)
            if (layers->v[i].x[k] >= 0)
                readers[layers->v[i].x[k]]++;
    for (guint i = layers->n; i-- > 0;) {
        const UnetPlanStep *step = &plan->steps[i];

        if (!step->used)
            continue;
        if (layers->v[i].head != UNET_NO_HEAD)
            holds[step->dy] = GRADIENT + (int)i; /* imported */
        g_assert_cmpuint(parts[i], ==, readers[i]);
        check_place(plan, step->dy, &step->spec);
        check_holds(holds, step->dy, GRADIENT + (int)i);
        check_holds(holds, step->y, (int)i);
        for (guint k = 0; k < 2; k++) {
            const int x = layers->v[i].x[k];

            if (x != UNET_NOTHING)
                check_holds(holds, step->x[k], content_of(x));
            if (x < 0) {
                g_assert_cmpuint(step->dx[k], ==, UNET_NO_PLACE);
                continue;
            }
            g_assert_true(step->dx_adds[k] == (parts[x] > 0));
            if (step->dx_adds[k])
                check_holds(holds, step->dx[k], GRADIENT + x);
            g_assert_cmpuint(step->dx[k], !=, step->y);
            g_assert_cmpuint(step->dx[k], !=, step->dy);
            g_assert_cmpuint(step->dx[k], !=, step->x[0]);
            g_assert_cmpuint(step->dx[k], !=, step->x[1]);
            parts[x]++;
        }
        g_assert_true(step->dx[0] == UNET_NO_PLACE || step->dx[0] != step->dx[1]);
        for (guint k = 0; k < 2; k++)
            if (step->dx[k] != UNET_NO_PLACE)
                holds[step->dx[k]] = GRADIENT + layers->v[i].x[k];
        holds[step->dy] = NOTHING; /* the backend may overwrite it */
    }
}

static void walk(const UnetDesign *design, guint n_logits, gboolean training)
{
    const gint64 edge = G_GINT64_CONSTANT(1) << design->levels;
    const UnetPlanKey key = {
        .n = 2, .size = {edge, edge, edge}, .n_logits = n_logits, .training = training};
    UnetLayers layers;
    int holds[UNET_MAX_PLACES];

    unet_layers_make(design, &layers);
    g_autofree UnetPlan *plan = unet_plan_layout(design, &layers, &key);
    for (guint i = 0; i < UNET_MAX_PLACES; i++)
        holds[i] = NOTHING;
    walk_forward(plan, &layers, holds);
    if (training)
        walk_backward(plan, &layers, holds);
}

static void test_lifetimes(void)
{
    for (guint levels = 2; levels <= UNET_MAX_LEVELS; levels++) {
        const UnetDesign one = design_of(levels, 1), all = design_of(levels, levels - 1);

        walk(&one, 1, TRUE);
        walk(&one, 1, FALSE);
        for (guint n = 1; n < levels; n++) {
            walk(&all, n, TRUE);
            walk(&all, n, FALSE);
        }
    }
}

static guint count_places(const UnetDesign *design, gboolean training, gint64 edge)
{
    const UnetPlanKey key = {.n = 1, .size = {16, 16, 16}, .n_logits = 1, .training = training};
    UnetLayers layers;
    guint n = 0;

    unet_layers_make(design, &layers);
    g_autofree UnetPlan *plan = unet_plan_layout(design, &layers, &key);
    for (guint i = 0; i < plan->n_places; i++)
        n += plan->places[i].shape[1] == 8 && plan->places[i].shape[2] == edge;
    return n;
}

/* By hand, for maps of full size.  Inference: the skip, the input and the output of a block,
 * and the joining block has two inputs and an output.  Training: all five outputs stay until
 * the backward pass; the last two blocks have gradients of their own, the rest move into
 * outputs that nobody reads any more. */
static void test_shared(void)
{
    const UnetDesign design = design_of(3, 1);

    g_assert_cmpuint(count_places(&design, FALSE, 16), ==, 3);
    g_assert_cmpuint(count_places(&design, TRUE, 16), ==, 5 + 2);
}

/* What each layer works on, by hand: three levels, strides 2,2,2 and 2,1,2. */
static void test_specs(void)
{
    const UnetDesign design = design_of(3, 2);
    const UnetPlanKey key = {.n = 1, .size = {16, 16, 16}, .n_logits = 2, .training = TRUE};
    static const struct {
        const char *name;
        gint64 c_in[2], c_out, in[3], out[3];
        gboolean transposed, norm;
    } want[] = {
        {"encoder.0.0", {2, 0}, 8, {16, 16, 16}, {16, 16, 16}, FALSE, TRUE},
        {"encoder.0.1", {8, 0}, 8, {16, 16, 16}, {16, 16, 16}, FALSE, TRUE},
        {"encoder.1.0", {8, 0}, 8, {16, 16, 16}, {8, 8, 8}, FALSE, TRUE},
        {"encoder.1.1", {8, 0}, 8, {8, 8, 8}, {8, 8, 8}, FALSE, TRUE},
        {"encoder.2.0", {8, 0}, 8, {8, 8, 8}, {4, 8, 4}, FALSE, TRUE},
        {"encoder.2.1", {8, 0}, 8, {4, 8, 4}, {4, 8, 4}, FALSE, TRUE},
        {"up.1", {8, 0}, 8, {4, 8, 4}, {8, 8, 8}, TRUE, FALSE},
        {"decoder.1.0", {8, 8}, 8, {8, 8, 8}, {8, 8, 8}, FALSE, TRUE},
        {"decoder.1.1", {8, 0}, 8, {8, 8, 8}, {8, 8, 8}, FALSE, TRUE},
        {"head.1", {8, 0}, 3, {8, 8, 8}, {8, 8, 8}, FALSE, FALSE},
        {"up.0", {8, 0}, 8, {8, 8, 8}, {16, 16, 16}, TRUE, FALSE},
        {"decoder.0.0", {8, 8}, 8, {16, 16, 16}, {16, 16, 16}, FALSE, TRUE},
        {"decoder.0.1", {8, 0}, 8, {16, 16, 16}, {16, 16, 16}, FALSE, TRUE},
        {"head.0", {8, 0}, 3, {16, 16, 16}, {16, 16, 16}, FALSE, FALSE},
    };
    UnetLayers layers;

    unet_layers_make(&design, &layers);
    g_autofree UnetPlan *plan = unet_plan_layout(&design, &layers, &key);
    g_assert_cmpuint(layers.n, ==, G_N_ELEMENTS(want));
    for (guint i = 0; i < layers.n; i++) {
        const LoomBlockSpec *spec = &plan->steps[i].spec;

        g_assert_cmpstr(layers.v[i].name, ==, want[i].name);
        g_assert_true(memcmp(spec->c_in, want[i].c_in, sizeof spec->c_in) == 0);
        g_assert_true(memcmp(spec->in, want[i].in, sizeof spec->in) == 0);
        g_assert_true(memcmp(spec->out, want[i].out, sizeof spec->out) == 0);
        g_assert_cmpint(spec->c_out, ==, want[i].c_out);
        g_assert_true(spec->transposed == want[i].transposed);
        g_assert_true(spec->norm == want[i].norm && spec->activation == want[i].norm);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/unet-plan/lifetimes", test_lifetimes);
    g_test_add_func("/unet-plan/shared", test_shared);
    g_test_add_func("/unet-plan/specs", test_specs);
    return loom_test_run();
}
