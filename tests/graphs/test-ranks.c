/* A run on several ranks, each a thread of this process: N ranks with batches of B/N do what
 * one does with B; loaders and trainers apart give the bits of one process, whatever the
 * network does to their messages; ranks leave, resume, fail together. */
#include "phantom_set.h"
#include "rank_threads.h"

#include <loom/store.h>

#include <math.h>
#include <string.h>

#ifdef __SANITIZE_THREAD__ /* some twenty times slower: what adds no thread is left out */
#define SLOW TRUE
#else
#define SLOW FALSE
#endif

static const char *set_folder; /* the data set, made once */

typedef struct {
    guint batch, steps, every;
    const char *step;   /* the optimiser's keys */
    const char *extra;  /* further top-level sections */
    const char *poison; /* stage between loss and backward; NULL: none */
    const char *transport;
} Recipe;

static char *config_of(const Recipe *recipe)
{
    return g_strdup_printf(
        "segloom: 1\nseed: 3\n"
        "data: {dataset: '%s', folds: 2, fold: 0}\n"
        "backend: {use: reference, threads: 1}\n"
        "models:\n  seg: {use: unet3d, in_channels: 1, classes: 2, features: [3, 5]}\n"
        "graphs:\n"
        "  train:\n"
        "    load:    {use: nifti_load, split: train, shuffle: true}\n"
        "    scale:   {use: zscore, from: load, queue: 2, workers: 2}\n"
        "    patch:   {use: crop, from: scale, size: [8, 8, 8], foreground: 0.5, per_volume: "
        "3}\n"
        "    flip:    {use: flip, from: patch, axes: DHW}\n"
        "    batch:   {use: batch, from: flip, size: %u, queue: 2}\n"
        "    forward: {use: forward, from: batch, model: seg}\n"
        "    loss:    {use: loss, from: forward, loss: {use: cross_entropy}}\n"
        "%s"
        "    back:    {use: backward, from: %s, model: seg}\n"
        "    sync:    {use: allreduce, from: back, model: seg, bucket: 4096}\n"
        "    step:    {%s, from: sync, model: seg}\n"
        "    log:     {use: log, from: step, every: 1}\n"
        "    check:   {use: run_graph, from: step, graph: validate, every: %u}\n"
        "    save:    {use: checkpoint, from: step, model: seg, every: 5}\n"
        "  validate:\n"
        "    load:    {use: nifti_load, split: validate}\n"
        "    scale:   {use: zscore, from: load}\n"
        "    predict: {use: sliding_window, from: scale, model: seg, size: [8, 8, 8], overlap: "
        "0}\n"
        "    score:   {use: metrics, from: predict, metrics: [{use: overlap}]}\n"
        "run: {graph: train, steps: %u}\n"
        "cluster: {transport: %s, beat: 0.1, suspect: 5, wait: 20}\n"
        "%s",
        set_folder, recipe->batch, recipe->poison ? recipe->poison : "",
        recipe->poison ? "poison" : "loss", recipe->step, recipe->every, recipe->steps,
        recipe->transport ? recipe->transport : "{use: loopback}",
        recipe->extra ? recipe->extra : "");
}

#define ADAM "use: adam_step, rate: 2.0e-2, decay: poly"
#define SGD "use: sgd_step, rate: 1.0e-2, momentum: 0, weight_decay: 0, clip: 0"
#define STILL "use: sgd_step, rate: 0, momentum: 0, weight_decay: 0, clip: 0"

/* A whole run on @size ranks; every rank must be done. */
static void run_done(const Recipe *recipe, guint size, const char *folder, gboolean resume)
{
    g_autofree char *config = config_of(recipe);
    g_auto(RankThreads)
        ranks = {.config = config, .size = size, .folder = folder, .resume = resume};

    rank_threads_run(&ranks);
    for (guint r = 0; r < size; r++)
        g_test_message("rank %u: %s", r, ranks.errors[r] ? ranks.errors[r] : "no error");
    for (guint r = 0; r < size; r++) {
        g_assert_cmpstr(ranks.errors[r], ==, NULL);
        g_assert_cmpint(ranks.ends[r], ==, LOOM_RUN_DONE);
    }
}

