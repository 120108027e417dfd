/* toy - see toy_model.h. */
#include "toy_model.h"

#include <string.h>

static const LoomParam toy_params[] = {
    LOOM_FLOATS(ToyModel, slope, "[0, 1]", -1e6, 1e6, NULL, "factor of the image, by class"),
    LOOM_FLOATS(ToyModel, tilt, "[0, 0]", -1e6, 1e6, NULL, "factor of the position, by class"),
    LOOM_INT(ToyModel, moments, "0", 0, 2, NULL, "arrays that an optimiser would make"),
    LOOM_INT(ToyModel, resumes, "-1", -1, 1e9, "steps", "with --resume: done before"),
    {0},
};

static const LoomBackend *device_of(const ToyModel *toy)
{
    return (const LoomBackend *)toy->backend->plugin;
}

static gboolean weight_make(ToyModel *toy, LoomWeight *weight, GError **error)
{
    LoomArray **arrays[] = {&weight->value, &weight->grad, &weight->moment[0],
                            &weight->moment[1]};

    weight->count = 1;
    for (guint i = 0; i < weight->rank; i++)
        weight->count *= weight->shape[i];
    for (gint64 i = 0; i < 2 + toy->moments; i++)
        if (!(*arrays[i] = device_of(toy)->array_new(toy->backend->self, weight->count, error)))
            return FALSE;
    return TRUE;
}

static gboolean toy_open(gpointer self, LoomHost *host, GError **error)
{
    ToyModel *toy = self;

    if (toy->slope.n != toy->tilt.n)
        return loom_fail(error, LOOM_ERROR_CONFIG, "slope and tilt differ in length");
    toy->backend = loom_host_backend(host);
    toy->weights[0] = (LoomWeight){.name = "kernel", .shape = {1, 2, 1, 1, 3}, .rank = 5};
    toy->weights[1] = (LoomWeight){.name = "bias", .shape = {toy->slope.n}, .rank = 1};
    if (!weight_make(toy, &toy->weights[0], error)
        || !weight_make(toy, &toy->weights[1], error))
        return FALSE;
    return toy->resumes < 0 || !loom_host_resuming(host)
           || loom_host_resumed_at(host, toy->resumes, error);
}

static void toy_close(gpointer self)
{
    ToyModel *toy = self;

    for (guint i = 0; i < 2; i++) {
        LoomArray *arrays[] = {toy->weights[i].value, toy->weights[i].grad,
                               toy->weights[i].moment[0], toy->weights[i].moment[1]};

        for (guint k = 0; k < 4; k++)
            if (arrays[k])
                device_of(toy)->array_free(toy->backend->self, arrays[k]);
    }
}

static guint toy_outputs(G_GNUC_UNUSED gpointer self)
{
    return 1;
}

static gboolean toy_forward(gpointer self, const LoomTensor *image, LoomTensor **logits,
                            guint n_logits, LoomTape **tape, GError **error)
{
    ToyModel *toy = self;
    gint64 shape[5];

    g_assert(n_logits == 1 && !tape);
    g_assert(g_str_equal(loom_tensor_axes(image), "NCDHW"));
    memcpy(shape, loom_tensor_shape(image), sizeof shape);
    if (toy->calls++ == 0)
        memcpy(toy->shape, shape, sizeof shape);
    g_assert(memcmp(toy->shape, shape, sizeof shape) == 0); /* one plan is enough */
    const gint64 classes = toy->slope.n, channels = shape[1];
    const gint64 voxels = loom_tensor_count_from(image, 'D');
    shape[1] = classes;
    if (!(*logits = loom_tensor_new(LOOM_F32, "NCDHW", shape, error)))
        return FALSE;
    for (gint64 i = 0; i < loom_tensor_count(*logits); i++) {
        const gint64 n = i / voxels / classes, k = i / voxels % classes, v = i % voxels;
        const gint64 d = v / (shape[3] * shape[4]), h = v / shape[4] % shape[3];
        const double x = (double)loom_tensor_f32(image)[n * channels * voxels + v];

        loom_tensor_f32_mut(*logits)[i] =
            (float)(toy->slope.v[k] * x
                    + toy->tilt.v[k] * (double)(d + 2 * h + 3 * (v % shape[4])));
    }
    return TRUE;
}

static LoomWeight *toy_weights(gpointer self, guint *n)
{
    *n = 2;
    return ((ToyModel *)self)->weights;
}

static const LoomInstance *toy_backend(gpointer self)
{
    return ((ToyModel *)self)->backend;
}

static gboolean toy_backward(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomTape *tape,
                             G_GNUC_UNUSED const LoomTensor *const *dlogits,
                             G_GNUC_UNUSED guint n_logits, GError **error)
{
    return loom_fail(error, LOOM_ERROR_CONFIG, "the toy does not learn");
}

static void toy_tape_free(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomTape *tape)
{
}

static gboolean toy_fits(gpointer self, const gint64 ncdhw[5], G_GNUC_UNUSED gboolean training,
                         gint64 *classes, guint64 *bytes, GError **error)
{
    if (ncdhw[4] % 2 && ncdhw[4] > 1)
        return loom_fail(error, LOOM_ERROR_SHAPE, "W is odd");
    *classes = ((ToyModel *)self)->slope.n;
    *bytes = 1000;
    return TRUE;
}

static const LoomModel toy = {
    .base = LOOM_MODEL(ToyModel, "toy", "Logits that can be worked out by hand",
                       .params = toy_params, .open = toy_open, .close = toy_close),
    .outputs = toy_outputs,
    .forward = toy_forward,
    .backward = toy_backward,
    .tape_free = toy_tape_free,
    .weights = toy_weights,
    .backend = toy_backend,
    .fits = toy_fits,
};
LOOM_MODULE("model_toy", "0.1", &toy.base);
