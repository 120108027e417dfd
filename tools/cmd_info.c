/* cmd_info - segloom info: what a volume's header says, where it lies and what is in it. */
#include "command.h"

#include <loom/data.h>
#include <loom/tensor.h>

#include <json-glib/json-glib.h>

#include <math.h>
#include <string.h>

#define INFO_MOST_VALUES 64 /* more distinct values are intensities, not labels */

typedef struct {
    gint64 nonfinite, finite;
    double min, max, mean; /* over the finite voxels; NaN: there are none */
    gboolean whole;        /* every voxel is an integer */
    guint n_values;        /* distinct ones, if whole; INFO_MOST_VALUES + 1: too many */
    double value[INFO_MOST_VALUES + 1]; /* ascending */
    gint64 count[INFO_MOST_VALUES + 1];
} Summary;

/* Counts @x among the distinct values, as long as they are few. */
static void summary_count(Summary *summary, double x, guint *recent)
{
    guint at = *recent; /* neighbours are mostly equal */

    if (at < summary->n_values && summary->value[at] == x) {
        summary->count[at]++;
        return;
    }
    for (at = 0; at < summary->n_values && summary->value[at] < x; at++)
        ;
    *recent = at;
    if (at < summary->n_values && summary->value[at] == x) {
        summary->count[at]++;
        return;
    }
    if (summary->n_values >= INFO_MOST_VALUES) {
        summary->n_values = INFO_MOST_VALUES + 1;
        return;
    }
    for (guint i = summary->n_values; i > at; i--) {
        summary->value[i] = summary->value[i - 1];
        summary->count[i] = summary->count[i - 1];
    }
    summary->value[at] = x;
    summary->count[at] = 1;
    summary->n_values++;
}

static Summary summary_of(const LoomTensor *volume)
{
    const float *x = loom_tensor_f32(volume);
    const gint64 n = loom_tensor_count(volume);
    Summary summary = {.min = INFINITY, .max = -INFINITY, .whole = TRUE};
    double sum = 0;
    guint recent = 0;

    for (gint64 v = 0; v < n; v++) {
        const double value = (double)x[v];

        if (!isfinite(value)) {
            summary.nonfinite++;
            summary.whole = FALSE;
            continue;
        }
        sum += value;
        summary.min = MIN(summary.min, value);
        summary.max = MAX(summary.max, value);
        summary.whole = summary.whole && value == rint(value);
        if (summary.whole && summary.n_values <= INFO_MOST_VALUES)
            summary_count(&summary, value, &recent);
    }
    summary.finite = n - summary.nonfinite;
    if (!summary.finite)
        summary.min = summary.max = NAN;
    summary.mean = sum / (double)summary.finite; /* 0/0 is NaN */
    return summary;
}

/* Of the f32 voxels in file order, little endian; (transfer full). */
static char *voxels_sha256(const LoomTensor *volume)
{
    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    const guint8 *bytes = (const guint8 *)loom_tensor_f32(volume);
    const gsize length = loom_tensor_bytes(volume);

    for (gsize at = 0; at < length; at += 65536) {
        guint32 chunk[65536 / 4];
        const gsize n = MIN(length - at, sizeof chunk);

        memcpy(chunk, bytes + at, n);
        for (gsize i = 0; i < n / 4; i++)
            chunk[i] = GUINT32_TO_LE(chunk[i]);
        g_checksum_update(checksum, (const guchar *)chunk, (gssize)n);
    }
    return g_strdup(g_checksum_get_string(checksum));
}

/* ---- JSON --------------------------------------------------------------------------- */

/* NaN and infinity are no JSON: null. */
static void json_number(JsonBuilder *builder, const char *name, double value)
{
    json_builder_set_member_name(builder, name);
    if (isfinite(value))
        json_builder_add_double_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

static void json_print(const char *path, const LoomVolumeHeader *header, const Summary *summary,
                       const char *sha256)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *name = g_filename_display_name(path); /* JSON is UTF-8 */

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "file");
    json_builder_add_string_value(builder, name);
    json_builder_set_member_name(builder, "shape");
    json_builder_begin_array(builder);
    for (guint i = 0; i < header->n_dims; i++)
        json_builder_add_int_value(builder, header->shape[i]);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "spacing_mm");
    json_builder_begin_array(builder);
    for (guint i = 0; i < 3; i++)
        json_builder_add_double_value(builder, header->geometry.spacing_mm[i]);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "dtype");
    json_builder_add_string_value(builder, header->dtype);
    json_builder_set_member_name(builder, "axes");
    json_builder_add_string_value(builder, header->geometry.axes);
    json_number(builder, "slope", header->slope);
    json_number(builder, "intercept", header->intercept);
    json_builder_set_member_name(builder, "nonfinite");
    json_builder_add_int_value(builder, summary->nonfinite);
    json_number(builder, "min", summary->min);
    json_number(builder, "max", summary->max);
    json_number(builder, "mean", summary->mean);
    json_builder_set_member_name(builder, "sha256");
    json_builder_add_string_value(builder, sha256);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, FALSE);
    g_print("%s\n", text);
}