static char *file_of(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static LoomStore *checkpoint_of(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "checkpoint", "seg.safetensors", NULL);
    g_autoptr(GError) error = NULL;
    LoomStore *store = loom_store_read(path, &error);

    g_assert_no_error(error);
    return store;
}

/* sha256 of all tensors of the last checkpoint; metadata differs by how many ranks there were.
 */
static char *weights_hash(const char *folder)
{
    g_autoptr(LoomStore) store = checkpoint_of(folder);
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    for (guint i = 0; i < store->tensors->len; i++) {
        const LoomStoredTensor *tensor = store->tensors->pdata[i];

        g_checksum_update(sum, (const guchar *)tensor->data,
                          (gssize)(tensor->count * (gint64)sizeof(float)));
    }
    return g_strdup(g_checksum_get_string(sum));
}

/* Norm of the difference over the norm, of everything whose name begins so. */
static double distance(const LoomStore *a, const LoomStore *b, const char *prefix)
{
    double difference = 0, norm = 0;

    for (guint i = 0; i < a->tensors->len; i++) {
        const LoomStoredTensor *x = a->tensors->pdata[i];
        const LoomStoredTensor *y = loom_store_find(b, x->name);

        g_assert_nonnull(y);
        for (gint64 v = 0; g_str_has_prefix(x->name, prefix) && v < x->count; v++) {
            difference += pow((double)x->data[v] - (double)y->data[v], 2);
            norm += pow((double)x->data[v], 2);
        }
    }
    g_assert_cmpfloat(norm, >, 0);
    return sqrt(difference / norm);
}

/* ---- the same numbers on more ranks ------------------------------------------------- */

/* The velocity of SGD after one step, without momentum and decay, is the gradient.
 * Cross-entropy averages over voxels, so the mean over ranks is the mean over the batch; f32
 * sums in another order differ by some 2^-24 of their size: 1e-6. */
static void test_gradient(void)
{
    g_autofree char *one = loom_test_folder();

    run_done(&(Recipe){.batch = 4, .steps = 1, .every = 100, .step = SGD}, 1, one, FALSE);
    g_autoptr(LoomStore) alone = checkpoint_of(one);
    for (guint size = 2; size <= 4; size += 2) {
        g_autofree char *folder = loom_test_folder();
        const Recipe split = {.batch = 4 / size, .steps = 1, .every = 100, .step = SGD};

        run_done(&split, size, folder, FALSE);
        g_autoptr(LoomStore) together = checkpoint_of(folder);
        loom_assert_near(distance(alone, together, "moment0/"), 0, 1e-6);
        loom_test_folder_remove(folder);
    }
    loom_test_folder_remove(one);
}

/* The loss of each step, from steps.csv. */
static void test_losses(void)
{
    g_autofree char *one = loom_test_folder(), *two = loom_test_folder();

    run_done(&(Recipe){.batch = 4, .steps = 8, .every = 100, .step = ADAM}, 1, one, FALSE);
    run_done(&(Recipe){.batch = 2, .steps = 8, .every = 100, .step = ADAM}, 2, two, FALSE);
    g_autofree char *a = file_of(one, "steps.csv"), *b = file_of(two, "steps.csv");
    g_auto(GStrv) x = g_strsplit(a, "\n", -1), y = g_strsplit(b, "\n", -1);
    g_assert_cmpuint(g_strv_length(x), ==, 8 + 2); /* a header, and nothing behind the last */
    g_assert_cmpuint(g_strv_length(y), ==, 8 + 2);
    for (guint i = 1; i <= 8; i++) {
        g_auto(GStrv) p = g_strsplit(x[i], ",", -1), q = g_strsplit(y[i], ",", -1);

        g_assert_cmpstr(p[0], ==, q[0]);
        g_assert_cmpstr(p[2], ==, q[2]); /* the rate falls with the steps of the run */
        /* Adam divides by the root of small squares: rounding grows with the steps */
        loom_assert_near(g_ascii_strtod(p[1], NULL), g_ascii_strtod(q[1], NULL), 1e-3);
    }
    loom_test_folder_remove(one);
    loom_test_folder_remove(two);
}

