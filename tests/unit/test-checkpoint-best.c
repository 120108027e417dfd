/* checkpoint with `keep: best`: which step's weights model/ holds, also after a resume. */
#include "loom_test.h"

#include "graph/state.h"
#include "toy_model.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

typedef struct {
    char *folder, *weights, *json;
} Place;

static void place_open(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    place->folder = loom_test_folder();
    place->weights = g_build_filename(place->folder, "model", "m.safetensors", NULL);
    place->json = g_build_filename(place->folder, "model", "model.json", NULL);
}

static void place_close(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    loom_test_folder_remove(place->folder);
    g_free(place->folder);
    g_free(place->weights);
    g_free(place->json);
}

static LoomTestStage *stage_with(const Place *place, const char *keys, gboolean resume)
{
    const LoomTestSetup setup = {.sections =
                                     "backend: {use: reference}\nmodels: {m: {use: toy}}",
                                 .seed = 7,
                                 .folder = place->folder,
                                 .resume = resume};
    g_autofree char *yaml =
        g_strdup_printf("{use: checkpoint, model: m, every: 2, keep: best%s}", keys);

    return loom_test_stage(yaml, &setup, NULL);
}

static void score_record(LoomTestStage *stage, const char *reading, gint64 step, double score)
{
    const LoomField field = {.name = reading, .value = score};

    loom_run_record(loom_test_stage_run(stage), "metrics", step, &field, 1);
}

/* The packet that completes @step comes by, after a validation unless @score is infinite. */
static LoomFlow step_done(LoomTestStage *stage, gint64 step, double score, GError **error)
{
    LoomRun *run = loom_test_stage_run(stage);
    ToyModel *toy = ((LoomInstance *)g_hash_table_lookup(run->by_model, "m"))->self;
    const LoomBackend *device = (const LoomBackend *)toy->backend->plugin;
    const float x[2] = {(float)step, -1};

    device->array_write(toy->backend->self, toy->weights[1].value, x);
    run->step = step;
    if (!isinf(score))
        score_record(stage, "dice", step, score);
    return loom_test_push(stage, loom_packet_new(), step - 1, error);
}

/* model/ holds the weights of @step and says so, with @score; -1: it is not there. */
static void model_check(const Place *place, gint64 step, double score)
{
    g_autoptr(LoomStore) store = loom_store_read(place->weights, NULL);
    g_autoptr(JsonParser) parser = json_parser_new();

    g_assert_true(!store == (step < 0));
    if (!store)
        return;
    g_assert_cmpfloat(loom_store_find(store, "bias")->data[0], ==, (float)step);
    g_assert_true(json_parser_load_from_file(parser, place->json, NULL));
    JsonObject *root = json_node_get_object(json_parser_get_root(parser));
    g_assert_cmpint(json_object_get_int_member(root, "step"), ==, step);
    g_assert_cmpstr(json_object_get_string_member(root, "keep"), ==, "best");
    if (isnan(score)) {
        g_assert_true(json_object_get_null_member(root, "score"));
        return;
    }
    JsonObject *said = json_object_get_object_member(root, "score");
    g_assert_cmpstr(json_object_get_string_member(said, "reading"), ==, "dice");
    loom_assert_near(json_object_get_double_member(said, "value"), score, 1e-12);
}

static void test_plain(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    static const struct {
        double score; /* infinite: no validation */
        gint64 held;
        double best;
    } steps[] = {{INFINITY, -1, NAN}, {NAN, -1, NAN},  {0.5, 3, 0.5},
                 {INFINITY, 3, 0.5},  {0.4, 3, 0.5},   {0.5, 3, 0.5},
                 {0.625, 7, 0.625},   {NAN, 7, 0.625}, {INFINITY, 7, 0.625}};
    g_autoptr(LoomTestStage) stage = stage_with(place, "", FALSE);

    for (guint i = 0; i < G_N_ELEMENTS(steps); i++) {
        g_assert_cmpint(step_done(stage, i + 1, steps[i].score, NULL), ==, LOOM_FLOW_OK);
        model_check(place, steps[i].held, steps[i].best);
    }
    loom_test_finish(stage, NULL); /* the last weights go to the checkpoint alone */
    model_check(place, 7, 0.625);
}

/* 0.5; 0.5 * 0.5 + 0.5 * 1 = 0.75; 0.375 + 0.25 = 0.625, though 0.5 beats the first score. */
static void test_smooth(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_with(place, ", smooth: 0.5", FALSE);

    step_done(stage, 1, 0.5, NULL);
    model_check(place, 1, 0.5);
    step_done(stage, 2, 1, NULL);
    model_check(place, 2, 0.75);
    step_done(stage, 3, 0.5, NULL);
    model_check(place, 2, 0.75);
}

/* The run is killed after step 5: what was best at the checkpoint of step 4 counts. */
static void test_resume(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    {
        g_autoptr(LoomTestStage) stage = stage_with(place, ", smooth: 0.5", FALSE);

        step_done(stage, 2, 0.5, NULL);
        step_done(stage, 4, INFINITY, NULL);
        step_done(stage, 5, 0.75, NULL);
        model_check(place, 5, 0.625);
    }
    g_autoptr(LoomTestStage) stage = stage_with(place, ", smooth: 0.5", TRUE);
    step_done(stage, 5, 0.75, NULL); /* made again: the same */
    model_check(place, 5, 0.625);
    step_done(stage, 6, 0.5, NULL);
    model_check(place, 5, 0.625);
    step_done(stage, 7, 1, NULL);
    model_check(place, 7, 0.78125);
}

/* The last step's validation may come after its packet: the weights are still the same. */
static void test_finish(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_with(place, "", FALSE);

    step_done(stage, 1, 0.25, NULL);
    step_done(stage, 2, INFINITY, NULL);
    score_record(stage, "dice", 2, 0.5);
    loom_test_finish(stage, NULL);
    model_check(place, 2, 0.5);
}

static void test_never(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_with(place, "", FALSE);

    step_done(stage, 1, INFINITY, NULL);
    g_test_expect_message("loom-checkpoint", G_LOG_LEVEL_WARNING,
                          "*no validation gave a 'dice': model/ holds the last weights*");
    loom_test_finish(stage, NULL);
    g_test_assert_expected_messages();
    model_check(place, 1, NAN);
}

static void test_order(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_with(place, "", FALSE);

    step_done(stage, 1, INFINITY, NULL);
    score_record(stage, "dice", 1, 0.5); /* after this stage saw step 1 */
    g_test_expect_message("loom-checkpoint", G_LOG_LEVEL_WARNING,
                          "*the validation of step 1 was over when its weights had changed*");
    step_done(stage, 2, INFINITY, NULL);
    g_test_assert_expected_messages();
    model_check(place, -1, NAN);
}

static void test_reading(Place *place, G_GNUC_UNUSED gconstpointer data)
{
    g_autoptr(LoomTestStage) stage = stage_with(place, ", score: dise", FALSE);
    g_autoptr(GError) error = NULL;

    loom_assert_failed(step_done(stage, 1, 0.5, &error), error, LOOM_ERROR, LOOM_ERROR_CONFIG,
                       "score: 'dise' is no reading of the metrics in this run");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Place *, gconstpointer);
    } tests[] = {{"plain", test_plain},    {"smooth", test_smooth}, {"resume", test_resume},
                 {"finish", test_finish},  {"never", test_never},   {"order", test_order},
                 {"reading", test_reading}};

    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/stages/checkpoint/best/%s", tests[i].name);

        g_test_add(path, Place, NULL, place_open, tests[i].test, place_close);
    }
    return loom_test_run();
}
