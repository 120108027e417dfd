/* study_plan - a config with a section `study:` as a list of ordinary configs: the section is
 * taken out, and seed, fold and the loss are put in.  All else is the same in every run, and
 * what is random depends on seed, stage and packet only: so every loss sees the same patches.
 */
#include "study_plan.h"

#include "plugin/instance.h"

#include <loom/plugin.h>

#include <string.h>

typedef struct {
    char *stage;
    LoomInts folds, seeds;
} StudyKeys;

static const LoomParam study_params[] = {
    LOOM_STRING(StudyKeys, stage, "", "stage of the trained graph that has the loss"),
    LOOM_INTS(StudyKeys, folds, "[]", 0, 1e6, NULL,
              "of the data set, each trained and validated"),
    LOOM_INTS(StudyKeys, seeds, "[]", 0, 9007199254740992.0, NULL, "each a run of its own"),
    {0},
};
static const char *const study_sections[] = {"losses", NULL};

static void study_run_free(gpointer data)
{
    StudyRun *run = data;

    g_free(run->name);
    loom_node_free(run->config);
    g_free(run);
}

void study_plan_free(StudyPlan *plan)
{
    if (!plan)
        return;
    g_ptr_array_unref(plan->runs);
    g_strfreev(plan->losses);
    g_free(plan);
}

/* ---- parts of a config -------------------------------------------------------------- */

/* Puts @value (transfer full) at @key, in place of what is there. */
static void value_put(LoomNode *mapping, const char *key, LoomNode *value)
{
    for (guint i = 0; i < mapping->keys->len; i++)
        if (g_str_equal(((const LoomNode *)mapping->keys->pdata[i])->text, key)) {
            loom_node_free(mapping->items->pdata[i]);
            mapping->items->pdata[i] = value;
            return;
        }
    LoomNode *name =
        loom_node_new(LOOM_NODE_SCALAR, value->file, value->folder, value->line, value->column);
    g_free(name->text);
    name->text = g_strdup(key);
    loom_node_put(mapping, name, value);
}

/* @place: what the number is blamed on. */
static void number_put(LoomNode *mapping, const char *key, gint64 number, const LoomNode *place)
{
    LoomNode *value =
        loom_node_new(LOOM_NODE_SCALAR, place->file, place->folder, place->line, place->column);

    g_free(value->text);
    value->text = g_strdup_printf("%" G_GINT64_FORMAT, number);
    value_put(mapping, key, value);
}

static void key_remove(LoomNode *mapping, const char *key)
{
    for (guint i = 0; i < mapping->keys->len; i++)
        if (g_str_equal(((const LoomNode *)mapping->keys->pdata[i])->text, key)) {
            g_ptr_array_remove_index(mapping->keys, i);
            g_ptr_array_remove_index(mapping->items, i);
            return;
        }
}

/* The graph that `run:` names; NULL with the reason. */
static LoomNode *graph_find(const LoomNode *config, GError **error)
{
    const LoomNode *name = loom_node_get(loom_node_get(config, "run"), "graph");
    LoomNode *graph =
        name && name->text ? loom_node_get(loom_node_get(config, "graphs"), name->text) : NULL;

    if (graph && graph->type == LOOM_NODE_MAPPING)
        return graph;
    loom_node_fail(
        name ? name : config, error,
        "study: want 'run: {graph: NAME}' with a graph of that name under 'graphs:'");
    return NULL;
}

static gboolean uses(const LoomNode *stage, const char *plugin)
{
    const LoomNode *use = loom_node_get(stage, "use");

    return use && use->text && g_str_equal(use->text, plugin);
}

/* The stage of @graph whose key `loss` is varied. */
static LoomNode *loss_stage(const LoomNode *graph, const char *wanted, const LoomNode *section,
                            GError **error)
{
    LoomNode *found = NULL;
    guint n = 0;

    if (wanted) {
        const LoomNode *key = loom_node_get(section, "stage");
        found = loom_node_get(graph, wanted);

        if (uses(found, "loss"))
            return found;
        loom_node_fail(key, error,
                       "study: stage: '%s' is no stage of the trained graph that "
                       "uses 'loss'",
                       wanted);
        return NULL;
    }
    for (guint i = 0; i < graph->items->len; i++)
        if (uses(graph->items->pdata[i], "loss")) {
            found = graph->items->pdata[i];
            n++;
        }
    if (n == 1)
        return found;
    loom_node_fail(
        section, error,
        n ? "study: %u stages of the trained graph use 'loss', say which by 'stage: ID'"
          : "study: %u stages of the trained graph use 'loss', want one",
        n);
    return NULL;
}

/* The last step must be one after which the run validates: its scores are the study's. */
static gboolean validation_check(const LoomNode *config, const LoomNode *graph, GError **error)
{
    const LoomNode *steps = loom_node_get(loom_node_get(config, "run"), "steps");
    const gint64 n = steps && steps->text ? g_ascii_strtoll(steps->text, NULL, 10) : 0;
    const LoomNode *missed = NULL;

    if (n < 1)
        return loom_node_fail(steps ? steps : config, error,
                              "study: want 'run: {steps: N}', the same for every loss");
    for (guint i = 0; i < graph->items->len; i++) {
        const LoomNode *stage = graph->items->pdata[i], *every = loom_node_get(stage, "every");
        const gint64 period =
            every && every->text ? g_ascii_strtoll(every->text, NULL, 10) : 100;

        if (!uses(stage, "run_graph"))
            continue;
        if (period > 0 && n % period == 0)
            return TRUE;
        missed = every ? every : stage;
    }
    if (missed)
        return loom_node_fail(missed, error,
                              "study: the model of the last step, %" G_GINT64_FORMAT
                              ", is not validated: 'every' must divide 'run: steps'",
                              n);
    return loom_node_fail(graph, error,
                          "study: the trained graph has no stage 'run_graph' that validates");
}