/* Weights that do not move: the cases are shared out, the table is the same, bit for bit. */
static void test_metrics(void)
{
    g_autofree char *wanted = NULL;

    for (guint size = 1; size <= 5; size += 2) { /* 5 ranks, 4 cases */
        g_autofree char *folder = loom_test_folder();
        const Recipe still = {.batch = 1, .steps = 2, .every = 1, .step = STILL};

        run_done(&still, size, folder, FALSE);
        g_autofree char *table = file_of(folder, "metrics.csv");
        if (wanted)
            g_assert_cmpstr(table, ==, wanted);
        else
            wanted = g_steal_pointer(&table);
        loom_test_folder_remove(folder);
    }
}

/* ---- loaders and trainers ----------------------------------------------------------- */

#define FAULTY                                                                                 \
    "{use: faulty, over: {use: loopback}, drop: 10, double: 10, reorder: 5, seed: 4, "         \
    "only: streams}"

static char *hash_placed(guint size, const char *place, const char *transport, guint batch)
{
    g_autofree char *folder = loom_test_folder();
    const Recipe recipe = {.batch = batch,
                           .steps = 12,
                           .every = 6,
                           .step = ADAM,
                           .extra = place,
                           .transport = transport};

    run_done(&recipe, size, folder, FALSE);
    char *hash = weights_hash(folder);
    loom_test_folder_remove(folder);
    return hash;
}

static void test_placed(void)
{
    static const char loader[] =
        "place: {loaders: {ranks: 1, stages: [load, scale, patch, flip]}}\n";
    static const char loaders[] =
        "place: {loaders: {ranks: 2, stages: [load, scale, patch]}}\n";
    static const char batches[] =
        "place: {loaders: {ranks: 2, stages: [load, scale, patch, flip, batch]}}\n";
    static const char chain[] = "place: {loaders: {ranks: 2, stages: [load, scale]}, "
                                "cutters: {ranks: 1, stages: [patch, flip]}}\n";
    g_autofree char *one = hash_placed(1, NULL, NULL, 4);
    g_autofree char *two = hash_placed(2, NULL, NULL, 2);
    g_autofree char *b = hash_placed(3, loaders, FAULTY, 4);
    g_autofree char *c = hash_placed(4, loaders, NULL, 2);

    g_assert_cmpstr(b, ==, one); /* whatever the network loses, doubles and mixes up */
    g_assert_cmpstr(c, ==, two); /* 2 loaders, 2 trainers */
    if (SLOW)
        return;
    g_autofree char *a = hash_placed(2, loader, NULL, 4), *d = hash_placed(3, batches, NULL, 4);
    g_autofree char *e = hash_placed(4, chain, NULL, 4);
    g_assert_cmpstr(a, ==, one); /* 1 loader, 1 trainer */
    g_assert_cmpstr(d, ==, one); /* batches travel */
    g_assert_cmpstr(e, ==, one); /* loaders, cutters, 1 trainer */
}

/* ---- ends --------------------------------------------------------------------------- */

