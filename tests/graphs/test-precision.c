/* Training with maps of bf16, `backend: {use: cpu, precision: bf16}`: its gradient is that of
 * the reference but for what 8 bits cost, it learns as f32 does, and it has the promises of
 * f32: the same bits on any number of threads, after --resume and with `checkpointing: levels`.
 */
#include "loom_test.h"
#include "phantom_set.h"

#include <math.h>
#include <string.h>

#define IN_BF16 "cpu, plan: fixed, precision: bf16"
#define IN_F32 "cpu, plan: fixed"

static const char *set_folder; /* the data set, made once */

typedef struct {
    const char *backend, *checkpointing, *step;
    gint64 threads, steps, stop_at; /* stop_at: asks for the end after this step; 0: never */
    LoomRun *run;
    double loss, dice; /* mean of the last 10 steps; of the last validation */
} Training;

/* Features that are no multiples of 16, and more than 8: no map but image and logits is f32. */
static char *config_text(const Training *t)
{
    return g_strdup_printf(
        "segloom: 1\nseed: 3\n"
        "data: {dataset: '%s', folds: 4, fold: 0}\n"
        "backend: {use: %s, threads: %" G_GINT64_FORMAT "}\n"
        "models:\n  seg: {use: unet3d, in_channels: 1, classes: 2, features: [12, 20, 36], "
        "checkpointing: %s}\n"
        "graphs:\n"
        "  train:\n"
        "    load:    {use: nifti_load, split: train, shuffle: true}\n"
        "    scale:   {use: zscore, from: load}\n"
        "    patch:   {use: crop, from: scale, size: [16, 16, 16], foreground: 0.5}\n"
        "    batch:   {use: batch, from: patch, size: 2}\n"
        "    forward: {use: forward, from: batch, model: seg}\n"
        "    loss:    {use: loss, from: forward, loss: {use: sum, of: [{use: cross_entropy}, "
        "{use: dice}]}}\n"
        "    back:    {use: backward, from: loss, model: seg}\n"
        "    step:    {use: %s, from: back, model: seg}\n"
        "    save:    {use: checkpoint, from: step, model: seg, every: 5}\n"
        "    log:     {use: log, from: save, every: 1}\n"
        "    check:   {use: run_graph, from: log, graph: validate, every: 60}\n"
        "  validate:\n"
        "    load:    {use: nifti_load, split: validate}\n"
        "    scale:   {use: zscore, from: load}\n"
        "    predict: {use: sliding_window, from: scale, model: seg, size: [16, 16, 16]}\n"
        "    score:   {use: metrics, from: predict, metrics: [{use: overlap}]}\n"
        "run: {graph: train, steps: %" G_GINT64_FORMAT "}\n",
        set_folder, t->backend, t->threads, t->checkpointing, t->step, t->steps);
}

static void training_record(const char *kind, gint64 step, const LoomField *fields,
                            guint n_fields, gpointer data)
{
    Training *t = data;

    for (guint i = 0; i < n_fields; i++) {
        if (g_str_equal(kind, "step") && g_str_equal(fields[i].name, "loss")
            && step > t->steps - 10)
            t->loss += fields[i].value / 10;
        if (g_str_equal(kind, "metrics") && g_str_equal(fields[i].name, "dice"))
            t->dice = fields[i].value;
    }
    if (g_str_equal(kind, "step") && step == t->stop_at)
        loom_run_stop(t->run);
}

