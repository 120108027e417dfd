/* bench_network - see bench_network.h.  The run is a config like a user's, made in memory. */
#include "bench_network.h"

#include "bench_execute.h"
#include "bench_line.h"
#include "bench_stages.h"
#include "interrupt.h"

#include "core/processors.h"

#include <string.h>

static gint batch_option = 2, in_option = 1, classes_option = 3, threads_option;
static gint repeat_option = 5;
static char *patch_option, *features_option, *backend_option;
static char **set_option;
static gboolean json_option;

static const GOptionEntry options[] = {
    {"patch", 0, 0, G_OPTION_ARG_STRING, &patch_option, "Voxels, 64,64,64 by default", "D,H,W"},
    {"batch", 0, 0, G_OPTION_ARG_INT, &batch_option, "Patches, 2 by default", "N"},
    {"in", 0, 0, G_OPTION_ARG_INT, &in_option, "Channels of the image, 1 by default", "N"},
    {"classes", 0, 0, G_OPTION_ARG_INT, &classes_option, "Background too, 3 by default", "N"},
    {"features", 0, 0, G_OPTION_ARG_STRING, &features_option,
     "Of each level, 32,64,128,256,320 by default", "F,..."},
    {"backend", 0, 0, G_OPTION_ARG_STRING, &backend_option, "cpu by default", "NAME"},
    {"threads", 0, 0, G_OPTION_ARG_INT, &threads_option, "All processors by default", "N"},
    {"repeat", 0, 0, G_OPTION_ARG_INT, &repeat_option,
     "How often, 5 by default; a first time is left out", "N"},
    {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set_option,
     "As of a config, such as models.net.strides=[...]", "a.b=V"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One object on one line", NULL},
    G_OPTION_ENTRY_NULL,
};

typedef struct {
    GArray *patch, *features; /* gint64 */
    const char *backend;
} Order;

static void order_clear(Order *order)
{
    g_array_unref(order->patch);
    g_array_unref(order->features);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Order, order_clear)

static gboolean order_read(Order *order, const LoomRegistry *registry, GError **error)
{
    order->backend = backend_option ? backend_option : "cpu";
    if (!bench_sizes(order->patch, "--patch", patch_option ? patch_option : "64,64,64", 3, 3,
                     4096, error)
        || !bench_sizes(order->features, "--features",
                        features_option ? features_option : "32,64,128,256,320", 2, 16, 4096,
                        error)
        || !bench_count("--batch", batch_option, 1024, error)
        || !bench_count("--in", in_option, 256, error)
        || !bench_count("--classes", classes_option, 255, error)
        || !bench_count("--repeat", repeat_option, 100000, error)
        || (threads_option && !bench_count("--threads", threads_option, 1024, error)))
        return FALSE;
    return loom_registry_need(registry, LOOM_KIND_BACKEND, order->backend, error) != NULL;
}

/* ---- the run ------------------------------------------------------------------------ */

static void sizes_append(GString *text, const char *key, const GArray *sizes)
{
    g_string_append_printf(text, "%s: [", key);
    for (guint i = 0; i < sizes->len; i++)
        g_string_append_printf(text, "%s%" G_GINT64_FORMAT, i ? ", " : "",
                               g_array_index(sizes, gint64, i));
    g_string_append_c(text, ']');
}

static LoomNode *config_make(const BenchNetwork *bench, const Order *order, GError **error)
{
    g_autoptr(GString) text = g_string_new("segloom: 1\n");

    g_string_append_printf(text, "backend: {use: %s, threads: %d}\n", order->backend,
                           threads_option);
    g_string_append_printf(text, "models:\n  net: {use: unet3d, in_channels: %d, classes: %d, ",
                           in_option, classes_option);
    sizes_append(text, "features", order->features);
    g_string_append_printf(text,
                           "}\ngraphs:\n  bench:\n    load: {use: bench_batch, batch: %d, "
                           "channels: %d, classes: %d, packets: %d, ",
                           batch_option, in_option, classes_option, repeat_option + 1);
    sizes_append(text, "patch", order->patch);
    g_string_append_printf(text, "}\n%srun: {graph: bench}\n", bench->stages);
    return command_set(loom_yaml_parse(text->str, text->len, "(bench)", "/", error), set_option,
                       error);
}

/* ---- the result --------------------------------------------------------------------- */

static void result_print(const BenchNetwork *bench, const Order *order, guint threads,
                         const BenchMeasured *measured)
{
    const double median = bench_median(measured->seconds);
    const double least = bench_least(measured->seconds);

    if (!json_option) {
        g_print("%s: %.4f s (least %.4f), %.3f million parameters, memory at most %.0f MiB\n",
                bench->name, median, least, (double)measured->parameters / 1e6,
                bench_peak_mib());
        return;
    }
    JsonBuilder *line = bench_line_new(bench->name);
    bench_line_sizes(line, "patch", order->patch);
    bench_line_integer(line, "batch", batch_option);
    bench_line_integer(line, "in", in_option);
    bench_line_integer(line, "classes", classes_option);
    bench_line_sizes(line, "features", order->features);
    bench_line_text(line, "backend", order->backend);
    bench_line_integer(line, "threads", threads);
    bench_line_texts(line, "set", set_option);
    bench_line_integer(line, "repeat", repeat_option);
    bench_line_integer(line, "parameters", measured->parameters);
    bench_line_end(line, median, least);
}

static int measure(const BenchNetwork *bench, const Order *order, LoomRegistry *registry)
{
    BenchMeasured *measured = bench_measured_begin();
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = config_make(bench, order, &error);

    if (!config || !loom_registry_add(registry, &bench_stages, "segloom bench", &error))
        return command_fail(COMMAND_WRONG, error);
    const int code = bench_execute(config, registry, NULL);
    if (code != COMMAND_DONE)
        return code;
    g_array_remove_index(measured->seconds, 0); /* caches are cold, pages not there yet */
    result_print(bench, order, threads_option ? (guint)threads_option : loom_processors(),
                 measured);
    return COMMAND_DONE;
}

int bench_network_main(const BenchNetwork *bench, int argc, char **argv)
{
    const CommandUsage usage = {.summary = bench->summary,
                                .example = bench->example,
                                .options = options,
                                .flags = COMMAND_MODULES};
    g_auto(CommandLine) line = {0};
    g_auto(Order) order = {.patch = g_array_new(FALSE, FALSE, sizeof(gint64)),
                           .features = g_array_new(FALSE, FALSE, sizeof(gint64))};
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    if (!order_read(&order, registry, &error))
        return command_fail(COMMAND_WRONG, error);
    return measure(bench, &order, registry);
}
