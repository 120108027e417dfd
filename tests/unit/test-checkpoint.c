/* checkpoint: what is on disk after which step, and what comes back from there. */
#include "loom_test.h"

#include "graph/state.h"
#include "toy_model.h"

#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

typedef struct {
    char *folder, *path, *previous, *weights, *json;
} Place;

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    place->folder = loom_test_folder();
    place->path = g_build_filename(place->folder, "checkpoint", "m.safetensors", NULL);
    place->previous =
        g_build_filename(place->folder, "checkpoint", "m.previous.safetensors", NULL);
    place->weights = g_build_filename(place->folder, "model", "m.safetensors", NULL);
    place->json = g_build_filename(place->folder, "model", "model.json", NULL);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
    g_free(place->path);
    g_free(place->previous);
    g_free(place->weights);
    g_free(place->json);
}

static LoomTestStage *stage_with(const Place *place, const char *toy, guint64 seed,
                                 gboolean resume, GError **error)
{
    g_autofree char *sections =
        g_strdup_printf("backend: {use: reference}\nmodels: {m: {use: toy, %s}}", toy);
    const LoomTestSetup setup = {
        .sections = sections, .seed = seed, .folder = place->folder, .resume = resume};

    return loom_test_stage("{use: checkpoint, model: m, every: 3}", &setup, error);
}

static LoomTestStage *stage_new(const Place *place, gboolean resume)
{
    return stage_with(place, "moments: 2", 7, resume, NULL);
}

/* Number @i of an array of a weight: which array, which weight, which step. */
static float number(guint which, guint weight, gint64 step, gint64 i)
{
    return (float)(1000 * step + 100 * weight + 10 * which) + (float)i + 0.25f;
}

static ToyModel *toy_of(LoomTestStage *stage)
{
    return ((LoomInstance *)g_hash_table_lookup(loom_test_stage_run(stage)->by_model, "m"))
        ->self;
}

/* All values and moments as they would be after @step. */
static void weights_set(LoomTestStage *stage, gint64 step)
{
    ToyModel *toy = toy_of(stage);
    const LoomBackend *device = (const LoomBackend *)toy->backend->plugin;

    for (guint w = 0; w < 2; w++)
        for (guint which = 0; which < 1 + toy->moments; which++) {
            LoomWeight *weight = &toy->weights[w];
            g_autofree float *x = g_new(float, (gsize)weight->count);

            for (gint64 i = 0; i < weight->count; i++)
                x[i] = number(which, w, step, i);
            device->array_write(toy->backend->self,
                                which ? weight->moment[which - 1] : weight->value, x);
        }
}

static void weights_check(LoomTestStage *stage, gint64 step)
{
    const ToyModel *toy = toy_of(stage);
    const LoomBackend *device = (const LoomBackend *)toy->backend->plugin;

    for (guint w = 0; w < 2; w++)
        for (guint which = 0; which < 1 + toy->moments; which++) {
            const LoomWeight *weight = &toy->weights[w];
            g_autofree float *x = g_new(float, (gsize)weight->count);

            device->array_read(toy->backend->self,
                               which ? weight->moment[which - 1] : weight->value, x);
            for (gint64 i = 0; i < weight->count; i++)
                g_assert_cmpfloat(x[i], ==, number(which, w, step, i));
        }
}

/* The packet that completes @step comes by. */
static LoomFlow step_done(LoomTestStage *stage, gint64 step, GError **error)
{
    weights_set(stage, step);
    loom_test_stage_run(stage)->step = step;
    return loom_test_push(stage, loom_packet_new(), step - 1, error);
}

static gint64 step_of(const char *path)
{
    g_autoptr(LoomStore) store = loom_store_read(path, NULL);

    return store ? g_ascii_strtoll(g_hash_table_lookup(store->metadata, "step"), NULL, 10) : -1;
}

static void test_every(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const gint64 expected[] = {-1, -1, 3, 3, 3, 6, 6}; /* after step 1, 2, ... */
    g_autoptr(LoomTestStage) stage = stage_new(place, FALSE);

    for (gint64 step = 1; step <= 7; step++) {
        g_assert_cmpint(step_done(stage, step, NULL), ==, LOOM_FLOW_OK);
        g_assert_cmpint(step_of(place->path), ==, expected[step - 1]);
        g_assert_cmpint(step_of(place->previous), ==, step < 6 ? -1 : 3);
    }
    loom_test_finish(stage, NULL); /* step 7 is not lost */
    g_assert_cmpint(step_of(place->path), ==, 7);
    g_assert_cmpint(step_of(place->previous), ==, 6);
    loom_test_finish(stage, NULL); /* and not saved twice */
    g_assert_cmpint(step_of(place->previous), ==, 6);
}