/* Returns: the checkpoint, weights and moments. */
static LoomStore *train(Training *t, const char *folder, gboolean resume)
{
    const LoomRunOptions options = {
        .folder = folder, .resume = resume, .record = training_record, .data = t};
    g_autofree char *text = config_text(t);
    g_autofree char *path = g_build_filename(folder, "checkpoint", "seg.safetensors", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = loom_yaml_parse(text, strlen(text), "c.yaml", "/", &error);

    g_assert_no_error(error);
    t->run = loom_run_open(config, loom_test_registry(), &options, &error);
    g_assert_no_error(error);
    g_assert_cmpint(loom_run_execute(t->run, &error), ==,
                    t->stop_at ? LOOM_RUN_STOPPED : LOOM_RUN_DONE);
    g_assert_no_error(error);
    loom_run_free(g_steal_pointer(&t->run));
    LoomStore *store = loom_store_read(path, &error);
    g_assert_no_error(error);
    return store;
}

static LoomStore *train_anew(Training *t)
{
    g_autofree char *folder = loom_test_folder();
    LoomStore *store = train(t, folder, FALSE);

    loom_test_folder_remove(folder);
    return store;
}

/* ---- the gradient --------------------------------------------------------------------- */

/* The weights behind one step: the first ones, less @rate times the gradient. */
static LoomStore *one_step(const char *backend, const char *rate)
{
    g_autofree char *step = g_strdup_printf("sgd_step, rate: %s, momentum: 0", rate);
    Training t = {
        .backend = backend, .checkpointing = "none", .step = step, .threads = 2, .steps = 1};

    return train_anew(&t);
}

/* Of all kernels, the error of where they went, over the way they went. */
static double way_error(const LoomStore *start, const LoomStore *found, const LoomStore *want)
{
    double error = 0, way = 0;

    for (guint i = 0; i < want->tensors->len; i++) {
        const LoomStoredTensor *w = want->tensors->pdata[i];

        if (!g_str_has_prefix(w->name, "value/") || !g_str_has_suffix(w->name, ".kernel"))
            continue;
        const LoomStoredTensor *s = loom_store_find(start, w->name);
        const LoomStoredTensor *f = loom_store_find(found, w->name);

        for (gint64 k = 0; k < w->count; k++) {
            const double off = (double)f->data[k] - (double)w->data[k];
            const double went = (double)w->data[k] - (double)s->data[k];

            error += off * off;
            way += went * went;
        }
    }
    return sqrt(error / way);
}

/* A block errs by 4e-2, tests/contract/test-backends.c says why; from the logits to the first
 * of them are 10 here, of which each adds its own: sqrt(10) 4e-2 = 0.13.  The same network with
 * maps of f32 errs by rounding in f32 alone. */
static void test_gradient(void)
{
    g_autoptr(LoomStore) start = one_step("reference", "0");
    g_autoptr(LoomStore) want = one_step("reference", "1");
    g_autoptr(LoomStore) f32 = one_step(IN_F32, "1"), bf16 = one_step(IN_BF16, "1");
    const double error = way_error(start, bf16, want);

    g_test_message("f32 %.2g, bf16 %.2g", way_error(start, f32, want), error);
    g_assert_cmpfloat(way_error(start, f32, want), <, 1e-4);
    g_assert_cmpfloat(error, <, 0.13);
    g_assert_cmpfloat(error, >, 1e-3); /* it is bf16 indeed */
}

/* ---- it learns ------------------------------------------------------------------------ */

static Training learning(const char *backend, gint64 threads, const char *checkpointing)
{
    return (Training){.backend = backend,
                      .checkpointing = checkpointing,
                      .step = "adam_step, rate: 1.0e-2, decay: poly",
                      .threads = threads,
                      .steps = 60};
}

/* With the seeds 3 to 6 f32 ends with losses of 0.107 to 0.165, the mean of 10, and a Dice of
 * 0.928 to 0.962.  A third of that is what bf16 may make of one seed; it made 0.004 and 0.006.
 */
static void test_learns(void)
{
    Training f32 = learning(IN_F32, 2, "none"), bf16 = learning(IN_BF16, 2, "none");
    g_autoptr(LoomStore) of_f32 = train_anew(&f32), of_bf16 = train_anew(&bf16);

    g_test_message("loss %.4f and %.4f, Dice %.4f and %.4f", f32.loss, bf16.loss, f32.dice,
                   bf16.dice);
    g_assert_cmpfloat(fabs(f32.loss - bf16.loss), <, 0.02);
    g_assert_cmpfloat(fabs(f32.dice - bf16.dice), <, 0.012);
}

/* ---- the same bits -------------------------------------------------------------------- */

static void assert_same(const LoomStore *a, const LoomStore *b)
{
    g_assert_cmpuint(a->tensors->len, ==, b->tensors->len);
    for (guint i = 0; i < a->tensors->len; i++) {
        const LoomStoredTensor *one = a->tensors->pdata[i];
        const LoomStoredTensor *other = loom_store_find(b, one->name);

        g_assert_cmpint(memcmp(one->data, other->data, (gsize)one->count * sizeof *one->data),
                        ==, 0);
    }
}

static void test_same(void)
{
    Training two = learning(IN_BF16, 2, "none"), one = learning(IN_BF16, 1, "none");
    Training levels = learning(IN_BF16, 2, "levels");

    two.steps = one.steps = levels.steps = 10;
    g_autoptr(LoomStore) of_two = train_anew(&two), of_one = train_anew(&one);
    g_autoptr(LoomStore) of_levels = train_anew(&levels);
    assert_same(of_two, of_one);
    assert_same(of_two, of_levels);

    g_autofree char *folder = loom_test_folder();
    two.stop_at = 4;
    loom_store_free(train(&two, folder, FALSE));
    two.stop_at = 0;
    g_autoptr(LoomStore) resumed = train(&two, folder, TRUE);
    assert_same(of_two, resumed);
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_autofree char *folder = loom_test_folder();

    phantom_set_make(folder, 8);
    set_folder = folder;
    g_test_add_func("/precision/gradient", test_gradient);
    g_test_add_func("/precision/learns", test_learns);
    g_test_add_func("/precision/same", test_same);
    const int result = loom_test_run();
    loom_test_folder_remove(folder);
    return result;
}
