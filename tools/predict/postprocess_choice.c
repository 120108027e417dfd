/* postprocess_choice - see postprocess_choice.h.  Three passes over the cases, so that no more
 * than one of them is in memory. */
#include "postprocess_choice.h"

#include <loom/morphology.h>

#include <math.h>
#include <string.h>

static const double small_mm3[] = {10, 30, 100, 300, 1000, 3000};
#define N_SMALL G_N_ELEMENTS(small_mm3)

/* Means over the cases of each class; Dice is undefined where both are empty. */
typedef struct {
    double sum[256];
    guint n[256];
} Score;

/* One case in memory. */
typedef struct {
    LoomTensor *truth, *prediction, *changed; /* changed: room for a candidate */
    double voxel_mm3;
} Pair;

static void pair_clear(Pair *pair)
{
    g_clear_pointer(&pair->truth, loom_tensor_unref);
    g_clear_pointer(&pair->prediction, loom_tensor_unref);
    g_clear_pointer(&pair->changed, loom_tensor_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pair, pair_clear)

typedef struct {
    guint n_labels;
    LoomPool *pool;
    PostprocessChoice *choice; /* so far */
    Score before, after[256];  /* after: by candidate of this pass */
} Search;

static void score_add(const Search *search, Score *score, const Pair *pair,
                      const LoomTensor *prediction)
{
    const guint8 *t = loom_tensor_u8(pair->truth), *p = loom_tensor_u8(prediction);
    const gint64 voxels = loom_tensor_count(prediction);
    gint64 both[256] = {0}, sizes[256] = {0};

    for (gint64 v = 0; v < voxels; v++) {
        if (t[v] == LOOM_IGNORED)
            continue;
        sizes[t[v]]++;
        sizes[p[v]]++;
        both[t[v]] += t[v] == p[v];
    }
    for (guint k = 1; k < search->n_labels; k++)
        if (sizes[k] > 0) {
            score->sum[k] += 2.0 * (double)both[k] / (double)sizes[k];
            score->n[k]++;
        }
}

static double class_mean(const Score *score, guint k)
{
    return score->n[k] ? score->sum[k] / score->n[k] : NAN;
}

static double score_mean(const Search *search, const Score *score)
{
    double sum = 0;
    guint n = 0;

    for (guint k = 1; k < search->n_labels; k++)
        if (score->n[k]) {
            sum += class_mean(score, k);
            n++;
        }
    return n ? sum / n : NAN;
}

/* The mean rises and no class falls; what became undefined did not fall. */
static gboolean better(const Search *search, const Score *after)
{
    for (guint k = 1; k < search->n_labels; k++)
        if (class_mean(after, k) < class_mean(&search->before, k))
            return FALSE;
    return score_mean(search, after) > score_mean(search, &search->before);
}

/* ---- candidates --------------------------------------------------------------------- */

static gboolean clean(const Search *search, LoomTensor *label, const gboolean of[256],
                      gboolean largest, gint64 least, GError **error)
{
    return loom_parts_clean(loom_tensor_u8_mut(label), loom_tensor_shape(label), of, largest,
                            least, POSTPROCESS_NEIGHBOURS, search->pool, error)
           >= 0;
}

static gboolean foreground_clean(const Search *search, LoomTensor *label, GError **error)
{
    gboolean of[256];

    for (guint k = 0; k < 256; k++)
        of[k] = k > 0;
    return clean(search, label, of, TRUE, 0, error);
}

static gboolean class_clean(const Search *search, LoomTensor *label, guint k, gboolean largest,
                            gint64 least, GError **error)
{
    gboolean of[256] = {FALSE};

    of[k] = TRUE;
    return clean(search, label, of, largest, least, error);
}

static gboolean small_clean(const Search *search, LoomTensor *label, double mm3,
                            double voxel_mm3, GError **error)
{
    const gint64 least = (gint64)ceil(mm3 / voxel_mm3 * (1 - 1e-9)); /* as the stage has it */

    for (guint k = 1; k < search->n_labels; k++)
        if (!class_clean(search, label, k, FALSE, least, error))
            return FALSE;
    return TRUE;
}

/* What has been chosen so far. */
static gboolean choice_apply(const Search *search, LoomTensor *label, double voxel_mm3,
                             GError **error)
{
    const PostprocessChoice *choice = search->choice;

    if (choice->foreground && !foreground_clean(search, label, error))
        return FALSE;
    for (guint k = 1; k < search->n_labels; k++)
        if (choice->largest[k] && !class_clean(search, label, k, TRUE, 0, error))
            return FALSE;
    return choice->small_mm3 <= 0
           || small_clean(search, label, choice->small_mm3, voxel_mm3, error);
}

/* Candidate @which of a pass changes @pair's `changed`. */
typedef gboolean (*Candidate)(const Search *search, guint which, const Pair *pair,
                              GError **error);

static gboolean try_foreground(const Search *search, G_GNUC_UNUSED guint which,
                               const Pair *pair, GError **error)
{
    return foreground_clean(search, pair->changed, error);
}

static gboolean try_class(const Search *search, guint which, const Pair *pair, GError **error)
{
    return class_clean(search, pair->changed, 1 + which, TRUE, 0, error);
}

static gboolean try_small(const Search *search, guint which, const Pair *pair, GError **error)
{
    return small_clean(search, pair->changed, small_mm3[which], pair->voxel_mm3, error);
}

/* ---- cases -------------------------------------------------------------------------- */

static gboolean pair_read(const Search *search, const PostprocessCase *one, Pair *pair,
                          GError **error)
{
    LoomGeometry a, b;

    pair->truth = one->dataset
                      ? loom_dataset_read_label(one->dataset, one->one, NULL, &a, error)
                      : loom_volume_read_labels(one->truth, 0, &a, error);
    pair->prediction =
        pair->truth ? loom_volume_read_labels(one->prediction, 0, &b, error) : NULL;
    if (!pair->prediction
        || (one->dataset
            && !loom_dataset_map_label(one->dataset, pair->prediction, one->prediction, error))
        || !loom_geometry_check(&a, one->truth, &b, one->prediction, LOOM_GRID_TOLERANCE, error)
        || !(pair->changed = loom_tensor_new_like(pair->prediction, error)))
        return FALSE;
    pair->voxel_mm3 = a.spacing_mm[0] * a.spacing_mm[1] * a.spacing_mm[2];
    return choice_apply(search, pair->prediction, pair->voxel_mm3, error);
}

static gboolean pair_try(Search *search, const Pair *pair, Candidate candidate, guint n,
                         GError **error)
{
    score_add(search, &search->before, pair, pair->prediction);
    for (guint i = 0; i < n; i++) {
        memcpy(loom_tensor_u8_mut(pair->changed), loom_tensor_u8(pair->prediction),
               loom_tensor_bytes(pair->changed));
        if (!candidate(search, i, pair, error))
            return FALSE;
        score_add(search, &search->after[i], pair, pair->changed);
    }
    return TRUE;
}

/* All cases through @n candidates. */
static gboolean pass(Search *search, const GPtrArray *cases, Candidate candidate, guint n,
                     void (*said)(const char *id), GError **error)
{
    memset(&search->before, 0, sizeof search->before);
    memset(search->after, 0, sizeof search->after);
    for (guint i = 0; i < cases->len; i++) {
        const PostprocessCase *one = cases->pdata[i];
        g_auto(Pair) pair = {0};

        said(one->id);
        if (!pair_read(search, one, &pair, error)
            || !pair_try(search, &pair, candidate, n, error)) {
            g_prefix_error(error, "case '%s': ", one->id);
            return FALSE;
        }
    }
    return TRUE;
}

/* ---- choosing ----------------------------------------------------------------------- */

static void trial_free(gpointer data)
{
    PostprocessTrial *trial = data;

    g_free(trial->name);
    g_free(trial);
}

/* @name: (transfer full). */
static void trial_add(const Search *search, GPtrArray *trials, char *name, const Score *after,
                      gboolean kept)
{
    PostprocessTrial *trial = g_new0(PostprocessTrial, 1);

    *trial = (PostprocessTrial){name, score_mean(search, &search->before),
                                score_mean(search, after), kept};
    g_ptr_array_add(trials, trial);
}

/* Classes do not touch each other's voxels, so each is decided by itself. */
static void classes_decide(Search *search, char *const *labels, GPtrArray *trials)
{
    for (guint k = 1; k < search->n_labels; k++) {
        search->choice->largest[k] = better(search, &search->after[k - 1]);
        trial_add(search, trials, g_strdup_printf("largest component of '%s'", labels[k]),
                  &search->after[k - 1], search->choice->largest[k]);
    }
}

static void small_decide(Search *search, GPtrArray *trials)
{
    guint best = 0;

    for (guint i = 1; i < N_SMALL; i++)
        if (score_mean(search, &search->after[i]) > score_mean(search, &search->after[best])
            && better(search, &search->after[i]))
            best = i;
    const gboolean kept = better(search, &search->after[best]);
    search->choice->small_mm3 = kept ? small_mm3[best] : 0;
    trial_add(search, trials, g_strdup_printf("no component below %g mm3", small_mm3[best]),
              &search->after[best], kept);
}

GPtrArray *postprocess_choose(const GPtrArray *cases, char *const *labels, guint n_labels,
                              LoomPool *pool, PostprocessChoice *choice,
                              void (*said)(const char *id), GError **error)
{
    g_autofree Search *search = g_new0(Search, 1);
    g_autoptr(GPtrArray) trials = g_ptr_array_new_with_free_func(trial_free);

    *search = (Search){.n_labels = n_labels, .pool = pool, .choice = choice};
    memset(choice, 0, sizeof *choice);
    if (!pass(search, cases, try_foreground, 1, said, error))
        return NULL;
    choice->foreground = better(search, &search->after[0]);
    trial_add(search, trials, g_strdup("largest component of the foreground"),
              &search->after[0], choice->foreground);
    if (!pass(search, cases, try_class, n_labels - 1, said, error))
        return NULL;
    classes_decide(search, labels, trials);
    if (!pass(search, cases, try_small, N_SMALL, said, error))
        return NULL;
    small_decide(search, trials);
    return g_steal_pointer(&trials);
}