static void test_one_leaves(void)
{
    g_autofree char *folder = loom_test_folder();
    const Recipe recipe = {.batch = 1, .steps = 30, .every = 10, .step = ADAM};
    g_autofree char *config = config_of(&recipe);

    for (guint leaver = 0; leaver < 3; leaver += 2) { /* the one that writes, and another */
        g_auto(RankThreads) ranks = {
            .config = config, .size = 3, .folder = folder, .leaver = leaver, .leave_after = 7};

        rank_threads_run(&ranks);
        for (guint r = 0; r < 3; r++) {
            g_assert_cmpstr(ranks.errors[r], ==, NULL);
            g_assert_cmpint(ranks.ends[r], ==, r == leaver ? LOOM_RUN_STOPPED : LOOM_RUN_DONE);
        }
        g_autofree char *table = file_of(folder, "steps.csv");
        g_auto(GStrv) lines = g_strsplit(table, "\n", -1);
        g_assert_cmpuint(g_strv_length(lines), ==, 30 + 2); /* each step once */
        for (gint64 i = 1; i <= 30; i++)
            g_assert_cmpint(g_ascii_strtoll(lines[i], NULL, 10), ==, i);
        loom_test_folder_remove(folder);
        g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
    }
    loom_test_folder_remove(folder);
}

static void test_resume(void)
{
    g_autofree char *straight = loom_test_folder(), *halved = loom_test_folder();
    const Recipe recipe = {.batch = 2, .steps = 20, .every = 10, .step = ADAM};
    g_autofree char *config = config_of(&recipe);
    g_auto(RankThreads) first = {
        .config = config, .size = 2, .folder = halved, .leave_after = 7, .all_leave = TRUE};

    run_done(&recipe, 2, straight, FALSE);
    rank_threads_run(&first);
    g_assert_cmpint(first.ends[0], ==, LOOM_RUN_STOPPED);
    g_assert_cmpint(first.ends[1], ==, LOOM_RUN_STOPPED);
    g_assert_cmpint(first.steps[0], <, 20);
    run_done(&recipe, 2, halved, TRUE);
    g_autofree char *a = weights_hash(straight), *b = weights_hash(halved);
    g_assert_cmpstr(a, ==, b);
    g_autofree char *x = file_of(straight, "steps.csv"), *y = file_of(halved, "steps.csv");
    g_assert_cmpstr(x, ==, y);
    loom_test_folder_remove(straight);
    loom_test_folder_remove(halved);
}

/* ---- what must not go on ------------------------------------------------------------ */

static gboolean poison_map(G_GNUC_UNUSED gpointer self, LoomPacket *packet, LoomContext *ctx,
                           GError **error)
{
    LoomTensor *dlogits = loom_packet_edit(packet, "dlogits", error);

    if (dlogits && loom_context_step(ctx) >= 0 && loom_context_index(ctx) == 7)
        loom_tensor_f32_mut(dlogits)[5] = NAN;
    return dlogits != NULL;
}

static const LoomSlot poison_slots[] = {{"dlogits", LOOM_F32, "NCDHW", 0, "spoilt once"}, {0}};
static const LoomStage poison = {
    .base =
        LOOM_STAGE(gint64, "toy_poison", "A NaN in the gradient of packet 7", .params = NULL),
    .reads = poison_slots,
    .writes = poison_slots,
    .map = poison_map,
};

static void test_not_finite(void)
{
    g_autofree char *folder = loom_test_folder();
    const Recipe recipe = {.batch = 1,
                           .steps = 30,
                           .every = 100,
                           .step = ADAM,
                           .poison = "    poison:  {use: toy_poison, from: loss}\n"};
    g_autofree char *config = config_of(&recipe);
    g_auto(RankThreads) ranks = {.config = config, .size = 3, .folder = folder};

    rank_threads_run(&ranks); /* packet 7 is rank 1's in step 3 */
    for (guint r = 0; r < 3; r++) {
        g_assert_cmpint(ranks.ends[r], ==, LOOM_RUN_FAILED);
        g_assert_nonnull(strstr(ranks.errors[r], "rank 1: the gradient of 'ball_"));
        g_assert_nonnull(strstr(ranks.errors[r], "step 3 was applied on no rank"));
        g_assert_cmpint(ranks.steps[r], ==, 2);
    }
    loom_test_folder_remove(folder);
}

