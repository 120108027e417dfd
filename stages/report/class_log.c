/* class_log - how each class fares in training: the share of the patches that hold it, and its
 * share g_k^2 / sum_j g_j^2 in the gradient, g_k being its norm over the voxels of class k. */
#define G_LOG_DOMAIN "loom-log"
#include "class_log.h"

#include <math.h>
#include <string.h>

void class_log_open(ClassLog *log, const LoomDataset *dataset, gint64 classes, gint64 watch)
{
    log->dataset = dataset;
    log->classes = classes;
    log->watch = watch;
    log->held = g_new0(gint64, (gsize)classes);
    log->squares = g_new0(double, (gsize)classes);
    log->drought = g_new0(gint64, (gsize)classes);
}

void class_log_close(ClassLog *log)
{
    g_free(log->held);
    g_free(log->squares);
    g_free(log->drought);
}

void class_log_reset(ClassLog *log)
{
    log->patches = 0;
    log->measured = FALSE;
    for (gint64 k = 0; k < log->classes; k++) {
        log->held[k] = 0;
        log->squares[k] = 0;
    }
}

static void held_count(ClassLog *log, const guint8 *label, gint64 voxels)
{
    gboolean there[256] = {FALSE};

    for (gint64 v = 0; v < voxels; v++)
        there[label[v]] = TRUE;
    for (gint64 k = 0; k < log->classes; k++)
        log->held[k] += there[k];
}

static void drought_warn(const ClassLog *log, gint64 k)
{
    const LoomDataset *dataset = log->dataset;
    const char *name = dataset && k < dataset->n_labels ? dataset->label_names[k] : NULL;

    g_warning("class %d%s%s%s had no gradient in the last %" G_GINT64_FORMAT " patches", (int)k,
              name ? " (" : "", name ? name : "", name ? ")" : "", log->drought[k]);
}

static void gradient_take(ClassLog *log, const LoomTensor *gradient, gint64 samples)
{
    const float *norms = loom_tensor_f32(gradient);

    log->measured = TRUE;
    for (gint64 k = 0; k < log->classes; k++) {
        const gint64 before = log->drought[k];

        log->squares[k] += (double)norms[k] * (double)norms[k];
        log->drought[k] = norms[k] > 0 ? 0 : before + samples;
        if (before < log->watch && log->drought[k] >= log->watch)
            drought_warn(log, k);
    }
}

void class_log_take(ClassLog *log, const LoomTensor *label, const LoomTensor *gradient)
{
    const gint64 samples = loom_tensor_size(label, 'N');
    const gint64 voxels = loom_tensor_count_from(label, 'D');

    for (gint64 n = 0; n < samples; n++)
        held_count(log, loom_tensor_u8(label) + n * voxels, voxels);
    log->patches += samples;
    if (gradient)
        gradient_take(log, gradient, samples);
}

double class_log_patches(const ClassLog *log, gint64 k)
{
    return log->patches ? (double)log->held[k] / (double)log->patches : NAN;
}

double class_log_gradient(const ClassLog *log, gint64 k)
{
    double sum = 0;

    for (gint64 j = 0; j < log->classes; j++)
        sum += log->squares[j];
    return log->measured && sum > 0 ? log->squares[k] / sum : NAN;
}
