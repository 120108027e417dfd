/* Who lives where in the U-Net's memory: each pass is walked through with names instead of
 * numbers, so that anything overwritten before its last reader shows. */
#include "loom_test.h"

#include "../../plugins/model/unet3d_plan.h"

#include <string.h>

#define GRADIENT 1000 /* of the output of layer i: GRADIENT + i; its output: i */
#define IMAGE 2000
#define NOTHING (-1)

/* ---- a backend that only knows sizes --------------------------------------------------- */

static guint64 fake_bytes(G_GNUC_UNUSED gpointer self, const gint64 ncdhw[5])
{
    return (guint64)(ncdhw[0] * ncdhw[1] * ncdhw[2] * ncdhw[3] * ncdhw[4]) * sizeof(float);
}

static const LoomBackend fake = {.map_bytes = fake_bytes};
static const LoomInstance device = {&fake.base, NULL, "fake"};

static UnetDesign design_of(guint levels, guint heads, gboolean checkpointing)
{
    UnetDesign design = {.in_channels = 2,
                         .classes = 3,
                         .levels = levels,
                         .heads = heads,
                         .stride = {{1, 1, 1}},
                         .checkpointing = checkpointing};

    for (guint l = 0; l < levels; l++) {
        design.features[l] = 8; /* equal shapes are the hard case */
        for (guint a = 0; a < 3; a++) {
            design.kernel[l][a] = 3;
            design.stride[l][a] = l == 0 || (l == 2 && a == 1) ? 1 : 2;
        }
    }
    return design;
}

/* ---- a walk with names ---------------------------------------------------------------- */

typedef struct {
    const UnetPlan *plan;
    const UnetLayers *layers;
    int holds[UNET_MAX_PLACES];   /* the name in each place */
    guint parts[UNET_MAX_LAYERS]; /* readers whose share is in the gradient */
} Walk;

static void check_holds(const Walk *walk, guint place, int want)
{
    g_assert_cmpuint(place, <, walk->plan->n_places);
    g_assert_cmpint(walk->holds[place], ==, want);
}

static gboolean overlap(const UnetPlace *p, const UnetPlace *q)
{
    return p->offset < q->offset + q->bytes && q->offset < p->offset + p->bytes;
}

/* What lay there is gone. */
static void put(Walk *walk, guint place, int name)
{
    const UnetPlan *plan = walk->plan;

    g_assert_cmpuint(place, <, plan->n_places);
    g_assert_cmpuint(plan->places[place].offset + plan->places[place].bytes, <=,
                     plan->arena_bytes);
    for (guint i = 0; i < plan->n_places; i++)
        if (overlap(&plan->places[i], &plan->places[place]))
            walk->holds[i] = NOTHING;
    walk->holds[place] = name;
}

static void check_shape(const Walk *walk, guint place, guint layer)
{
    const LoomBlockSpec *spec = &walk->plan->layers[layer].spec;
    const gint64 shape[5] = {spec->n, spec->c_out, spec->out[0], spec->out[1], spec->out[2]};

    g_assert_cmpuint(place, <, walk->plan->n_places);
    g_assert_true(memcmp(walk->plan->places[place].shape, shape, sizeof shape) == 0);
}

static void check_inputs(const Walk *walk, const UnetPlanStep *step)
{
    for (guint k = 0; k < 2; k++) {
        const int x = walk->layers->v[step->layer].x[k];

        if (x == UNET_NOTHING)
            g_assert_cmpuint(step->x[k], ==, UNET_NO_PLACE);
        else
            check_holds(walk, step->x[k], x == UNET_IMAGE ? IMAGE : x);
    }
}

static void walk_forward(Walk *walk, const UnetPlanStep *step)
{
    check_inputs(walk, step);
    check_shape(walk, step->y, step->layer);
    put(walk, step->y, (int)step->layer);
    check_inputs(walk, step); /* nothing is written over what is still read */
}

static guint readers_of(const Walk *walk, guint layer)
{
    guint n = 0;

    for (guint i = 0; i < walk->layers->n; i++)
        for (guint k = 0; walk->plan->layers[i].used && k < 2; k++)
            n += walk->layers->v[i].x[k] == (int)layer;
    return n;
}

static void walk_backward(Walk *walk, const UnetPlanStep *step)
{
    const UnetLayer *layer = &walk->layers->v[step->layer];

    if (layer->head != UNET_NO_HEAD)
        put(walk, step->dy, GRADIENT + (int)step->layer); /* imported */
    g_assert_cmpuint(walk->parts[step->layer], ==, readers_of(walk, step->layer));
    check_shape(walk, step->dy, step->layer);
    check_holds(walk, step->dy, GRADIENT + (int)step->layer);
    check_inputs(walk, step);
    check_shape(walk, step->y, step->layer);
    if (layer->norm || layer->activation)
        check_holds(walk, step->y, (int)step->layer);
    for (guint k = 0; k < 2; k++) {
        const int x = layer->x[k];

        if (x < 0) {
            g_assert_cmpuint(step->dx[k], ==, UNET_NO_PLACE);
            continue;
        }
        check_shape(walk, step->dx[k], (guint)x);
        g_assert_true(step->dx_adds[k] == (walk->parts[x]++ > 0));
        if (step->dx_adds[k])
            check_holds(walk, step->dx[k], GRADIENT + x);
        else
            put(walk, step->dx[k], GRADIENT + x);
        check_holds(walk, step->dy, GRADIENT + (int)step->layer);
        if (layer->transposed) /* may still be read */
            check_inputs(walk, step);
    }
    for (guint k = 0; k < 2; k++)
        if (step->dx[k] != UNET_NO_PLACE)
            check_holds(walk, step->dx[k], GRADIENT + layer->x[k]);
    put(walk, step->dy, NOTHING); /* the backend may overwrite it */
}

