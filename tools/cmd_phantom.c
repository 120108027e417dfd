/* cmd_phantom - segloom phantom: a synthetic data set with exact labels, in nnU-Net's layout.
 */
#include "command.h"
#include "phantom.h"
#include "terminal.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

#define LARGEST_EDGE 1024

typedef struct {
    const PhantomKind *kind;
    const char *folder;
    gint64 size[3];
    gint64 cases, seed;
} Order;

static char *kind_option, *size_option;
static gint64 cases_option = 10, seed_option = 1;

static const GOptionEntry options[] = {
    {"kind", 0, 0, G_OPTION_ARG_STRING, &kind_option, "kits (default), brats or spheres",
     "KIND"},
    {"cases", 0, 0, G_OPTION_ARG_INT64, &cases_option, "How many, 10 by default", "N"},
    {"size", 0, 0, G_OPTION_ARG_STRING, &size_option, "Voxels, as 64,96,120", "D,H,W"},
    {"seed", 0, 0, G_OPTION_ARG_INT64, &seed_option, "Another seed, other bodies", "S"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "DIR",
    .min = 1,
    .max = 1,
    .summary = "Writes synthetic NIfTI volumes with exact labels, laid out as nnU-Net does:\n"
               "DIR/imagesTr, DIR/labelsTr, DIR/dataset.json.  Same seed, same voxels.",
    .example = "segloom phantom data/kits --kind kits --cases 20 --seed 7",
    .options = options,
};

/* ---- what was asked for ------------------------------------------------------------- */

static const PhantomKind *kind_named(const char *name, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (const PhantomKind *kind = phantom_kinds; kind->name; kind++) {
        if (g_str_equal(kind->name, name))
            return kind;
        g_strv_builder_add(builder, kind->name);
    }
    g_auto(GStrv) names = g_strv_builder_end(builder);
    g_autofree char *hint = loom_did_you_mean(name, (const char *const *)names);
    g_autofree char *all = g_strjoinv(", ", names);
    return loom_fail_null(error, LOOM_ERROR_CONFIG,
                          "there is no phantom '%s'%s (there are: %s)", name, hint, all);
}

static gboolean size_parse(const char *text, gint64 size[3], GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);

    if (g_strv_length(parts) != 3)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--size '%s': want D,H,W as in 64,96,120",
                         text);
    for (int i = 0; i < 3; i++)
        if (!g_ascii_string_to_signed(parts[i], 10, 8, LARGEST_EDGE, &size[i], NULL))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "--size '%s': '%s' is no number of voxels from 8 to %d", text,
                             parts[i], LARGEST_EDGE);
    return TRUE;
}

static gboolean order_take(Order *order, const char *folder, GError **error)
{
    g_autofree char *images = g_build_filename(folder, "imagesTr", NULL);

    *order = (Order){.folder = folder, .cases = cases_option, .seed = seed_option};
    order->kind = kind_named(kind_option ? kind_option : "kits", error);
    if (!order->kind)
        return FALSE;
    memcpy(order->size, order->kind->size, sizeof order->size);
    if (size_option && !size_parse(size_option, order->size, error))
        return FALSE;
    if (order->cases < 1 || order->cases > 9999)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "--cases %" G_GINT64_FORMAT ": want 1 to 9999", order->cases);
    if (order->seed < 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "--seed %" G_GINT64_FORMAT ": want 0 or more", order->seed);
    if (g_file_test(images, G_FILE_TEST_EXISTS))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' holds a data set already: name another folder or remove it",
                         folder);
    return TRUE;
}

/* ---- what is written ---------------------------------------------------------------- */

static gboolean folder_make(const char *folder, const char *name, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);

    if (g_mkdir_with_parents(path, 0777) == 0)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", path, g_strerror(errno));
}

static void member_set(JsonBuilder *builder, const char *name, gint64 number)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, number);
}

