/* bench_augment - segloom bench augment: a patch, loaded as large as crop's `margin: nnunet`
 * makes it, through augment_nnunet again and again.  What happens to a patch is drawn by
 * chance, so it is the mean that counts. */
#include "bench_execute.h"
#include "bench_line.h"
#include "bench_stages.h"
#include "cmd_bench.h"
#include "interrupt.h"

#include <loom/rotation.h>

#include <string.h>

static gint in_option = 1, classes_option = 3, repeat_option = 200;
static char *patch_option;
static char **set_option;
static gboolean json_option;

static const GOptionEntry options[] = {
    {"patch", 0, 0, G_OPTION_ARG_STRING, &patch_option,
     "Voxels that leave, 40,56,40 by default", "D,H,W"},
    {"in", 0, 0, G_OPTION_ARG_INT, &in_option, "Channels of the image, 1 by default", "N"},
    {"classes", 0, 0, G_OPTION_ARG_INT, &classes_option, "Background too, 3 by default", "N"},
    {"repeat", 0, 0, G_OPTION_ARG_INT, &repeat_option,
     "How often, 200 by default; a first time is left out", "N"},
    {"set", 0, 0, G_OPTION_ARG_STRING_ARRAY, &set_option,
     "As of a config: graphs.bench.augment.blur_chance=0", "a.b=V"},
    {"json", 0, 0, G_OPTION_ARG_NONE, &json_option, "One object on one line", NULL},
    G_OPTION_ENTRY_NULL,
};

static LoomNode *config_make(const gint64 size[3], GError **error)
{
    gint64 load[3];

    loom_patch_to_load(size, load);
    g_autofree char *text = g_strdup_printf(
        "segloom: 1\n"
        "graphs:\n"
        "  bench:\n"
        "    load: {use: bench_patch, channels: %d, classes: %d, packets: %d, "
        "patch: [%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT "]}\n"
        "    augment: {use: augment_nnunet, from: load, "
        "size: [%" G_GINT64_FORMAT ", %" G_GINT64_FORMAT ", %" G_GINT64_FORMAT "]}\n"
        "    clock: {use: bench_watch, from: augment}\n"
        "run: {graph: bench}\n",
        in_option, classes_option, repeat_option + 1, load[0], load[1], load[2], size[0],
        size[1], size[2]);
    return command_set(loom_yaml_parse(text, strlen(text), "(bench)", "/", error), set_option,
                       error);
}

static void result_print(const GArray *patch, const BenchMeasured *measured)
{
    const GArray *seconds = measured->seconds;
    double mean = 0, most = 0;

    for (guint i = 0; i < seconds->len; i++) {
        const double one = g_array_index(seconds, double, i);

        mean += one / seconds->len;
        most = MAX(most, one);
    }
    if (!json_option) {
        g_print("augment: %.3f ms a patch (median %.3f, most %.3f), memory at most %.0f MiB\n",
                mean * 1000, bench_median(seconds) * 1000, most * 1000, bench_peak_mib());
        return;
    }
    JsonBuilder *line = bench_line_new("augment");
    bench_line_sizes(line, "patch", patch);
    bench_line_integer(line, "in", in_option);
    bench_line_integer(line, "classes", classes_option);
    bench_line_texts(line, "set", set_option);
    bench_line_integer(line, "repeat", repeat_option);
    bench_line_number(line, "seconds_median", bench_median(seconds));
    bench_line_number(line, "seconds_max", most);
    bench_line_end(line, mean, bench_least(seconds));
}

static gboolean order_read(GArray *patch, GError **error)
{
    return bench_sizes(patch, "--patch", patch_option ? patch_option : "40,56,40", 3, 3, 1024,
                       error)
           && bench_count("--in", in_option, 256, error)
           && bench_count("--classes", classes_option, 255, error)
           && bench_count("--repeat", repeat_option, 100000, error);
}

static int measure(const GArray *patch, LoomRegistry *registry)
{
    BenchMeasured *measured = bench_measured_begin();
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomNode) config = config_make(&g_array_index(patch, gint64, 0), &error);

    if (!config || !loom_registry_add(registry, &bench_stages, "segloom bench", &error))
        return command_fail(COMMAND_WRONG, error);
    const int code = bench_execute(config, registry, NULL);
    if (code != COMMAND_DONE)
        return code;
    g_array_remove_index(measured->seconds, 0); /* caches are cold, pages not there yet */
    result_print(patch, measured);
    return COMMAND_DONE;
}

int bench_augment(int argc, char **argv)
{
    const CommandUsage usage = {
        .summary =
            "Times nnU-Net's augmentation, in processor time of one thread: the mean over\n"
            "many patches, since chance says what happens to each.",
        .example = "segloom bench augment --patch 128,128,128 --repeat 50 --json",
        .options = options,
        .flags = COMMAND_MODULES};
    g_auto(CommandLine) line = {0};
    g_autoptr(GArray) patch = g_array_new(FALSE, FALSE, sizeof(gint64));
    g_autoptr(GError) error = NULL;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    interrupt_watch();
    g_autoptr(LoomRegistry) registry = command_registry(&line);
    if (!registry)
        return COMMAND_WRONG;
    if (!order_read(patch, &error))
        return command_fail(COMMAND_WRONG, error);
    return measure(patch, registry);
}
