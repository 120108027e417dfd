/* bench_conv - segloom bench conv: how fast are the three kernels of a 3x3x3 convolution, and
 * how near to what the machine can do?
 *
 * A backend has one call for both gradients.  Asked for no gradient of the input it computes
 * that of the weights; the gradient of the data is what the full call takes longer, each pair
 * of calls one after the other. */
#include "bench_flops.h"
#include "bench_line.h"
#include "cmd_bench.h"
#include "command.h"
#include "plugin_open.h"

#include <loom/tensor.h>

#include <math.h>
#include <string.h>

#define TAPS 27

static gint batch_option = 2, stride_option = 1, threads_option, repeat_option = 10;
static char *channels_option, *size_option, *backend_option;
static char **set_option;
static gboolean json_option;

static const GOptionEntry options[] = {
    {"channels", 0, 0, G_OPTION_ARG_STRING, &channels_option, "In and out, 32,32 by default",
     "I,O"},
    {"size", 0, 0, G_OPTION_ARG_STRING, &size_option, "Of the input, 64 by default",
     "S or D,H,W"},
    {"batch", 0, 0, G_OPTION_ARG_INT, &batch_option, "Samples, 2 by default", "N"},
    {"stride", 0, 0, G_OPTION_ARG_INT, &stride_option, "1 (default) or 2", "N"},
    {"backend", 0, 0, G_OPTION_ARG_STRING, &backend_option, "cpu by default", "NAME"},
    {"threads", 0, 0, G_OPTION_ARG_INT, &threads_option, "All processors by default", "N"},
    {"repeat", 0, 0, G_OPTION_ARG_INT, &repeat_option, "Rounds, 10 by default", "N"},
    {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set_option,
     "As of a config, such as backend.plan=fixed", "a.b=V"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One object a line", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .summary = "Times forward, data gradient and weight gradient of a 3x3x3 convolution.\n"
               "GFLOP/s as if direct, so that Winograd's share of the peak may be above 100 %.",
    .example = "segloom bench conv --channels 32,32 --size 64 --threads 2 --json",
    .options = options,
    .flags = COMMAND_MODULES,
};

enum { FORWARD, WEIGHT_GRADIENT, BACKWARD, DATA_GRADIENT, KERNELS };
static const char *const kernel_names[KERNELS] = {"forward", "weight_gradient", "backward",
                                                  "data_gradient"};

/* What is convolved, and the memory for it. */
typedef struct {
    const LoomInstance *instance;
    const LoomBackend *backend;
    LoomBlockSpec spec;
    LoomBlock *block;
    LoomMap *x, *y, *dx, *dy;
    LoomTensor *image, *slope; /* what x and dy start as */
    LoomBlockWeights w, dw;
    float *kernel;
    GArray *seconds[KERNELS];
} Conv;

/* ---- memory ------------------------------------------------------------------------- */

static void conv_clear(Conv *conv)
{
    LoomMap *const maps[] = {conv->x, conv->y, conv->dx, conv->dy};
    LoomArray *const arrays[] = {conv->w.kernel, conv->w.bias, conv->dw.kernel, conv->dw.bias};
    const LoomBackend *backend = conv->backend;

    for (guint i = 0; i < G_N_ELEMENTS(maps); i++) {
        if (maps[i])
            backend->map_free(conv->instance->self, maps[i]);
        if (arrays[i])
            backend->array_free(conv->instance->self, arrays[i]);
    }
    if (conv->block)
        backend->block_free(conv->instance->self, conv->block);
    g_clear_pointer(&conv->image, loom_tensor_unref);
    g_clear_pointer(&conv->slope, loom_tensor_unref);
    g_free(conv->kernel);
    for (guint i = 0; i < KERNELS; i++)
        g_array_unref(conv->seconds[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Conv, conv_clear)

static void fill(float *x, gint64 n, const char *stream)
{
    LoomRng rng = loom_rng(1, stream, 0);

    for (gint64 i = 0; i < n; i++)
        x[i] = (float)loom_rng_uniform(&rng, -1, 1);
}

static LoomTensor *tensor_random(const gint64 shape[5], const char *stream, GError **error)
{
    LoomTensor *tensor = loom_tensor_new(LOOM_F32, "NCDHW", shape, error);

    if (tensor)
        fill(loom_tensor_f32_mut(tensor), loom_tensor_count(tensor), stream);
    return tensor;
}

static gboolean conv_allocate(Conv *conv, GError **error)
{
    const LoomBlockSpec *s = &conv->spec;
    const gint64 x[5] = {s->n, s->c_in[0], s->in[0], s->in[1], s->in[2]};
    const gint64 y[5] = {s->n, s->c_out, s->out[0], s->out[1], s->out[2]};
    const gint64 weights = s->c_out * s->c_in[0] * TAPS;
    const LoomBackend *b = conv->backend;
    gpointer self = conv->instance->self;

    if (!(conv->image = tensor_random(x, "image", error))
        || !(conv->slope = tensor_random(y, "slope", error))
        || !(conv->x = b->map_new(self, x, error)) || !(conv->dx = b->map_new(self, x, error))
        || !(conv->y = b->map_new(self, y, error)) || !(conv->dy = b->map_new(self, y, error))
        || !(conv->w.kernel = b->array_new(self, weights, error))
        || !(conv->w.bias = b->array_new(self, s->c_out, error))
        || !(conv->dw.kernel = b->array_new(self, weights, error))
        || !(conv->dw.bias = b->array_new(self, s->c_out, error))
        || !(conv->block = b->block_new(self, s, error)))
        return FALSE;
    conv->kernel = g_new(float, (gsize)weights);
    fill(conv->kernel, weights, "kernel");
    b->map_import(self, conv->image, conv->x);
    return TRUE;
}

/* ---- time --------------------------------------------------------------------------- */

static double seconds_since(gint64 *then)
{
    const gint64 now = g_get_monotonic_time();
    const double seconds = (double)(now - *then) / G_USEC_PER_SEC;

    *then = now;
    return seconds;
}

/* One call each, in turn.  The kernel is written anew, as a step of training does: what a
 * backend makes of the weights once a step is in the time. */
static void conv_round(Conv *conv, double seconds[KERNELS])
{
    const LoomBackend *b = conv->backend;
    gpointer self = conv->instance->self;
    const LoomMap *const x[2] = {conv->x, NULL};
    const LoomBlockGradient none[2] = {{0}}, wanted[2] = {{.map = conv->dx}};
    gint64 then;

    b->array_write(self, conv->w.kernel, conv->kernel);
    then = g_get_monotonic_time();
    b->forward(self, conv->block, x, &conv->w, conv->y);
    seconds[FORWARD] = seconds_since(&then);
    b->map_import(self, conv->slope, conv->dy);
    then = g_get_monotonic_time();
    b->backward(self, conv->block, x, &conv->w, conv->y, conv->dy, none, &conv->dw);
    seconds[WEIGHT_GRADIENT] = seconds_since(&then);
    b->map_import(self, conv->slope, conv->dy);
    then = g_get_monotonic_time();
    b->backward(self, conv->block, x, &conv->w, conv->y, conv->dy, wanted, &conv->dw);
    seconds[BACKWARD] = seconds_since(&then);
    seconds[DATA_GRADIENT] = seconds[BACKWARD] - seconds[WEIGHT_GRADIENT];
}

static void conv_measure(Conv *conv, gint repeat)
{
    double seconds[KERNELS];

    conv_round(conv, seconds); /* caches are cold, pages not there yet */
    for (gint i = 0; i < repeat; i++) {
        conv_round(conv, seconds);
        for (guint k = 0; k < KERNELS; k++)
            g_array_append_val(conv->seconds[k], seconds[k]);
    }
}

/* ---- result ------------------------------------------------------------------------- */

static double gflops(const Conv *conv, guint kernel, double seconds)
{
    const LoomBlockSpec *s = &conv->spec;
    const double voxels = (double)(s->n * s->out[0] * s->out[1] * s->out[2]);
    const double once = 2.0 * TAPS * (double)(s->c_in[0] * s->c_out) * voxels;

    return (kernel == BACKWARD ? 2 : 1) * once / seconds / 1e9;
}

static void result_json(const Conv *conv, guint kernel, double median, double least,
                        double rate, double peak)
{
    g_autoptr(GArray) size = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GArray) channels = g_array_new(FALSE, FALSE, sizeof(gint64));
    JsonBuilder *line = bench_line_new("conv");

    g_array_append_vals(size, conv->spec.in, 3);
    g_array_append_val(channels, conv->spec.c_in[0]);
    g_array_append_val(channels, conv->spec.c_out);
    bench_line_text(line, "kernel", kernel_names[kernel]);
    bench_line_sizes(line, "channels", channels);
    bench_line_sizes(line, "size", size);
    bench_line_integer(line, "batch", conv->spec.n);
    bench_line_integer(line, "stride", conv->spec.stride[0]);
    bench_line_text(line, "backend", conv->instance->plugin->name);
    bench_line_integer(line, "threads", loom_pool_threads(loom_instance_pool(conv->instance)));
    bench_line_texts(line, "set", set_option);
    bench_line_number(line, "gflops", rate);
    bench_line_number(line, "peak_gflops", peak);
    bench_line_number(line, "peak_share", rate / peak);
    bench_line_end(line, median, least);
}

/* @peak: GFLOP/s of the machine. */
static void result_print(const Conv *conv, double peak)
{
    if (!json_option)
        g_print("%-16s %10s %10s %9s %6s   (peak %.1f GFLOP/s)\n", "kernel", "median ms",
                "least ms", "GFLOP/s", "share", peak);
    for (guint k = 0; k < KERNELS; k++) {
        double median = bench_median(conv->seconds[k]), least = bench_least(conv->seconds[k]);

        if (k == DATA_GRADIENT) /* the least difference would be chance */
            least = MIN(median, bench_least(conv->seconds[BACKWARD])
                                    - bench_least(conv->seconds[WEIGHT_GRADIENT]));
        if (!(median > 0)) /* lost in the noise of a machine that does other things too */
            median = NAN;
        if (!(least > 0))
            least = NAN;
        const double rate = gflops(conv, k, median);
        if (json_option)
            result_json(conv, k, median, least, rate, peak);
        else
            g_print("%-16s %10.3f %10.3f %9.1f %5.1f%%\n", kernel_names[k], median * 1e3,
                    least * 1e3, rate, 100 * rate / peak);
    }
    if (!json_option)
        g_print("memory at most %.0f MiB\n", bench_peak_mib());
}

/* ---- what was asked for ------------------------------------------------------------- */

static gboolean spec_read(LoomBlockSpec *spec, GError **error)
{
    g_autoptr(GArray) channels = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GArray) size = g_array_new(FALSE, FALSE, sizeof(gint64));

    if (!bench_sizes(channels, "--channels", channels_option ? channels_option : "32,32", 2, 2,
                     4096, error)
        || !bench_sizes(size, "--size", size_option ? size_option : "64", 1, 3, 4096, error)
        || !bench_count("--batch", batch_option, 1024, error)
        || !bench_count("--stride", stride_option, 2, error)
        || !bench_count("--repeat", repeat_option, 100000, error))
        return FALSE;
    if (size->len == 2)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--size: '%s' has 2 numbers, want 1 or 3",
                         size_option);
    *spec = (LoomBlockSpec){.n = batch_option,
                            .c_in = {g_array_index(channels, gint64, 0)},
                            .c_out = g_array_index(channels, gint64, 1),
                            .training = TRUE};
    for (guint i = 0; i < 3; i++) {
        spec->in[i] = g_array_index(size, gint64, size->len == 3 ? i : 0);
        spec->kernel[i] = 3;
        spec->stride[i] = stride_option;
        spec->out[i] = (spec->in[i] - 1) / stride_option + 1;
    }
    return TRUE;
}