static void test_refused(void)
{
    static const struct {
        const char *find, *replace, *wanted;
    } wrong[] = {
        {"from: sync", "from: back",
         "steps on 2 ranks, each by its own gradient: want a stage 'allreduce' before it"},
        {"run: {", "place: {loaders: {ranks: 2, stages: [load]}}\nrun: {",
         "place: its groups want 2 ranks of 2, none is left to train"},
        {"run: {", "place: {loaders: {ranks: 1, stages: [laod]}}\nrun: {",
         "place: loaders: there is no stage 'laod' in graph 'train'"},
        {"run: {", "place: {loaders: {ranks: 1, stages: [load, patch]}}\nrun: {",
         "place: stages of 'trainers' lie between 'load' and 'patch' of 'loaders': a group is "
         "one piece, from the source on without a gap"},
        {"run: {", "place: {trainers: {ranks: 1, stages: [load]}}\nrun: {",
         "place: 'trainers' are those that no group names: want another name"},
        {"suspect: 5", "suspect: 0.2",
         "cluster: suspect (0.2 s) must be at least three beats (of 0.1 s)"},
        {"run: {", "place: {loaders: {ranks: 1, stages: [load, step]}}\nrun: {",
         "place: loaders: stage 'step' belongs to the training itself"},
        {"run: {",
         "place: {loaders: {ranks: 1, stages: [load, scale, patch, flip, batch, forward]}}\n"
         "run: {",
         "stage 'back' reads 'tape', which does not leave the process of stage 'forward'"},
        {"run: {", "place: {loaders: {ranks: 1}}\nrun: {",
         "place: loaders: want {ranks: N, stages: [STAGE, ...]} and no more"},
        {"beat: 0.1", "baet: 0.1", "did you mean 'beat'?"},
    };
    const Recipe recipe = {.batch = 1, .steps = 30, .every = 100, .step = ADAM};

    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *right = config_of(&recipe);
        g_auto(GStrv) parts = g_strsplit(right, wrong[i].find, 2);
        g_autofree char *text = g_strjoinv(wrong[i].replace, parts);
        g_autoptr(GError) error = NULL;
        g_autoptr(LoomNode) config =
            loom_yaml_parse(text, strlen(text), "wrong.yaml", "/", &error);
        LoomRendezvous where = {
            .rank = 0, .size = 2, .meet = (char *)(guintptr) "loopback://x"};
        const LoomRunOptions options = {.rendezvous = &where};

        g_assert_no_error(error);
        LoomRun *run = loom_run_open(config, loom_test_registry(), &options, &error);
        loom_assert_failed(run != NULL, error, LOOM_ERROR, LOOM_ERROR_CONFIG, wrong[i].wanted);
    }
}

int main(int argc, char **argv)
{
    static const LoomPlugin *const plugins[] = {&poison.base, NULL};
    static const LoomModule module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, "toy", "0", plugins};
    g_autofree char *folder = NULL;
    GError *error = NULL;

    g_setenv("LOOM_MODULE_PATH", TEST_MODULES, TRUE);
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_FATAL_MASK
                           | G_LOG_LEVEL_CRITICAL); /* lost ranks are warned of */
    folder = loom_test_folder();
    set_folder = folder;
    phantom_set_make(folder, 8);
    loom_registry_add(loom_test_registry(), &module, "toy", &error);
    g_assert_no_error(error);
    g_test_add_func("/ranks/gradient", test_gradient);
    g_test_add_func("/ranks/losses", test_losses);
    g_test_add_func("/ranks/metrics", test_metrics);
    g_test_add_func("/ranks/placed", test_placed);
    g_test_add_func("/ranks/one-leaves", test_one_leaves);
    g_test_add_func("/ranks/resume", test_resume);
    g_test_add_func("/ranks/not-finite", test_not_finite);
    g_test_add_func("/ranks/refused", test_refused);
    const int result = loom_test_run();
    loom_test_folder_remove(folder);
    return result;
}