/* Every layer that is used goes forward in order, and back in reverse. */
static void check_order(const UnetPlan *plan, gboolean training)
{
    guint forward = 0, back = plan->n_layers;

    for (guint i = 0; i < plan->n_forward; i++, forward++) {
        while (!plan->layers[forward].used)
            forward++;
        g_assert_false(plan->steps[i].backward);
        g_assert_cmpuint(plan->steps[i].layer, ==, forward);
    }
    for (guint i = plan->n_forward; i < plan->n_steps; i++) {
        if (!plan->steps[i].backward)
            continue;
        while (!plan->layers[--back].used)
            ;
        g_assert_cmpuint(plan->steps[i].layer, ==, back);
    }
    g_assert_cmpuint(back, ==, training ? 0 : plan->n_layers);
}

static void walk(const UnetDesign *design, guint n_logits, gboolean training)
{
    const gint64 edge = G_GINT64_CONSTANT(1) << design->levels;
    const UnetPlanKey key = {
        .n = 2, .size = {edge, edge, edge}, .n_logits = n_logits, .training = training};
    UnetLayers layers;

    unet_layers_make(design, &layers);
    g_autofree UnetPlan *plan = unet_plan_layout(design, &layers, &key, &device);
    Walk walk = {.plan = plan, .layers = &layers};

    check_order(plan, training);
    for (guint i = 0; i < UNET_MAX_PLACES; i++)
        walk.holds[i] = NOTHING;
    put(&walk, plan->image, IMAGE);
    for (guint i = 0; i < plan->n_steps; i++)
        if (plan->steps[i].backward)
            walk_backward(&walk, &plan->steps[i]);
        else
            walk_forward(&walk, &plan->steps[i]);
}

static void test_lifetimes(void)
{
    for (guint levels = 2; levels <= UNET_MAX_LEVELS; levels++)
        for (guint checkpointing = 0; checkpointing < 2; checkpointing++) {
            const UnetDesign one = design_of(levels, 1, checkpointing > 0);
            const UnetDesign all = design_of(levels, levels - 1, checkpointing > 0);

            walk(&one, 1, TRUE);
            walk(&one, 1, FALSE);
            for (guint n = 1; n < levels; n++) {
                walk(&all, n, TRUE);
                walk(&all, n, FALSE);
            }
        }
}

/* ---- how much ------------------------------------------------------------------------- */

/* Bytes of all in maps of full size, 8 channels of 16^3; three levels. */
static double maps(gboolean training, gboolean checkpointing)
{
    const UnetDesign design = design_of(3, 1, checkpointing);
    const UnetPlanKey key = {.n = 1, .size = {16, 16, 16}, .n_logits = 1, .training = training};
    UnetLayers layers;

    unet_layers_make(&design, &layers);
    g_autofree UnetPlan *plan = unet_plan_layout(&design, &layers, &key, &device);
    return (double)plan->arena_bytes / (8 * 16 * 16 * 16 * sizeof(float));
}

/* By hand.  Inference: where decoder.0.0 joins the skip and the way up.  Training, when head.0
 * goes back: the image (2 channels), five outputs of level 0, five of level 1 (an eighth), two
 * of level 2 (a 32nd: strides 2,1,2), the gradient of head.0 (3
 * channels) and of what it reads.  With checkpointing there are left the image, the skip and
 * two outputs of the decoder, the two of level 1 that leave it, one of level 2. */
static void test_shared(void)
{
    g_assert_cmpfloat(maps(FALSE, FALSE), ==, 3.0);
    g_assert_cmpfloat(maps(TRUE, FALSE), ==, 2.0 / 8 + 5 + 5.0 / 8 + 2.0 / 32 + 3.0 / 8 + 1);
    g_assert_cmpfloat(maps(TRUE, TRUE), ==, 2.0 / 8 + 3 + 2.0 / 8 + 1.0 / 32 + 3.0 / 8 + 1);
}

/* What each layer works on, by hand: three levels, strides 2,2,2 and 2,1,2. */
static void test_specs(void)
{
    const UnetDesign design = design_of(3, 2, FALSE);
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
    g_autofree UnetPlan *plan = unet_plan_layout(&design, &layers, &key, &device);
    g_assert_cmpuint(layers.n, ==, G_N_ELEMENTS(want));
    for (guint i = 0; i < layers.n; i++) {
        const LoomBlockSpec *spec = &plan->layers[i].spec;

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