static gboolean dataset_json_write(const Order *order, GError **error)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *path = g_build_filename(order->folder, "dataset.json", NULL);

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "name");
    json_builder_add_string_value(builder, order->kind->name);
    json_builder_set_member_name(builder, "description");
    json_builder_add_string_value(builder, order->kind->description);
    json_builder_set_member_name(builder, "channel_names");
    json_builder_begin_object(builder);
    for (gint64 c = 0; order->kind->channels[c]; c++) {
        g_autofree char *number = g_strdup_printf("%d", (int)c);

        json_builder_set_member_name(builder, number);
        json_builder_add_string_value(builder, order->kind->channels[c]);
    }
    json_builder_end_object(builder);
    json_builder_set_member_name(builder, "labels");
    json_builder_begin_object(builder);
    member_set(builder, "background", 0);
    for (gint64 k = 0; order->kind->labels[k]; k++)
        member_set(builder, order->kind->labels[k], k + 1);
    json_builder_end_object(builder);
    member_set(builder, "numTraining", order->cases);
    json_builder_set_member_name(builder, "file_ending");
    json_builder_add_string_value(builder, ".nii.gz");
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);
    return loom_file_replace(path, lines, strlen(lines), error);
}

/* One channel of (C,D,H,W) as (D,H,W) in a file of its own. */
static gboolean channel_write(const Order *order, const char *id, const LoomTensor *image,
                              gint64 channel, const LoomGeometry *geometry, GError **error)
{
    const gint64 voxels = loom_tensor_count_from(image, 'D');
    g_autofree char *name = g_strdup_printf("%s_%04d.nii.gz", id, (int)channel);
    g_autofree char *path = g_build_filename(order->folder, "imagesTr", name, NULL);
    g_autoptr(LoomTensor) volume = loom_tensor_new(LOOM_F32, "DHW", order->size, error);

    if (!volume)
        return FALSE;
    float *to = loom_tensor_f32_mut(volume);
    const float *from = loom_tensor_f32(image) + channel * voxels;
    for (gint64 v = 0; v < voxels; v++) /* whole numbers, as scanners store: half the file */
        to[v] = roundf(from[v]);
    return loom_volume_write(path, volume, geometry, error);
}

/* @counts: voxels a class. */
static gboolean case_write(const Order *order, gint64 number, gint64 counts[256],
                           GError **error)
{
    g_autofree char *id = g_strdup_printf("%s_%03d", order->kind->name, (int)number);
    g_autofree char *name = g_strconcat(id, ".nii.gz", NULL);
    g_autofree char *path = g_build_filename(order->folder, "labelsTr", name, NULL);
    g_autoptr(LoomTensor) image = NULL;
    g_autoptr(LoomTensor) label = NULL;
    LoomGeometry geometry;

    if (!phantom_paint(order->kind, order->size, (guint64)order->seed, (guint64)number, &image,
                       &label, &geometry, error))
        return FALSE;
    for (gint64 c = 0; c < loom_tensor_size(image, 'C'); c++)
        if (!channel_write(order, id, image, c, &geometry, error))
            return FALSE;
    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        counts[loom_tensor_u8(label)[v]]++;
    return loom_volume_write(path, label, &geometry, error);
}

static void result_print(const Order *order, const gint64 counts[256])
{
    const double all =
        (double)(order->cases * order->size[0] * order->size[1] * order->size[2]);

    g_print("%s: %d cases of %dx%dx%d voxels, %s\n", order->folder, (int)order->cases,
            (int)order->size[0], (int)order->size[1], (int)order->size[2],
            order->kind->description);
    for (int k = 0; order->kind->labels[k]; k++)
        g_print("  label %d %-10s %6.3f %% of the voxels\n", k + 1, order->kind->labels[k],
                100.0 * (double)counts[k + 1] / all);
}

static gboolean order_fill(const Order *order, gint64 counts[256], GError **error)
{
    if (!folder_make(order->folder, "imagesTr", error)
        || !folder_make(order->folder, "labelsTr", error))
        return FALSE;
    for (gint64 i = 1; i <= order->cases; i++) {
        g_autofree char *text =
            g_strdup_printf("painting case %d of %d", (int)i, (int)order->cases);

        terminal_live(text);
        if (!case_write(order, i, counts, error))
            return FALSE;
    }
    terminal_live(NULL);
    return dataset_json_write(order, error);
}

int cmd_phantom(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;
    gint64 counts[256] = {0};
    Order order;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (!order_take(&order, line.arguments[0], &error))
        return command_fail(COMMAND_WRONG, error);
    if (!order_fill(&order, counts, &error)) {
        terminal_live(NULL);
        return command_fail(COMMAND_FAILED, error);
    }
    result_print(&order, counts);
    return COMMAND_DONE;
}
