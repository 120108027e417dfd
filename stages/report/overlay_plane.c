/* overlay_plane - which slice of a case a person should see: see overlay_plane.h. */
#include "overlay_plane.h"

#include <math.h>
#include <string.h>

#define MARGIN 0.3      /* of the foreground's extent, on each side of it */
#define LEAST_VOXELS 24 /* across a region: fewer show no surroundings */
#define WHOLE 0.7       /* of the slice's width: a region that large is the whole slice */

/* How a plane lies on the screen: the letters at its right and lower end. */
typedef struct {
    const char *across; /* letters of the normal */
    const char *name;
    char right_end, bottom_end;
} View;

static const View views[] = {
    {"SI", "axial", 'L', 'P'},
    {"AP", "coronal", 'L', 'I'},
    {"RL", "sagittal", 'P', 'I'},
};

static char opposite(char letter)
{
    static const char pairs[] = "RLLRAPPASIIS";

    for (guint i = 0; pairs[i]; i += 2)
        if (pairs[i] == letter)
            return pairs[i + 1];
    return 0;
}

/* The file's axis (0 i, 1 j, 2 k) along which @letter lies; 3: none. */
static guint axis_of(const LoomGeometry *geometry, char letter)
{
    guint axis = 0;

    while (axis < 3 && geometry->axes[axis] != letter
           && geometry->axes[axis] != opposite(letter))
        axis++;
    return axis;
}

/* The axis of the file to look along. */
static guint normal_of(const LoomGeometry *geometry)
{
    const double *mm = geometry->spacing_mm;
    guint axis = axis_of(geometry, 'S');

    if (axis > 2)
        axis = 2;
    for (guint i = 0; i < 3; i++)
        if (mm[i] > 1.001 * mm[axis])
            axis = i;
    return axis;
}

void overlay_plane_find(OverlayPlane *plane, const LoomGeometry *geometry)
{
    const gboolean known = geometry->qform_code > 0 || geometry->sform_code > 0;
    const guint normal = normal_of(geometry);
    guint right = normal == 0 ? 1 : 0, down = normal == 2 ? 1 : 2;
    const View *view = NULL;

    *plane = (OverlayPlane){.name = ""};
    for (guint i = 0; known && i < G_N_ELEMENTS(views); i++)
        if (geometry->axes[normal] && strchr(views[i].across, geometry->axes[normal]))
            view = &views[i];
    if (view && axis_of(geometry, view->right_end) < 3
        && axis_of(geometry, view->bottom_end) < 3) {
        right = axis_of(geometry, view->right_end);
        down = axis_of(geometry, view->bottom_end);
        plane->name = view->name;
        plane->right_end = view->right_end;
        plane->left_end = opposite(view->right_end);
        plane->bottom_end = view->bottom_end;
        plane->top_end = opposite(view->bottom_end);
        plane->turn_right = geometry->axes[right] != view->right_end;
        plane->turn_down = geometry->axes[down] != view->bottom_end;
    }
    plane->normal = 2 - normal; /* the file's i, j, k are W, H, D */
    plane->right = 2 - right;
    plane->down = 2 - down;
    plane->n = geometry->size[normal];
    plane->n_right = geometry->size[right];
    plane->n_down = geometry->size[down];
    plane->mm_right = geometry->spacing_mm[right];
    plane->mm_down = geometry->spacing_mm[down];
}

gint64 overlay_plane_at(const OverlayPlane *plane, gint64 x, gint64 y)
{
    gint64 at[3], size[3];

    at[plane->normal] = plane->index;
    at[plane->right] = plane->turn_right ? plane->n_right - 1 - x : x;
    at[plane->down] = plane->turn_down ? plane->n_down - 1 - y : y;
    size[plane->normal] = plane->n;
    size[plane->right] = plane->n_right;
    size[plane->down] = plane->n_down;
    return (at[0] * size[1] + at[1]) * size[2] + at[2];
}

/* ---- which slice -------------------------------------------------------------------- */

/* What a voxel of each class is worth. */
static void shares_count(const OverlayPlane *plane, const guint8 *classes, double *worth)
{
    gint64 counts[256] = {0};

    for (gint64 v = 0; v < plane->n * plane->n_right * plane->n_down; v++)
        counts[classes[v]]++;
    for (guint k = 0; k < 256; k++)
        worth[k] = k && counts[k] ? 1.0 / (double)counts[k] : 0;
}

/* The first slice whose voxels are worth most.  @wrong: only those where it differs from
 * @classes count, 1 each; NULL: @worth by their class.  FALSE: there is nothing. */
