/* phantom_labels - images for a folder of real label maps: read, cut, painted, merged, written.
 * The image is painted from the labels as they are read, so that a merged copy of a data set
 * has the same images. */
#include "phantom_labels.h"

#include "image_files.h"
#include "phantom_tissue.h"

#include "data/layout.h"

#include <math.h>
#include <string.h>

/* ---- a part of a map ---------------------------------------------------------------- */

/* The first voxel of the grid becomes (i, j, k) = @from of the old one.  The quaternion of a
 * NIfTI header gives the axes: R as in nifti1.h, "METHOD 2". */
static void geometry_cut(LoomGeometry *geometry, const gint64 from[3], const gint64 size[3])
{
    const double b = geometry->quatern[0], c = geometry->quatern[1], d = geometry->quatern[2];
    const double a = sqrt(MAX(0, 1 - b * b - c * c - d * d));
    const double r[3][3] = {
        {a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)},
        {2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)},
        {2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c}};

    for (int row = 0; row < 3; row++)
        for (int axis = 0; axis < 3; axis++) {
            const double steps = (double)from[axis];
            const double way = axis == 2 && geometry->pixdim[0] < 0 ? -1 : 1; /* qfac */

            geometry->affine[row][3] += geometry->affine[row][axis] * steps;
            geometry->srow[row][3] += geometry->srow[row][axis] * steps;
            geometry->qoffset[row] += r[row][axis] * way * geometry->pixdim[axis + 1] * steps;
        }
    memcpy(geometry->size, size, sizeof geometry->size);
}

/* First voxel and number of voxels along i, j, k of the labels with the margin around them. */
static gboolean box_find(const LoomTensor *label, const LoomGeometry *geometry,
                         double margin_mm, gint64 from[3], gint64 size[3])
{
    const guint8 *t = loom_tensor_u8(label);
    const gint64 *n = geometry->size;
    gint64 low[3] = {n[0], n[1], n[2]}, high[3] = {-1, -1, -1};

    for (gint64 v = 0; v < loom_tensor_count(label); v++) {
        const gint64 at[3] = {v % n[0], v / n[0] % n[1], v / (n[0] * n[1])};

        for (int axis = 0; t[v] && axis < 3; axis++) {
            low[axis] = MIN(low[axis], at[axis]);
            high[axis] = MAX(high[axis], at[axis]);
        }
    }
    for (int axis = 0; axis < 3; axis++) {
        const gint64 margin = (gint64)ceil(margin_mm / geometry->spacing_mm[axis]);

        from[axis] = MAX(0, low[axis] - margin);
        size[axis] = MIN(n[axis], high[axis] + margin + 1) - from[axis];
    }
    return high[0] >= 0;
}

static gboolean map_cut(LoomTensor **label, LoomGeometry *geometry, double margin_mm,
                        GError **error)
{
    gint64 from[3], size[3];
    const gint64 *n = geometry->size;

    if (margin_mm < 0)
        return TRUE;
    if (!box_find(*label, geometry, margin_mm, from, size))
        return loom_fail(error, LOOM_ERROR_FORMAT, "it has no label to cut around (--margin)");
    LoomTensor *part =
        loom_tensor_new(LOOM_U8, "DHW", (const gint64[]){size[2], size[1], size[0]}, error);
    if (!part)
        return FALSE;
    const guint8 *t = loom_tensor_u8(*label);
    guint8 *to = loom_tensor_u8_mut(part);
    for (gint64 k = 0; k < size[2]; k++)
        for (gint64 j = 0; j < size[1]; j++, to += size[0])
            memcpy(to, t + ((from[2] + k) * n[1] + from[1] + j) * n[0] + from[0],
                   (gsize)size[0]);
    geometry_cut(geometry, from, size);
    loom_tensor_unref(*label);
    *label = part;
    return TRUE;
}

/* ---- labels that become one --------------------------------------------------------- */

typedef struct {
    char **names; /* of the labels as they are read */
    char **kept;  /* of the labels as they are written */
    guint8 becomes[256];
} Merge;

static void merge_clear(Merge *merge)
{
    g_strfreev(merge->names);
    g_strfreev(merge->kept);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Merge, merge_clear)

