/* checkpoint_best - the best validation so far, plain or by a moving mean:
 *   m <- smooth m + (1 - smooth) score,   the best m wins
 * Source: nnU-Net v2 keeps the weights with the best moving mean of Dice, smooth = 0.9. */
#define G_LOG_DOMAIN "loom-checkpoint"
#include "checkpoint_best.h"

#include <json-glib/json-glib.h>
#include <math.h>

void checkpoint_best_init(CheckpointBest *best, const char *reading, double smooth)
{
    *best = (CheckpointBest){
        .reading = reading, .smooth = smooth, .moving = NAN, .score = NAN, .seen = -1};
}

/* The number @member of a record; NaN: null.  FALSE: there is none. */
static gboolean number_of(JsonObject *record, const char *member, double *value)
{
    JsonNode *node = json_object_get_member(record, member);

    *value = NAN;
    if (!node || (!JSON_NODE_HOLDS_VALUE(node) && !JSON_NODE_HOLDS_NULL(node)))
        return FALSE;
    if (JSON_NODE_HOLDS_VALUE(node))
        *value = json_node_get_double(node);
    return TRUE;
}

static gboolean score_take(CheckpointBest *best, double score, gint64 step)
{
    if (isnan(score))
        return FALSE;
    best->moving =
        isnan(best->moving) ? score : best->smooth * best->moving + (1 - best->smooth) * score;
    if (!isnan(best->score) && !(best->moving > best->score))
        return FALSE;
    best->score = best->moving;
    best->step = step;
    return TRUE;
}

gboolean checkpoint_best_look(CheckpointBest *best, const LoomContext *ctx, gboolean *found,
                              GError **error)
{
    const gint64 now = loom_context_step(ctx);
    g_autofree char *latest = loom_context_latest(ctx, "metrics");
    g_autoptr(JsonNode) root = latest ? json_from_string(latest, NULL) : NULL;
    double step, score;

    *found = FALSE;
    if (!root || !number_of(json_node_get_object(root), "step", &step)
        || (gint64)step <= best->seen)
        return TRUE;
    best->seen = (gint64)step;
    if ((gint64)step != now) {
        g_warning("the validation of step %d was over when its weights had changed: they are "
                  "not kept (the stage run_graph stands before checkpoint)",
                  (int)step);
        return TRUE;
    }
    if (!number_of(json_node_get_object(root), best->reading, &score))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "score: '%s' is no reading of the metrics in this run", best->reading);
    *found = score_take(best, score, now);
    return TRUE;
}

static void number_store(LoomStore *store, const char *key, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE]; /* 17 digits: the same number again */

    g_hash_table_insert(store->metadata, g_strdup(key),
                        g_strdup(g_ascii_dtostr(text, sizeof text, value)));
}

void checkpoint_best_store(const CheckpointBest *best, LoomStore *store)
{
    if (isnan(best->score))
        return;
    number_store(store, "best_moving", best->moving);
    number_store(store, "best_score", best->score);
    number_store(store, "best_step", (double)best->step);
}

static double number_restore(const LoomStore *store, const char *key)
{
    const char *text = g_hash_table_lookup(store->metadata, key);

    return text ? g_ascii_strtod(text, NULL) : NAN;
}

void checkpoint_best_restore(CheckpointBest *best, const LoomStore *store)
{
    const double step = number_restore(store, "best_step");

    best->moving = number_restore(store, "best_moving");
    best->score = isnan(step) ? NAN : number_restore(store, "best_score");
    best->step = best->seen = isnan(best->score) ? -1 : (gint64)step;
}