static void test_content(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const char *const names[] = {"value/kernel", "moment0/kernel", "moment1/kernel",
                                        "value/bias",   "moment0/bias",   "moment1/bias"};
    g_autoptr(LoomTestStage) stage = stage_new(place, FALSE);
    g_autoptr(LoomStore) store = NULL, model = NULL;

    step_done(stage, 3, NULL);
    store = loom_store_read(place->path, NULL);
    g_assert_cmpuint(store->tensors->len, ==, G_N_ELEMENTS(names));
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const LoomStoredTensor *tensor = loom_store_find(store, names[i]);

        g_assert_nonnull(tensor);
        g_assert_cmpuint(tensor->rank, ==, i < 3 ? 5 : 1);
        g_assert_cmpfloat(tensor->data[1], ==, number(i % 3, i / 3, 3, 1));
    }
    g_assert_cmpstr(g_hash_table_lookup(store->metadata, "seed"), ==, "7");
    g_assert_cmpstr(g_hash_table_lookup(store->metadata, "model"), ==, "m");

    model = loom_store_read(place->weights, NULL);
    g_assert_cmpuint(model->tensors->len, ==, 2); /* the weights, by their own names */
    g_assert_cmpfloat(loom_store_find(model, "kernel")->data[5], ==, number(0, 0, 3, 5));
    g_assert_cmpfloat(loom_store_find(model, "bias")->data[0], ==, number(0, 1, 3, 0));
}

static void test_json(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, FALSE);
    g_autoptr(JsonParser) parser = json_parser_new();

    step_done(stage, 3, NULL);
    g_assert_true(json_parser_load_from_file(parser, place->json, NULL));
    JsonObject *object = json_node_get_object(json_parser_get_root(parser));
    g_assert_cmpstr(json_object_get_string_member(object, "model"), ==, "m");
    g_assert_cmpstr(json_object_get_string_member(object, "weights"), ==, "m.safetensors");
    g_assert_cmpint(json_object_get_int_member(object, "step"), ==, 3);
    g_assert_true(json_object_get_null_member(object, "metrics")); /* none was measured */
    g_assert_true(json_object_get_null_member(object, "recipe"));  /* no graph predicts */
    g_assert_true(json_object_has_member(object, "labels"));
    g_assert_true(json_object_has_member(object, "channels"));
}

static void test_resume(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    {
        g_autoptr(LoomTestStage) stage = stage_new(place, FALSE);

        step_done(stage, 3, NULL);
        step_done(stage, 6, NULL);
    }
    g_autoptr(LoomTestStage) stage = stage_new(place, TRUE);
    weights_check(stage, 6);
    g_assert_cmpint(loom_run_step(loom_test_stage_run(stage)), ==, 6);
    loom_test_finish(stage, NULL); /* nothing new: the one before stays */
    g_assert_cmpint(step_of(place->previous), ==, 3);
}

static void test_nothing_yet(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = NULL;

    g_test_expect_message("loom-checkpoint", G_LOG_LEVEL_MESSAGE,
                          "no checkpoint of model 'm'*");
    stage = stage_new(place, TRUE);
    g_test_assert_expected_messages();
    g_assert_cmpint(loom_run_step(loom_test_stage_run(stage)), ==, 0);
}

static void damage(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    bytes[length - 1] = (char)(bytes[length - 1] ^ 1);
    g_assert_true(g_file_set_contents(path, bytes, (gssize)length, NULL));
}

