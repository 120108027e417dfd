/* log - how the training goes: a record every so many steps, and steps.csv with a row for each.
 *
 * A record "step" has the means since the last one: loss, dice (mean of the classes), dice/NAME
 * for each class but the background; the latest rate and gradient_norm; samples_per_second and
 * seconds_left by the clock; the fill of the queues.  And of each class but the background:
 * recall/NAME; voxels/NAME, the share of voxels that are of it; patches/NAME, the share of
 * patches that hold it; gradient/NAME, its share in the squared norm of d loss / d logits.
 * Dice and recall are those of argmax(logits) against the labels, over all voxels of the
 * packets together.  Of several ranks one records: loss and samples_per_second are those of all
 * (stage allreduce), the rest is of its own share.  steps.csv has no time in it: a run that was
 * stopped and resumed writes the same file as one that was not.
 *
 * With `tensorboard: true` the numbers of these records, as train/loss and so on, and of those
 * of validations, as validate/dice, go to an event file in events/ as well. */
#include "class_log.h"
#include "csv.h"
#include "events.h"

#include <math.h>
#include <string.h>

#define FEWEST_PATCHES 20

typedef struct {
    gint64 every, watch;
    gboolean csv, tensorboard;
    const LoomDataset *dataset; /* NULL: none */
    char *folder;               /* NULL: only checking */
    gboolean resuming;
    gint64 steps;      /* of the run; 0: not known */
    gboolean regions;  /* a channel of the logits is a region of the data set */
    gint64 classes;    /* of the counts, the background first; 0: no logits yet */
    gint64 *voxels;    /* (classes, 3) of the packet in hand: predicted, true, both */
    gint64 *all;       /* the same, since the last record */
    double loss;       /* sum since the last record */
    gint64 n, samples; /* packets and samples since the last record */
    ClassLog fares;
    double rate, norm; /* of the last packet; NaN: it has none */
    gint64 recorded;   /* time of the last record, microseconds; 0: none */
    gint64 begun;      /* time of the first packet, at step `first` */
    gint64 first;
    Csv table;
    Events events;
} Log;

static const LoomParam log_params[] = {
    LOOM_INT(Log, every, "10", 1, 1000000, "steps", "between two records"),
    LOOM_INT(
        Log, watch, "0", 0, 1e12, "patches",
        "without gradient of a class before a warning; 0: the cases that train, at least 20"),
    LOOM_BOOL(Log, csv, "true", "write steps.csv, a row for each step"),
    LOOM_BOOL(Log, tensorboard, "false", "write an event file for TensorBoard too"),
    {0},
};

static const LoomSlot log_reads[] = {
    {"loss", LOOM_F64, "", 0, "of this step"},
    {"rate", LOOM_F64, "", LOOM_SLOT_OPTIONAL, "learning rate of this step"},
    {"gradient_norm", LOOM_F64, "", LOOM_SLOT_OPTIONAL, "before clipping"},
    {"logits", LOOM_F32, "NCDHW", LOOM_SLOT_OPTIONAL, "for the Dice of the training patches"},
    {"label", LOOM_U8, "NDHW", LOOM_SLOT_OPTIONAL, "true class of each voxel"},
    {"class_gradient", LOOM_F32, "K", LOOM_SLOT_OPTIONAL, "its norm over a class's voxels"},
    {0},
};

static gboolean log_open(gpointer self, LoomHost *host, G_GNUC_UNUSED GError **error)
{
    Log *log = self;

    log->dataset = loom_host_dataset(host);
    log->folder = g_strdup(loom_host_folder(host));
    log->resuming = loom_host_resuming(host);
    log->steps = loom_host_steps(host);
    return TRUE;
}

static void log_close(gpointer self)
{
    Log *log = self;

    g_free(log->folder);
    g_free(log->voxels);
    g_free(log->all);
    class_log_close(&log->fares);
    csv_close(&log->table);
    events_close(&log->events);
}

/* "dice/Anterior", or "dice/1" where the data set has no name; (transfer full). */
static char *label_name(const Log *log, const char *what, gint64 k)
{
    const LoomDataset *dataset = log->dataset;

    return dataset && k < dataset->n_labels
               ? g_strdup_printf("%s/%s", what, dataset->label_names[k])
               : g_strdup_printf("%s/%" G_GINT64_FORMAT, what, k);
}

/* The same for what is counted: a class, or a region. */
static char *name_of(const Log *log, const char *what, gint64 k)
{
    return log->regions ? g_strdup_printf("%s/%s", what, log->dataset->regions[k - 1].name)
                        : label_name(log, what, k);
}

/* An epoch, but no fewer patches than can tell a rare class from a lost one. */
static gint64 watch_of(const Log *log)
{
    guint n = 0;

    if (log->dataset)
        g_free(loom_dataset_split(log->dataset, LOOM_SPLIT_TRAIN, &n));
    return log->watch ? log->watch : MAX(n, FEWEST_PATCHES);
}

