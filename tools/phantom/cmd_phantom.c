/* cmd_phantom - segloom phantom: a synthetic data set with exact labels. */
#include "command.h"
#include "phantom.h"
#include "phantom_files.h"
#include "phantom_labels.h"
#include "terminal.h"

#include <math.h>
#include <string.h>

#define LARGEST_EDGE 1024
#define LARGEST_MARGIN 10000 /* mm */
#define UNSET G_MININT64

typedef struct {
    const PhantomKind *kind; /* NULL: painted around label maps */
    const char *folder;
    gint64 size[3];
    gint64 cases, seed;
    PhantomLayout layout;
    PhantomLabels labels;
} Order;

static char *kind_option, *layout_option, *size_option, *labels_option, *merge_option;
static gint64 cases_option = UNSET, seed_option = 1;
static double margin_option = NAN;

static const GOptionEntry options[] = {
    {"kind", 0, 0, G_OPTION_ARG_STRING, &kind_option,
     "kits (default), brats, brats20 or spheres", "KIND"},
    {"layout", 0, 0, G_OPTION_ARG_STRING, &layout_option, "nnunet (default), kits19 or brats20",
     "LAYOUT"},
    {"cases", 0, 0, G_OPTION_ARG_INT64, &cases_option, "How many, 10 by default", "N"},
    {"size", 0, 0, G_OPTION_ARG_STRING, &size_option, "Voxels, as 64,96,120", "D,H,W"},
    {"from-labels", 0, 0, G_OPTION_ARG_FILENAME, &labels_option,
     "Paint a CT around each label map of that folder", "LABELDIR"},
    {"margin", 0, 0, G_OPTION_ARG_DOUBLE, &margin_option,
     "Cut the maps to their labels and so many mm around", "MM"},
    {"merge", 0, 0, G_OPTION_ARG_STRING, &merge_option,
     "These labels become one, the others background", "1,2"},
    {"seed", 0, 0, G_OPTION_ARG_INT64, &seed_option, "Another seed, other bodies", "S"},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .arguments = "DIR",
    .min = 1,
    .max = 1,
    .summary = "Writes synthetic NIfTI volumes with exact labels, laid out as nnU-Net does:\n"
               "DIR/imagesTr, DIR/labelsTr, DIR/dataset.json, or as KiTS19 or BraTS20 do.\n"
               "Same seed, same voxels.",
    .example = "segloom phantom data/kits --kind kits --cases 20 --seed 7\n"
               "  segloom phantom data/study --from-labels kits19/labelsTr-3mm --layout kits19",
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

/* Each layout of a challenge belongs to a kind: it tells files apart by their channels. */
static gboolean layout_take(Order *order, GError **error)
{
    static const char *const names[] = {"nnunet", "kits19", "brats20", NULL};
    static const char *const kinds[] = {NULL, "kits", "brats20"};
    const char *name = layout_option ? layout_option : names[0];

    for (guint i = 0; names[i]; i++) {
        if (!g_str_equal(name, names[i]))
            continue;
        order->layout = (PhantomLayout)i;
        if (kinds[i] && !kind_option)
            kind_option = g_strdup(kinds[i]);
        return !kinds[i] || g_str_equal(kind_option, kinds[i])
               || loom_fail(error, LOOM_ERROR_CONFIG, "--layout %s goes with --kind %s only",
                            name, kinds[i]);
    }
    g_autofree char *hint = loom_did_you_mean(name, names);
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "there is no layout '%s'%s (there are: nnunet, kits19, brats20)", name,
                     hint);
}

static gboolean labels_options_take(Order *order, GError **error)
{
    const char *other = kind_option             ? "kind"
                        : size_option           ? "size"
                        : cases_option != UNSET ? "cases"
                                                : NULL;

    if (other)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "--from-labels and --%s exclude each other: the maps say it", other);
    if (!isnan(margin_option) && !(margin_option >= 0 && margin_option <= LARGEST_MARGIN))
        return loom_fail(error, LOOM_ERROR_CONFIG, "--margin %g: want 0 to %d mm",
                         margin_option, LARGEST_MARGIN);
    if (!layout_take(order, error))
        return FALSE;
    order->labels.layout = order->layout;
    return order->layout != PHANTOM_BRATS20
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "--layout brats20 wants four sequences, --from-labels paints one CT: "
                        "want nnunet or kits19");
}

