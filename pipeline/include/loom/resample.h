/* loom/resample.h - a volume on a grid of other voxels that covers the same space.
 *
 * Along each axis output voxel o lies at input place (o + 0.5) in/out - 0.5, so that the outer
 * faces of both grids coincide; beyond its ends a line goes on with its last value.  These are
 * the conventions of scipy.ndimage.zoom(mode='nearest', grid_mode=True). */
#pragma once

#include <loom/context.h>

G_BEGIN_DECLS

/* What each output of one axis is made of:
 *   y[o] = sum over t < taps of weights[o * taps + t] * x[first[o] + t]
 * x is the input line itself; for order 3 the line of its coefficients, which has
 * LOOM_SPLINE_PAD more at both ends.  An axis that stays as it is has one tap of weight 1. */
typedef struct {
    gint64 in, out;
    guint order, taps; /* 0: 1 tap; 1: 1 or 2; 3: 4 */
    gint64 *first;     /* out */
    float *weights;    /* (out, taps), each row sums to 1 */
} LoomResampleAxis;

#define LOOM_SPLINE_PAD 2

/* loom_resample_axis_new - the table of one axis
 * @in, @out: sizes, at least 1
 * @order: 0 nearest, 1 linear, 3 cubic B-spline.  Where @in == @out, or @in is 1, there is
 *   nothing to interpolate: the table has order 0.
 * Returns: (transfer full)
 * Source: Unser, Aldroubi, Eden 1993, B-spline signal processing. */
LOOM_EXPORT LoomResampleAxis *loom_resample_axis_new(gint64 in, gint64 out, guint order);
LOOM_EXPORT void loom_resample_axis_free(LoomResampleAxis *axis);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomResampleAxis, loom_resample_axis_free)

/* loom_spline_coefficients - the cubic B-spline through the samples of many lines at once
 * @x: rows of @width numbers, @width lines side by side; the @n samples stand in the rows from
 *   LOOM_SPLINE_PAD on, and all n + 2 LOOM_SPLINE_PAD rows are overwritten. */
LOOM_EXPORT void loom_spline_coefficients(float *x, gint64 n, gint64 width);

/* loom_resample_size - voxels of @to_mm that fill what @size voxels of @from_mm do: rounded,
 * half to even, at least 1.  G_MAXINT64: more than can be counted. */
LOOM_EXPORT gint64 loom_resample_size(gint64 size, double from_mm, double to_mm);

/* loom_resample_plane - one plane (h->in, w->in) onto (h->out, w->out)
 * @scratch: loom_resample_plane_scratch floats. */
LOOM_EXPORT void loom_resample_plane(const LoomResampleAxis *h, const LoomResampleAxis *w,
                                     const float *from, float *scratch, float *to);
LOOM_EXPORT gsize loom_resample_plane_scratch(const LoomResampleAxis *h,
                                              const LoomResampleAxis *w);

/* loom_resample_volume - one channel, f32 (D,H,W), axis by axis
 * @axes: of D, H, W
 * @pool: threads to share the work with; NULL: the caller's alone.  The result never depends on
 *   it.
 * Needs one more volume of D->in planes of the output.  Errors: LOOM_ERROR_LIMIT. */
LOOM_EXPORT gboolean loom_resample_volume(LoomResampleAxis *const axes[3], const float *from,
                                          float *to, LoomPool *pool, GError **error);

/* loom_resample_slabs - the same, with less memory: the planes in between are made for @rows
 * rows of the output along H at a time, and those of the input walked through as often.  The
 * result does not depend on it. */
LOOM_EXPORT gboolean loom_resample_slabs(LoomResampleAxis *const axes[3], gint64 rows,
                                         const float *from, float *to, LoomPool *pool,
                                         GError **error);
/* As many rows as @room bytes allow on @threads threads; at least an eighth of them. */
LOOM_EXPORT gint64 loom_resample_rows(LoomResampleAxis *const axes[3], guint threads,
                                      guint64 room);
/* What that takes besides input and output. */
LOOM_EXPORT guint64 loom_resample_bytes(LoomResampleAxis *const axes[3], guint threads,
                                        gint64 rows);

/* loom_resample_clip - takes a resampled channel back into the range of what it was made of
 * @axes, @from, @to: as loom_resample_volume had them
 * @slices: the axis of order 0 along which slices were resampled each by itself: the range is
 *   that of the slice; 3: there is none, it is that of the channel.
 * Errors: LOOM_ERROR_LIMIT. */
LOOM_EXPORT gboolean loom_resample_clip(LoomResampleAxis *const axes[3], guint slices,
                                        const float *from, float *to, LoomPool *pool,
                                        GError **error);

/* loom_resample_labels - a label map, u8 (D,H,W): of each class the share that linear
 * interpolation of its mask gives, then the class with the largest share; of equal ones the
 * highest, as thresholding class by class at 0.5 has it.
 * @axes: of D, H, W, of order 0 or 1.  Needs no memory: a voxel has at most 8 classes. */
LOOM_EXPORT void loom_resample_labels(LoomResampleAxis *const axes[3], const guint8 *from,
                                      guint8 *to, LoomPool *pool);

G_END_DECLS