static void test_damaged(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    {
        g_autoptr(LoomTestStage) stage = stage_new(place, FALSE);

        step_done(stage, 3, NULL);
        step_done(stage, 6, NULL);
    }
    damage(place->path);
    {
        g_autoptr(LoomTestStage) stage = NULL;

        g_test_expect_message("loom-checkpoint", G_LOG_LEVEL_WARNING,
                              "*m.safetensors': damaged*going on from the checkpoint before*");
        stage = stage_new(place, TRUE);
        g_test_assert_expected_messages();
        weights_check(stage, 3);
        g_assert_cmpint(loom_run_step(loom_test_stage_run(stage)), ==, 3);
    }
    damage(place->previous);
    loom_assert_failed(stage_with(place, "moments: 2", 7, TRUE, &error), error, LOOM_ERROR,
                       LOOM_ERROR_FORMAT, "m.previous.safetensors': damaged");
    g_assert_nonnull(strstr(error->message, "m.safetensors': damaged")); /* both are named */
}

static void test_other_network(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        const char *toy;
        guint64 seed;
        LoomErrorCode code;
        const char *text;
    } wrong[] = {
        {"moments: 2, slope: [1, 2, 3], tilt: [0, 0, 0]", 7, LOOM_ERROR_SHAPE,
         "m.safetensors': 'value/bias' is (2), the network wants (3)"},
        {"moments: 1", 7, LOOM_ERROR_SHAPE,
         "6 tensors, the network and its optimiser want 4: was it saved with another "
         "optimiser?"},
        {"moments: 2", 8, LOOM_ERROR_CONFIG, "saved by a run with seed 7, this one has 8"},
    };

    {
        g_autoptr(LoomTestStage) stage = stage_with(place, "moments: 2", 7, FALSE, NULL);

        step_done(stage, 3, NULL);
    }
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autoptr(GError) error = NULL;

        loom_assert_failed(stage_with(place, wrong[i].toy, wrong[i].seed, TRUE, &error), error,
                           LOOM_ERROR, wrong[i].code, wrong[i].text);
    }
    {
        g_autoptr(LoomTestStage) stage = stage_with(place, "moments: 1", 7, FALSE, NULL);

        step_done(stage, 3, NULL);
    }
    g_autoptr(GError) error = NULL;
    loom_assert_failed(stage_with(place, "moments: 2", 7, TRUE, &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "no 'moment1/kernel': it was saved by another");
}

/* The model's own file is whole, but it is no checkpoint. */
static void test_no_checkpoint(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    {
        g_autoptr(LoomTestStage) stage = stage_new(place, FALSE);

        step_done(stage, 3, NULL);
    }
    g_assert_cmpint(g_rename(place->weights, place->path), ==, 0);
    loom_assert_failed(stage_with(place, "moments: 2", 7, TRUE, &error), error, LOOM_ERROR,
                       LOOM_ERROR_FORMAT, "no checkpoint: 'seed' is missing");
}

static void test_not_finite(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_new(place, FALSE);
    ToyModel *toy = toy_of(stage);
    const LoomBackend *device = (const LoomBackend *)toy->backend->plugin;
    const float bad[] = {1, NAN};
    g_autoptr(GError) error = NULL;

    step_done(stage, 3, NULL);
    device->array_write(toy->backend->self, toy->weights[1].moment[1], bad);
    loom_test_stage_run(stage)->step = 6;
    loom_assert_failed(loom_test_push(stage, loom_packet_new(), 5, &error), error, LOOM_ERROR,
                       LOOM_ERROR_NUMERIC, "'moment1/bias' of model 'm' is not finite");
    g_assert_cmpint(step_of(place->path), ==, 3);
}

static void test_only_checking(G_GNUC_UNUSED Place *place, G_GNUC_UNUSED gconstpointer data)
{
    const LoomTestSetup setup = {.sections =
                                     "backend: {use: reference}\nmodels: {m: {use: toy}}"};
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: checkpoint, model: m, every: 1}", &setup, NULL);

    g_assert_cmpint(step_done(stage, 1, NULL), ==, LOOM_FLOW_OK);
    loom_test_finish(stage, NULL);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Place *, gconstpointer);
    } tests[] = {
        {"every", test_every},
        {"content", test_content},
        {"json", test_json},
        {"resume", test_resume},
        {"nothing-yet", test_nothing_yet},
        {"damaged", test_damaged},
        {"other-network", test_other_network},
        {"no-checkpoint", test_no_checkpoint},
        {"not-finite", test_not_finite},
        {"only-checking", test_only_checking},
    };

    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/stages/checkpoint/%s", tests[i].name);

        g_test_add(path, Place, NULL, place_open, tests[i].test, place_close);
    }
    return loom_test_run();
}