static gboolean merge_parse(Merge *merge, const char *text, GError **error)
{
    g_auto(GStrv) numbers = g_strsplit(text, ",", -1);
    g_autoptr(GString) name = g_string_new(NULL);
    const guint n = g_strv_length(merge->names);

    memset(merge->becomes, 0, sizeof merge->becomes);
    for (char **number = numbers; *number; number++) {
        guint64 label;

        if (!g_ascii_string_to_unsigned(*number, 10, 1, n - 1, &label, NULL))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "--merge '%s': '%s' is none of the labels 1 to %u", text, *number,
                             n - 1);
        if (!merge->becomes[label])
            g_string_append_printf(name, "%s%s", name->len ? "+" : "", merge->names[label]);
        merge->becomes[label] = 1;
    }
    if (!name->len)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--merge '%s': want labels as in 1,2", text);
    merge->kept = g_new0(char *, 3);
    merge->kept[0] = g_strdup(merge->names[0]);
    merge->kept[1] = g_strdup(name->str);
    return TRUE;
}

static gboolean merge_make(Merge *merge, const PhantomLabels *order, GError **error)
{
    g_autofree char *path = image_files_dataset(order->labels);
    g_auto(LoomLayout) layout = {0};

    if (!path)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s': no dataset.json in it or above it that names its labels",
                         order->labels);
    if (!loom_layout_read(path, &layout, error))
        return FALSE;
    merge->names = g_steal_pointer(&layout.label_names);
    for (guint k = 0; k < 256; k++)
        merge->becomes[k] = (guint8)k;
    if (order->merge)
        return merge_parse(merge, order->merge, error);
    merge->kept = g_strdupv(merge->names);
    return TRUE;
}

static gboolean labels_check(const LoomTensor *label, const Merge *merge, GError **error)
{
    const guint8 *t = loom_tensor_u8(label);
    const guint n = g_strv_length(merge->names);

    for (gint64 v = 0; v < loom_tensor_count(label); v++)
        if (t[v] >= n)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "value %u is none of the labels 0 to %u of dataset.json", t[v],
                             n - 1);
    return TRUE;
}

/* ---- a data set --------------------------------------------------------------------- */

/* KiTS19 names no labels: they are background, kidney, tumour. */
static gboolean layout_check(const PhantomLabels *order, const Merge *merge, GError **error)
{
    const guint n = g_strv_length(merge->kept);

    return order->layout != PHANTOM_KITS19 || n == 3
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "--layout kits19 has the labels 0 to 2, these maps have 0 to %u: want "
                        "--layout nnunet",
                        n - 1);
}

static gboolean case_fill(const PhantomLabels *order, const PhantomFiles *files,
                          const Merge *merge, const char *path, gint64 number,
                          gint64 counts[256], GError **error)
{
    LoomGeometry geometry;
    g_autofree char *id = image_file_stem(path);
    g_autoptr(LoomTensor) label = loom_volume_read_labels(path, 0, &geometry, error);

    if (!label)
        return FALSE;
    if (!labels_check(label, merge, error)
        || !map_cut(&label, &geometry, order->margin_mm, error)) {
        g_prefix_error(error, "'%s': ", path);
        return FALSE;
    }
    g_autoptr(LoomTensor) image =
        phantom_tissue_paint(label, &geometry, merge->names, order->seed, id, error);
    if (!image)
        return FALSE;
    guint8 *t = loom_tensor_u8_mut(label);
    for (gint64 v = 0; v < loom_tensor_count(label); v++) {
        t[v] = merge->becomes[t[v]];
        counts[t[v]]++;
    }
    return phantom_files_add(files, id, number, image, label, &geometry, error);
}

gboolean phantom_labels_fill(const PhantomLabels *order, const char *folder, gint64 counts[256],
                             guint *cases, char ***names, void (*said)(guint number, guint all),
                             GError **error)
{
    static const char *const channels[] = {"CT", NULL};
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    g_auto(Merge) merge = {0};

    if (!image_files_collect(order->labels, paths, error) || !merge_make(&merge, order, error)
        || !layout_check(order, &merge, error))
        return FALSE;
    const PhantomFiles files = {
        .layout = order->layout,
        .folder = folder,
        .name = "from-labels",
        .description = "CT painted around real label maps",
        .channels = channels,
        .labels = (const char *const *)merge.kept + 1,
    };
    if (!phantom_files_begin(&files, error))
        return FALSE;
    for (guint i = 0; i < paths->len; i++) {
        said(i + 1, paths->len);
        if (!case_fill(order, &files, &merge, paths->pdata[i], i + 1, counts, error))
            return FALSE;
    }
    *cases = paths->len;
    *names = g_strdupv(merge.kept);
    return phantom_files_end(&files, paths->len, error);
}