/* ---- for people --------------------------------------------------------------------- */

static void values_print(const Summary *summary)
{
    const double all = (double)summary->finite;

    for (guint i = 0; i < summary->n_values; i++)
        g_print("  %-10s %-6.9g %12" G_GINT64_FORMAT " voxels  %8.4f %%\n", i ? "" : "values",
                summary->value[i], summary->count[i], 100 * (double)summary->count[i] / all);
}

static void text_print(const char *path, const LoomVolumeHeader *header, const Summary *summary,
                       const char *sha256)
{
    const LoomGeometry *g = &header->geometry;
    const char *by = g->sform_code > 0   ? "sform"
                     : g->qform_code > 0 ? "qform"
                                         : "pixdim, a guess";
    g_autofree char *name = g_filename_display_name(path);

    g_print("%s\n  %-10s", name, "shape");
    for (guint i = 0; i < header->n_dims; i++)
        g_print("%s%" G_GINT64_FORMAT, i ? " x " : " ", header->shape[i]);
    g_print("\n  %-10s %.6g x %.6g x %.6g mm\n", "spacing", g->spacing_mm[0], g->spacing_mm[1],
            g->spacing_mm[2]);
    g_print("  %-10s %s, by %s; first voxel at %.6g, %.6g, %.6g mm\n", "axes", g->axes, by,
            g->affine[0][3], g->affine[1][3], g->affine[2][3]);
    g_print("  %-10s %s, NIfTI-%d", "stored as", header->dtype, g->version);
    if (!isnan(header->slope) && header->slope != 0
        && (header->slope != 1 || header->intercept != 0))
        g_print(", scaled by %.6g x + %.6g", header->slope, header->intercept);
    g_print("\n");
    if (summary->finite)
        g_print("  %-10s %.6g to %.6g, mean %.6g\n", "range", summary->min, summary->max,
                summary->mean);
    if (summary->nonfinite)
        g_print("  %-10s %" G_GINT64_FORMAT " voxels are NaN or infinite\n", "nonfinite",
                summary->nonfinite);
    if (summary->whole && summary->n_values <= INFO_MOST_VALUES)
        values_print(summary);
    g_print("  %-10s %s\n", "sha256", sha256);
}

/* ---- the command -------------------------------------------------------------------- */

static gboolean file_show(const char *path, gboolean json, GError **error)
{
    LoomVolumeHeader header;
    g_autoptr(LoomTensor) volume = NULL;

    if (!loom_volume_read_header(path, &header, error))
        return FALSE;
    volume = loom_volume_read(path, LOOM_NAN_KEEP, 0, NULL, error);
    if (!volume)
        return FALSE;
    const Summary summary = summary_of(volume);
    g_autofree char *sha256 = voxels_sha256(volume);
    (json ? json_print : text_print)(path, &header, &summary, sha256);
    return TRUE;
}

int cmd_info(int argc, char **argv)
{
    gboolean json = FALSE;
    const GOptionEntry options[] = {
        {"json", 0, 0, G_OPTION_ARG_NONE, &json, "One JSON object a line", NULL},
        G_OPTION_ENTRY_NULL,
    };
    const CommandUsage usage = {
        .arguments = "FILE...",
        .min = 1,
        .summary = "Shows header, geometry, intensities or labels, and a hash of the voxels.\n"
                   "A file that cannot be read is one line on stderr and exit code 2.",
        .example = "segloom info --json scan.nii.gz",
        .options = options,
    };
    g_auto(CommandLine) line = {0};
    int code = COMMAND_DONE;

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    for (char **path = line.arguments; *path; path++) {
        g_autoptr(GError) error = NULL;

        if (!file_show(*path, json, &error))
            code = command_fail(COMMAND_WRONG, error);
        else if (!json && path[1])
            g_print("\n");
    }
    return code;
}