static gboolean choose(OverlayPlane *plane, const guint8 *classes, const double *worth,
                       const guint8 *wrong)
{
    gint64 best = plane->n / 2;
    double most = 0;

    for (plane->index = 0; plane->index < plane->n; plane->index++) {
        double sum = 0;

        for (gint64 y = 0; y < plane->n_down; y++)
            for (gint64 x = 0; x < plane->n_right; x++) {
                const gint64 v = overlay_plane_at(plane, x, y);

                sum += wrong ? wrong[v] != classes[v] : worth[classes[v]];
            }
        if (sum
            > most * (1 + 1e-9)) { /* sums of one slice are not rounded as those of another */
            most = sum;
            best = plane->index;
        }
    }
    plane->index = best;
    return most > 0;
}

void overlay_plane_choose(OverlayPlane *plane, const guint8 *truth, const guint8 *prediction,
                          gboolean errors)
{
    double worth[256];

    if (errors && choose(plane, truth, NULL, prediction))
        return;
    shares_count(plane, truth, worth);
    if (choose(plane, truth, worth, NULL))
        return;
    shares_count(plane, prediction, worth);
    choose(plane, prediction, worth, NULL);
}

/* ---- which part of it --------------------------------------------------------------- */

/* @middle: of the foreground, @extent: what shall be seen, both in voxels. */
static void interval_set(gint64 n, double middle, double extent, gint64 *first, gint64 *count)
{
    *count = MIN(n, (gint64)ceil(extent));
    *first = CLAMP((gint64)floor(middle - extent / 2), 0, n - *count);
}

void overlay_plane_region(const OverlayPlane *plane, const guint8 *truth,
                          const guint8 *prediction, OverlayRegion *region)
{
    gint64 low[2] = {G_MAXINT64, G_MAXINT64}, high[2] = {-1, -1};

    *region = (OverlayRegion){0, 0, plane->n_right, plane->n_down};
    for (gint64 y = 0; y < plane->n_down; y++)
        for (gint64 x = 0; x < plane->n_right; x++) {
            const gint64 v = overlay_plane_at(plane, x, y);

            if (!truth[v] && !prediction[v])
                continue;
            low[0] = MIN(low[0], x);
            high[0] = MAX(high[0], x);
            low[1] = MIN(low[1], y);
            high[1] = MAX(high[1], y);
        }
    if (high[0] < 0)
        return;
    const double finest = MIN(plane->mm_right, plane->mm_down);
    const double mm = MAX(MAX((double)(high[0] - low[0] + 1) * plane->mm_right,
                              (double)(high[1] - low[1] + 1) * plane->mm_down)
                              * (1 + 2 * MARGIN),
                          LEAST_VOXELS * finest);
    if (mm > WHOLE * (double)plane->n_right * plane->mm_right
        && mm > WHOLE * (double)plane->n_down * plane->mm_down)
        return;
    interval_set(plane->n_right, (double)(low[0] + high[0] + 1) / 2, mm / plane->mm_right,
                 &region->x, &region->width);
    interval_set(plane->n_down, (double)(low[1] + high[1] + 1) / 2, mm / plane->mm_down,
                 &region->y, &region->height);
}

/* ---- a slice by itself -------------------------------------------------------------- */

OverlaySlice *overlay_slice_cut(const OverlayPlane *plane, const guint8 *truth,
                                const guint8 *prediction)
{
    OverlaySlice *slice = g_new0(OverlaySlice, 1);
    const gsize voxels = (gsize)(plane->n_right * plane->n_down);

    slice->plane = *plane;
    slice->plane.normal = 0;
    slice->plane.down = 1;
    slice->plane.right = 2;
    slice->plane.turn_right = slice->plane.turn_down = FALSE;
    slice->plane.index = 0;
    slice->plane.n = 1;
    slice->number = plane->index;
    slice->n = plane->n;
    slice->image = g_new0(float, voxels);
    slice->truth = g_new(guint8, voxels);
    slice->prediction = g_new(guint8, voxels);
    for (gint64 y = 0, i = 0; y < plane->n_down; y++)
        for (gint64 x = 0; x < plane->n_right; x++, i++) {
            const gint64 v = overlay_plane_at(plane, x, y);

            slice->truth[i] = truth[v];
            slice->prediction[i] = prediction[v];
        }
    return slice;
}

void overlay_slice_free(OverlaySlice *slice)
{
    if (!slice)
        return;
    g_free(slice->image);
    g_free(slice->truth);
    g_free(slice->prediction);
    g_free(slice);
}