/* With the first packet, since the columns depend on the number of classes. */
static void log_begin(Log *log, const LoomContext *ctx, const LoomTensor *logits, gint64 step)
{
    g_autoptr(GString) header = g_string_new("step,loss,rate,gradient_norm");

    if (log->begun)
        return;
    log->begun = g_get_monotonic_time();
    log->recorded = log->begun;
    log->first = step;
    log->classes = logits ? loom_tensor_size(logits, 'C') + (log->regions ? 1 : 0) : 0;
    log->voxels = g_new0(gint64, 3 * (gsize)log->classes);
    log->all = g_new0(gint64, 3 * (gsize)log->classes);
    class_log_open(&log->fares, log->dataset,
                   log->classes && log->regions ? log->dataset->n_labels : log->classes,
                   watch_of(log));
    for (gint64 k = 1; k < log->classes; k++) {
        g_autofree char *name = name_of(log, "dice", k);

        csv_text(header, name);
    }
    g_string_append_c(header, '\n');
    csv_open(&log->table, log->csv ? log->folder : NULL, "steps.csv", header->str,
             log->resuming);
    events_open(&log->events, log->tensorboard ? log->folder : NULL);
    if (log->resuming)
        events_pass(&log->events, ctx);
}

/* Voxels whose label is no class count nowhere: the loss leaves them out, or refused them. */
static void count_classes(Log *log, const float *x, const guint8 *truth, gint64 voxels)
{
    const gint64 classes = log->classes;

    for (gint64 v = 0; v < voxels; v++) {
        gint64 best = 0;

        if (truth[v] >= classes)
            continue;
        for (gint64 k = 1; k < classes; k++)
            if (x[k * voxels + v] > x[best * voxels + v])
                best = k;
        log->voxels[3 * best]++;
        log->voxels[3 * truth[v] + 1]++;
        log->voxels[3 * best + 2] += truth[v] == best;
    }
}

/* A logit above 0 is a probability above one half.  Row 0 has the voxels that count. */
static void count_regions(Log *log, const float *x, const guint8 *truth, gint64 voxels)
{
    for (gint64 v = 0; v < voxels; v++)
        log->voxels[1] += truth[v] != LOOM_IGNORED;
    for (gint64 r = 1; r < log->classes; r++, x += voxels) {
        const guint8 *holds = log->dataset->regions[r - 1].holds;

        for (gint64 v = 0; v < voxels; v++) {
            if (truth[v] == LOOM_IGNORED)
                continue;
            log->voxels[3 * r] += x[v] > 0;
            log->voxels[3 * r + 1] += holds[truth[v]];
            log->voxels[3 * r + 2] += x[v] > 0 && holds[truth[v]];
        }
    }
}

/* Fills log->voxels. */
static void count_voxels(Log *log, const LoomTensor *logits, const LoomTensor *label)
{
    const gint64 channels = loom_tensor_size(logits, 'C');
    const gint64 voxels = loom_tensor_count_from(logits, 'D');

    memset(log->voxels, 0, 3 * (gsize)log->classes * sizeof *log->voxels);
    for (gint64 n = 0; n < loom_tensor_size(logits, 'N'); n++)
        (log->regions ? count_regions
                      : count_classes)(log, loom_tensor_f32(logits) + n * channels * voxels,
                                       loom_tensor_u8(label) + n * voxels, voxels);
    for (gint64 i = 0; i < 3 * log->classes; i++)
        log->all[i] += log->voxels[i];
}

/* @counts: predicted, true, both.  NaN: the class is in neither. */
static double dice_of(const gint64 counts[3])
{
    return counts[0] + counts[1] ? 2.0 * (double)counts[2] / (double)(counts[0] + counts[1])
                                 : NAN;
}

static double scalar_of(const LoomPacket *packet, const char *slot)
{
    const LoomTensor *tensor = loom_packet_get(packet, slot);

    return tensor ? loom_tensor_scalar(tensor) : NAN;
}

static gboolean log_row(Log *log, const LoomContext *ctx, double loss, gint64 step,
                        GError **error)
{
    g_autoptr(GString) row = g_string_new(NULL);

    g_string_append_printf(row, "%" G_GINT64_FORMAT, step);
    csv_number(row, loss);
    csv_number(row, log->rate);
    csv_number(row, log->norm);
    for (gint64 k = 1; k < log->classes; k++)
        csv_number(row, dice_of(log->voxels + 3 * k));
    g_string_append_c(row, '\n');
    return csv_append(&log->table, ctx, step, row->str, error);
}

static void field_add(GArray *fields, GPtrArray *texts, const char *name, double value,
                      char *text)
{
    const LoomField field = {g_intern_string(name), value, text};

    if (text)
        g_ptr_array_add(texts, text);
    if (text || !isnan(value)) /* NaN: a slot that is not there, a class in neither */
        g_array_append_val(fields, field);
}