/* ---- the section -------------------------------------------------------------------- */

static gboolean name_check(const LoomNode *key, GError **error)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_+.-";

    if (*key->text && strspn(key->text, letters) == strlen(key->text) && *key->text != '.')
        return TRUE;
    return loom_node_fail(key, error,
                          "study: losses: '%s' names a folder: want letters, digits, '_', '+', "
                          "'.', '-'",
                          key->text);
}

static gboolean losses_check(const LoomNode *section, const LoomNode *losses, GError **error)
{
    if (!losses || losses->type != LOOM_NODE_MAPPING || losses->items->len < 1)
        return loom_node_fail(losses ? losses : section, error,
                              "study needs 'losses:', a mapping of names to losses "
                              "(dice: {use: dice})");
    for (guint i = 0; i < losses->items->len; i++)
        if (!name_check(losses->keys->pdata[i], error))
            return FALSE;
    return TRUE;
}

/* No number twice: two runs would share a folder. */
static gboolean numbers_check(const LoomNode *section, const char *key, const LoomInts *numbers,
                              GError **error)
{
    for (guint i = 0; i < numbers->n; i++)
        for (guint k = 0; k < i; k++)
            if (numbers->v[i] == numbers->v[k])
                return loom_node_fail(loom_node_get(section, key), error,
                                      "study: %s: %" G_GINT64_FORMAT " is there twice", key,
                                      numbers->v[i]);
    return TRUE;
}

/* The config's own number where the section has none. */
static void numbers_default(LoomInts *numbers, const LoomNode *node)
{
    if (numbers->n)
        return;
    g_free(numbers->v);
    numbers->v = g_new0(gint64, 1);
    numbers->n = 1;
    numbers->v[0] = node && node->text ? g_ascii_strtoll(node->text, NULL, 10) : 0;
}

static StudyRun *run_new(const LoomNode *config, const StudyKeys *keys, const char *loss,
                         gint64 fold, gint64 seed, GError **error)
{
    const LoomNode *section = loom_node_get(config, "study");
    const LoomNode *folds = loom_node_get(section, "folds");
    const LoomNode *seeds = loom_node_get(section, "seeds");
    StudyRun *run = g_new0(StudyRun, 1);

    run->name =
        g_strdup_printf("%s-fold%" G_GINT64_FORMAT "-seed%" G_GINT64_FORMAT, loss, fold, seed);
    run->loss = loss;
    run->fold = fold;
    run->seed = seed;
    run->config = loom_node_copy(config);
    key_remove(run->config, "study");
    number_put(run->config, "seed", seed, seeds ? seeds : section);
    number_put(loom_node_get(run->config, "data"), "fold", fold, folds ? folds : section);
    LoomNode *stage = loss_stage(graph_find(run->config, error), keys->stage, section, error);
    value_put(stage, "loss",
              loom_node_copy(loom_node_get(loom_node_get(section, "losses"), loss)));
    return run;
}

static gboolean plan_check(const LoomNode *config, const StudyKeys *keys, GError **error)
{
    const LoomNode *section = loom_node_get(config, "study");
    const LoomNode *graph = graph_find(config, error);
    const LoomNode *data = loom_node_get(config, "data");

    if (!graph || !loss_stage(graph, keys->stage, section, error)
        || !validation_check(config, graph, error)
        || !losses_check(section, loom_node_get(section, "losses"), error)
        || !numbers_check(section, "folds", &keys->folds, error)
        || !numbers_check(section, "seeds", &keys->seeds, error))
        return FALSE;
    return (data && data->type == LOOM_NODE_MAPPING)
           || loom_node_fail(data ? data : config, error,
                             "study: want 'data:' with a data set and its folds");
}

static StudyPlan *plan_make(const LoomNode *config, StudyKeys *keys, GError **error)
{
    const LoomNode *losses = loom_node_get(loom_node_get(config, "study"), "losses");
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();

    if (!plan_check(config, keys, error))
        return NULL;
    StudyPlan *plan = g_new0(StudyPlan, 1);
    numbers_default(&keys->folds, loom_node_get(loom_node_get(config, "data"), "fold"));
    numbers_default(&keys->seeds, loom_node_get(config, "seed"));
    for (guint i = 0; i < losses->keys->len; i++)
        g_strv_builder_add(names, ((const LoomNode *)losses->keys->pdata[i])->text);
    plan->losses = g_strv_builder_end(names);
    plan->runs = g_ptr_array_new_with_free_func(study_run_free);
    for (guint s = 0; s < keys->seeds.n; s++)
        for (guint f = 0; f < keys->folds.n; f++)
            for (char **loss = plan->losses; *loss; loss++)
                g_ptr_array_add(plan->runs, run_new(config, keys, *loss, keys->folds.v[f],
                                                    keys->seeds.v[s], error));
    return plan;
}

StudyPlan *study_plan_new(const LoomNode *config, GError **error)
{
    const LoomNode *section = loom_node_get(config, "study");
    StudyKeys keys = {0};
    StudyPlan *plan = NULL;

    if (!section || section->type != LOOM_NODE_MAPPING) {
        loom_node_fail(section ? section : config, error,
                       "config needs the section 'study:' "
                       "(study: {losses: {dice: {use: dice}, ...}, folds: [0], seeds: [1]})");
        return NULL;
    }
    if (loom_params_fill(study_params, &keys, section, study_sections, "study", NULL, error))
        plan = plan_make(config, &keys, error);
    loom_params_clear(study_params, &keys);
    return plan;
}