/* {backend: {use: NAME, threads: N}} with --set; NULL with the reason. */
static LoomNode *config_make(const LoomRegistry *registry, GError **error)
{
    const char *name = backend_option ? backend_option : "cpu";

    if (!loom_registry_need(registry, LOOM_KIND_BACKEND, name, error))
        return NULL;
    g_autofree char *text =
        g_strdup_printf("backend: {use: %s, threads: %d}\n", name, threads_option);
    return command_set(loom_yaml_parse(text, strlen(text), "(bench)", "/", error), set_option,
                       error);
}

int bench_conv(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;
    LoomBlockSpec spec;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    g_autoptr(LoomNode) config = NULL;
    if (!spec_read(&spec, &error)
        || (threads_option && !bench_count("--threads", threads_option, 1024, &error))
        || !(config = config_make(registry, &error)))
        return command_fail(COMMAND_WRONG, error);
    g_autoptr(LoomPool) pool = loom_pool_new((guint)threads_option);
    const double peak = bench_flops(pool) / 1e9;
    bench_peak_reset();
    g_autoptr(LoomInstance) instance = plugin_open(registry, pool, LOOM_KIND_BACKEND,
                                                   loom_node_get(config, "backend"), &error);
    if (!instance)
        return command_fail(command_code(error), error);
    g_auto(Conv) conv = {
        .instance = instance, .backend = (const LoomBackend *)instance->plugin, .spec = spec};
    for (guint k = 0; k < KERNELS; k++)
        conv.seconds[k] = g_array_new(FALSE, FALSE, sizeof(double));
    if (!conv_allocate(&conv, &error))
        return command_fail(command_code(error), error);
    conv_measure(&conv, repeat_option);
    result_print(&conv, peak);
    return COMMAND_DONE;
}