static void dice_add(const Log *log, GArray *fields)
{
    double sum = 0;
    gint64 n = 0;

    for (gint64 k = 1; k < log->classes; k++) {
        const double dice = dice_of(log->all + 3 * k);

        sum += isnan(dice) ? 0 : dice;
        n += !isnan(dice);
    }
    field_add(fields, NULL, "dice", n ? sum / (double)n : NAN, NULL);
    for (gint64 k = 1; k < log->classes; k++) {
        g_autofree char *name = name_of(log, "dice", k);

        field_add(fields, NULL, name, dice_of(log->all + 3 * k), NULL);
    }
}

/* What the terminal leaves to log.jsonl. */
static void fares_add(const Log *log, GArray *fields)
{
    gint64 voxels = 0;

    for (gint64 k = 0; k < (log->regions ? 1 : log->classes); k++) /* regions overlap */
        voxels += log->all[3 * k + 1];
    for (gint64 k = 1; k < log->classes; k++) {
        const gint64 *counts = log->all + 3 * k; /* predicted, true, both */
        g_autofree char *recall = name_of(log, "recall", k);
        g_autofree char *share = name_of(log, "voxels", k);

        field_add(fields, NULL, recall, counts[1] ? (double)counts[2] / (double)counts[1] : NAN,
                  NULL);
        field_add(fields, NULL, share, voxels ? (double)counts[1] / (double)voxels : NAN, NULL);
    }
    for (gint64 k = 1; k < log->fares.classes; k++) {
        g_autofree char *patches = label_name(log, "patches", k);
        g_autofree char *gradient = label_name(log, "gradient", k);

        field_add(fields, NULL, patches, class_log_patches(&log->fares, k), NULL);
        field_add(fields, NULL, gradient, class_log_gradient(&log->fares, k), NULL);
    }
}

/* How fast it goes, from the end of the first packet on. */
static void speed_add(Log *log, GArray *fields, gint64 step)
{
    const gint64 now = g_get_monotonic_time(); /* microseconds */
    const double seconds = (double)MAX(now - log->recorded, 1) * 1e-6;
    const gint64 done = step - log->first;

    if (log->samples)
        field_add(fields, NULL, "samples_per_second", (double)log->samples / seconds, NULL);
    if (log->steps && done > 0)
        field_add(fields, NULL, "seconds_left",
                  (double)(now - log->begun) * 1e-6 / (double)done
                      * (double)(log->steps - step),
                  NULL);
    log->recorded = now;
}

static gboolean log_record(Log *log, LoomContext *ctx, gint64 step, GError **error)
{
    g_autoptr(GArray) fields = g_array_new(FALSE, FALSE, sizeof(LoomField));
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);

    field_add(fields, texts, "loss", log->loss / (double)log->n, NULL);
    dice_add(log, fields);
    fares_add(log, fields);
    field_add(fields, texts, "rate", log->rate, NULL);
    field_add(fields, texts, "gradient_norm", log->norm, NULL);
    speed_add(log, fields, step);
    field_add(fields, texts, "queues", 0, loom_context_queues(ctx));
    loom_context_record(ctx, "step", &g_array_index(fields, LoomField, 0), fields->len);
    log->loss = 0;
    log->n = log->samples = 0;
    class_log_reset(&log->fares);
    if (log->classes)
        memset(log->all, 0, 3 * (gsize)log->classes * sizeof *log->all);
    return events_write(&log->events, ctx, "train", step, &g_array_index(fields, LoomField, 0),
                        fields->len, error);
}

static gboolean log_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    Log *log = self;
    const LoomTensor *label = loom_packet_get(packet, "label");
    const LoomTensor *logits = label ? loom_packet_get(packet, "logits") : NULL;
    const double loss = scalar_of(packet, "loss");
    const gint64 step = loom_context_step(ctx);

    log_begin(log, ctx, logits, step);
    events_step(&log->events, ctx, step);
    if (!events_metrics(&log->events, ctx, error))
        return FALSE;
    if (logits) {
        count_voxels(log, logits, label);
        class_log_take(&log->fares, label, loom_packet_get(packet, "class_gradient"));
    }
    log->loss += loss;
    log->n++;
    if (step > log->first) /* the clock began to run at the end of the first packet */
        log->samples += (label ? loom_tensor_size(label, 'N') : 1) * loom_context_ranks(ctx);
    log->rate = scalar_of(packet, "rate");
    log->norm = scalar_of(packet, "gradient_norm");
    if (!log_row(log, ctx, loss, step, error))
        return FALSE;
    return step % log->every || log_record(log, ctx, step, error);
}

/* What has gathered since the last record. */
static gboolean log_finish(gpointer self, LoomContext *ctx, GError **error)
{
    Log *log = self;

    if (log->n && !log_record(log, ctx, loom_context_step(ctx), error))
        return FALSE;
    return events_metrics(&log->events, ctx, error);
}

static gboolean log_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    ((Log *)self)->regions = plan->regions;
    return TRUE;
}

static const LoomStage log_stage = {
    .base = LOOM_STAGE(Log, "log", "Record how the training goes", .params = log_params,
                       .open = log_open, .close = log_close),
    .reads = log_reads,
    .map = log_map,
    .finish = log_finish,
    .plan = log_plan,
};
LOOM_MODULE("stage_log", "0.1", &log_stage.base);