static gboolean order_take(Order *order, const char *folder, GError **error)
{
    *order = (Order){.folder = folder,
                     .cases = cases_option == UNSET ? 10 : cases_option,
                     .seed = seed_option};
    order->labels =
        (PhantomLabels){labels_option, merge_option, isnan(margin_option) ? -1 : margin_option,
                        (guint64)seed_option, PHANTOM_NNUNET};
    if (order->seed < 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "--seed %" G_GINT64_FORMAT ": want 0 or more", order->seed);
    if (labels_option)
        return labels_options_take(order, error);
    if (merge_option || !isnan(margin_option))
        return loom_fail(error, LOOM_ERROR_CONFIG, "--%s goes with --from-labels only",
                         merge_option ? "merge" : "margin");
    if (!layout_take(order, error))
        return FALSE;
    order->kind = kind_named(kind_option ? kind_option : "kits", error);
    if (!order->kind)
        return FALSE;
    memcpy(order->size, order->kind->size, sizeof order->size);
    if (size_option && !size_parse(size_option, order->size, error))
        return FALSE;
    if (order->cases < 1 || order->cases > 9999)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "--cases %" G_GINT64_FORMAT ": want 1 to 9999", order->cases);
    return TRUE;
}

/* ---- what is written ---------------------------------------------------------------- */

static void case_say(guint number, guint all)
{
    g_autofree char *text = g_strdup_printf("painting case %u of %u", number, all);

    terminal_live(text);
}

static void label_print(guint label, const char *name, gint64 voxels, double all)
{
    g_print("  label %u %-10s %6.3f %% of the voxels\n", label, name,
            100.0 * (double)voxels / all);
}

/* @counts: voxels a class. */
static gboolean case_write(const Order *order, const PhantomFiles *files, gint64 number,
                           gint64 counts[256], GError **error)
{
    g_autofree char *id = g_strdup_printf("%s_%03d", order->kind->name, (int)number);
    g_autoptr(LoomTensor) image = NULL;
    g_autoptr(LoomTensor) label = NULL;
    LoomGeometry geometry;

    if (!phantom_paint(order->kind, order->size, (guint64)order->seed, (guint64)number, &image,
                       &label, &geometry, error))
        return FALSE;
    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        counts[loom_tensor_u8(label)[v]]++;
    return phantom_files_add(files, id, number, image, label, &geometry, error);
}

static gboolean kind_fill(const Order *order, GError **error)
{
    const PhantomKind *kind = order->kind;
    const PhantomFiles files = {order->layout,     order->folder,  kind->name,
                                kind->description, kind->channels, kind->labels};
    const double all =
        (double)(order->cases * order->size[0] * order->size[1] * order->size[2]);
    gint64 counts[256] = {0};

    if (!phantom_files_begin(&files, error))
        return FALSE;
    for (gint64 i = 1; i <= order->cases; i++) {
        case_say((guint)i, (guint)order->cases);
        if (!case_write(order, &files, i, counts, error))
            return FALSE;
    }
    if (!phantom_files_end(&files, order->cases, error))
        return FALSE;
    terminal_live(NULL);
    g_print("%s: %d cases of %dx%dx%d voxels, %s\n", order->folder, (int)order->cases,
            (int)order->size[0], (int)order->size[1], (int)order->size[2], kind->description);
    for (guint k = 1; kind->labels[k - 1]; k++)
        label_print(k, kind->labels[k - 1], counts[k], all);
    return TRUE;
}

static gboolean labels_fill(const Order *order, GError **error)
{
    gint64 counts[256] = {0}, all = 0;
    g_auto(GStrv) names = NULL;
    guint cases = 0;

    if (!phantom_labels_fill(&order->labels, order->folder, counts, &cases, &names, case_say,
                             error))
        return FALSE;
    terminal_live(NULL);
    for (guint k = 0; k < 256; k++)
        all += counts[k];
    g_print("%s: %u cases, CT painted around the label maps of '%s'\n", order->folder, cases,
            order->labels.labels);
    for (guint k = 1; names[k]; k++)
        label_print(k, names[k], counts[k], (double)all);
    return TRUE;
}

int cmd_phantom(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(GError) error = NULL;
    Order order;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (!order_take(&order, line.arguments[0], &error))
        return command_fail(COMMAND_WRONG, error);
    if (order.kind ? kind_fill(&order, &error) : labels_fill(&order, &error))
        return COMMAND_DONE;
    terminal_live(NULL);
    return command_fail(command_code(error), error);
}
