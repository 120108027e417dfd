/* bench_resample - segloom bench resample: how long does a case take onto other voxels?  One
 * channel of noise, and a label map of balls, by what the stage `resample` calls. */
#include "bench_line.h"
#include "cmd_bench.h"
#include "command.h"

#include <loom/resample.h>
#include <loom/tensor.h>

static gint classes_option = 4, order_option = 3, threads_option, repeat_option = 5;
static char *size_option, *to_option;
static gboolean json_option;

static const GOptionEntry options[] = {
    {"size", 0, 0, G_OPTION_ARG_STRING, &size_option, "Of the case, 155,240,240 by default",
     "D,H,W"},
    {"to", 0, 0, G_OPTION_ARG_STRING, &to_option, "Of the result, 194,300,300 by default",
     "D,H,W"},
    {"order", 0, 0, G_OPTION_ARG_INT, &order_option,
     "Of the image: 3 (default) cubic splines, 1 linear", "N"},
    {"classes", 0, 0, G_OPTION_ARG_INT, &classes_option, "Of the labels, 4 by default", "N"},
    {"threads", 0, 0, G_OPTION_ARG_INT, &threads_option, "All processors by default", "N"},
    {"repeat", 0, 0, G_OPTION_ARG_INT, &repeat_option, "Rounds, 5 by default", "N"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One object a line", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .summary = "Times an image channel and a label map onto a grid of other voxels.",
    .example = "segloom bench resample --size 155,240,240 --to 194,300,300 --threads 2 --json",
    .options = options,
};

/* What is resampled, and where to. */
typedef struct {
    LoomResampleAxis *image_axes[3], *label_axes[3];
    LoomTensor *image, *label, *image_to, *label_to;
    LoomPool *pool;
    GArray *seconds[2]; /* image, label */
} Case;

static void case_clear(Case *one)
{
    for (guint i = 0; i < 3; i++) {
        loom_resample_axis_free(one->image_axes[i]);
        loom_resample_axis_free(one->label_axes[i]);
    }
    loom_tensor_unref(one->image);
    loom_tensor_unref(one->label);
    loom_tensor_unref(one->image_to);
    loom_tensor_unref(one->label_to);
    loom_pool_free(one->pool);
    for (guint i = 0; i < 2; i++)
        if (one->seconds[i])
            g_array_unref(one->seconds[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Case, case_clear)

/* Balls in a row along the diagonal, a class each. */
static guint8 ball_at(const gint64 *size, gint64 d, gint64 h, gint64 w)
{
    const double at[3] = {(double)d / (double)size[0], (double)h / (double)size[1],
                          (double)w / (double)size[2]};

    for (gint k = 1; k < classes_option; k++) {
        double apart = 0;

        for (guint i = 0; i < 3; i++)
            apart +=
                (at[i] - (double)k / classes_option) * (at[i] - (double)k / classes_option);
        if (apart < 0.25 / (classes_option * classes_option))
            return (guint8)k;
    }
    return 0;
}

static void case_fill(Case *one, const gint64 *size)
{
    float *x = loom_tensor_f32_mut(one->image);
    guint8 *label = loom_tensor_u8_mut(one->label);
    LoomRng rng = loom_rng(1, "image", 0);
    gint64 v = 0;

    for (gint64 d = 0; d < size[0]; d++)
        for (gint64 h = 0; h < size[1]; h++)
            for (gint64 w = 0; w < size[2]; w++, v++) {
                label[v] = ball_at(size, d, h, w);
                x[v] = (float)(loom_rng_uniform(&rng, -1, 1) + label[v]);
            }
}

static gboolean case_make(Case *one, const gint64 *size, const gint64 *to, GError **error)
{
    if (!(one->image = loom_tensor_new(LOOM_F32, "DHW", size, error))
        || !(one->label = loom_tensor_new(LOOM_U8, "DHW", size, error))
        || !(one->image_to = loom_tensor_new(LOOM_F32, "DHW", to, error))
        || !(one->label_to = loom_tensor_new(LOOM_U8, "DHW", to, error)))
        return FALSE;
    case_fill(one, size);
    for (guint i = 0; i < 3; i++) {
        one->image_axes[i] = loom_resample_axis_new(size[i], to[i], (guint)order_option);
        one->label_axes[i] = loom_resample_axis_new(size[i], to[i], 1);
    }
    one->pool = loom_pool_new((guint)threads_option);
    for (guint i = 0; i < 2; i++)
        one->seconds[i] = g_array_new(FALSE, FALSE, sizeof(double));
    return TRUE;
}

/* As the stage does it, and nnU-Net: splines are clipped. */
static gboolean image_measure(const Case *one, GError **error)
{
    const float *from = loom_tensor_f32(one->image);
    float *to = loom_tensor_f32_mut(one->image_to);

    return loom_resample_volume(one->image_axes, from, to, one->pool, error)
           && (order_option != 3
               || loom_resample_clip(one->image_axes, 3, from, to, one->pool, error));
}

static gboolean case_measure(Case *one, GError **error)
{
    for (gint i = -1; i < repeat_option; i++) { /* the first round touches the memory */
        const gint64 begin = g_get_monotonic_time();

        if (!image_measure(one, error))
            return FALSE;
        const gint64 between = g_get_monotonic_time();
        loom_resample_labels(one->label_axes, loom_tensor_u8(one->label),
                             loom_tensor_u8_mut(one->label_to), one->pool);
        const double seconds[2] = {(double)(between - begin) / G_USEC_PER_SEC,
                                   (double)(g_get_monotonic_time() - between) / G_USEC_PER_SEC};
        for (guint k = 0; i >= 0 && k < 2; k++)
            g_array_append_val(one->seconds[k], seconds[k]);
    }
    return TRUE;
}

static void result_print(const Case *one, const GArray *size, const GArray *to)
{
    static const char *const what[2] = {"image", "label"};

    for (guint k = 0; k < 2; k++) {
        const double median = bench_median(one->seconds[k]);
        const double least = bench_least(one->seconds[k]);

        if (!json_option) {
            g_print("%-6s %10.3f ms (least %.3f)\n", what[k], median * 1e3, least * 1e3);
            continue;
        }
        JsonBuilder *line = bench_line_new("resample");
        bench_line_text(line, "what", what[k]);
        bench_line_sizes(line, "size", size);
        bench_line_sizes(line, "to", to);
        bench_line_integer(line, "order", k ? 1 : order_option);
        bench_line_integer(line, "classes", classes_option);
        bench_line_integer(line, "threads", loom_pool_threads(one->pool));
        bench_line_end(line, median, least);
    }
    if (!json_option)
        g_print("memory at most %.0f MiB\n", bench_peak_mib());
}

static gboolean options_check(GArray *size, GArray *to, GError **error)
{
    if (order_option != 1 && order_option != 3)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--order: %d, want 1 or 3", order_option);
    return bench_sizes(size, "--size", size_option ? size_option : "155,240,240", 3, 3, 4096,
                       error)
           && bench_sizes(to, "--to", to_option ? to_option : "194,300,300", 3, 3, 4096, error)
           && bench_count("--classes", classes_option, 255, error)
           && bench_count("--repeat", repeat_option, 100000, error)
           && (!threads_option || bench_count("--threads", threads_option, 1024, error));
}

int bench_resample(int argc, char **argv)
{
    g_autoptr(GArray) size = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GArray) to = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_auto(CommandLine) line = {0};
    g_auto(Case) one = {0};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (!options_check(size, to, &error))
        return command_fail(COMMAND_WRONG, error);
    if (!case_make(&one, (const gint64 *)(gpointer)size->data,
                   (const gint64 *)(gpointer)to->data, &error)
        || !case_measure(&one, &error))
        return command_fail(COMMAND_FAILED, error);
    result_print(&one, size, to);
    return COMMAND_DONE;
}
