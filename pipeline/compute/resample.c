/* resample - volumes and label maps onto other voxels, axis by axis: W and H plane by plane,
 * then D row by row.  An axis that stays as it is costs nothing and changes no bit. */
#include <loom/resample.h>

#include <string.h>

#define SLABS_MOST 8 /* each walks through the whole input */

static gboolean stays(const LoomResampleAxis *axis)
{
    return axis->in == axis->out;
}

/* ---- lines -------------------------------------------------------------------------- */

/* Rows @first to @end of the output, @to is that of @first. */
typedef struct {
    gint64 first, end;
} Rows;

/* @width lines side by side: row k of the input at @from + k @from_stride. @scratch: (in + 2
 * LOOM_SPLINE_PAD, width) where the order is 3; @from may lie in it, behind the first
 * LOOM_SPLINE_PAD rows. */
static void columns_run(const LoomResampleAxis *axis, Rows rows, const float *from,
                        gint64 from_stride, gint64 width, float *scratch, float *to,
                        gint64 to_stride)
{
    if (axis->order == 3) {
        float *samples = scratch + LOOM_SPLINE_PAD * width;

        for (gint64 k = 0; samples != from && k < axis->in; k++)
            memcpy(samples + k * width, from + k * from_stride, (gsize)width * sizeof *to);
        loom_spline_coefficients(scratch, axis->in, width);
        from = scratch;
        from_stride = width;
    }
    for (gint64 o = rows.first; o < rows.end; o++) {
        const float *x = from + axis->first[o] * from_stride,
                    *a = axis->weights + o * axis->taps;
        float *y = to + (o - rows.first) * to_stride;

        if (axis->taps == 1)
            memcpy(y, x, (gsize)width * sizeof *y);
        else if (axis->taps == 2)
            for (gint64 i = 0; i < width; i++)
                y[i] = a[0] * x[i] + a[1] * x[i + from_stride];
        else
            for (gint64 i = 0; i < width; i++)
                y[i] = a[0] * x[i] + a[1] * x[i + from_stride] + a[2] * x[i + 2 * from_stride]
                       + a[3] * x[i + 3 * from_stride];
    }
}

/* One row.  @scratch: in + 2 LOOM_SPLINE_PAD. */
static void row_run(const LoomResampleAxis *axis, const float *from, float *scratch, float *to)
{
    const gint64 *first = axis->first;
    const float *a = axis->weights;

    if (axis->order == 3) {
        memcpy(scratch + LOOM_SPLINE_PAD, from, (gsize)axis->in * sizeof *from);
        loom_spline_coefficients(scratch, axis->in, 1);
        from = scratch;
    }
    if (stays(axis))
        memcpy(to, from, (gsize)axis->out * sizeof *to);
    else if (axis->taps == 1)
        for (gint64 o = 0; o < axis->out; o++)
            to[o] = from[first[o]];
    else if (axis->taps == 2)
        for (gint64 o = 0; o < axis->out; o++, a += 2)
            to[o] = a[0] * from[first[o]] + a[1] * from[first[o] + 1];
    else
        for (gint64 o = 0; o < axis->out; o++, a += 4) {
            const float *x = from + first[o];

            to[o] = a[0] * x[0] + a[1] * x[1] + a[2] * x[2] + a[3] * x[3];
        }
}

/* ---- planes ------------------------------------------------------------------------- */

gsize loom_resample_plane_scratch(const LoomResampleAxis *h, const LoomResampleAxis *w)
{
    return (gsize)((h->in + 2 * LOOM_SPLINE_PAD) * w->out + w->in + 2 * LOOM_SPLINE_PAD);
}

static void plane_run(const LoomResampleAxis *h, const LoomResampleAxis *w, Rows wanted,
                      const float *from, float *scratch, float *to)
{
    float *line = scratch + (h->in + 2 * LOOM_SPLINE_PAD) * w->out;
    float *rows = scratch + LOOM_SPLINE_PAD * w->out;

    if (stays(h)) {
        for (gint64 i = wanted.first; i < wanted.end; i++)
            row_run(w, from + i * w->in, line, to + (i - wanted.first) * w->out);
        return;
    }
    for (gint64 i = 0; i < h->in; i++)
        row_run(w, from + i * w->in, line, rows + i * w->out);
    columns_run(h, wanted, rows, w->out, w->out, scratch, to, w->out);
}

void loom_resample_plane(const LoomResampleAxis *h, const LoomResampleAxis *w,
                         const float *from, float *scratch, float *to)
{
    plane_run(h, w, (Rows){0, h->out}, from, scratch, to);
}

/* ---- volumes ------------------------------------------------------------------------ */

typedef struct {
    const LoomResampleAxis *d, *h, *w;
    const float *from;
    float *to;
    Rows rows;      /* along H, of the output */
    float *between; /* (d->in, rows, w->out); NULL: there is no need of it */
    float *scratch; /* one part of @part floats a worker */
    gsize part;
} Volume;

/* Planes are made before lines along D: else one of the two is enough. */
static gboolean goes_between(LoomResampleAxis *const axes[3])
{
    return !stays(axes[0]) && !(stays(axes[1]) && stays(axes[2]));
}

static gsize scratch_part(LoomResampleAxis *const axes[3])
{
    const gint64 depth = (axes[0]->in + 2 * LOOM_SPLINE_PAD) * axes[2]->out;

    return MAX(loom_resample_plane_scratch(axes[1], axes[2]), (gsize)depth);
}

static guint64 between_floats(LoomResampleAxis *const axes[3], gint64 rows)
{
    return goes_between(axes) ? (guint64)(axes[0]->in * rows * axes[2]->out) : 0;
}

static void plane_task(gint64 i, guint worker, gpointer data)
{
    const Volume *v = data;
    const gint64 plane = (v->rows.end - v->rows.first) * v->w->out;

    plane_run(v->h, v->w, v->rows, v->from + i * v->h->in * v->w->in,
              v->scratch + worker * v->part, (v->between ? v->between : v->to) + i * plane);
}

/* Row @i of these rows, in all planes along D. */
static void depth_task(gint64 i, guint worker, gpointer data)
{
    const Volume *v = data;
    const gint64 width = v->w->out, row = v->rows.first + i;
    const gint64 above = (v->between ? v->rows.end - v->rows.first : v->h->in) * width;
    const float *from = v->between ? v->between + i * width : v->from + row * width;

    columns_run(v->d, (Rows){0, v->d->out}, from, above, width, v->scratch + worker * v->part,
                v->to + row * width, v->h->out * width);
}

guint64 loom_resample_bytes(LoomResampleAxis *const axes[3], guint threads, gint64 rows)
{
    return sizeof(float) * (scratch_part(axes) * threads + between_floats(axes, rows));
}

gint64 loom_resample_rows(LoomResampleAxis *const axes[3], guint threads, guint64 room)
{
    const gint64 all = axes[1]->out, least = (all + SLABS_MOST - 1) / SLABS_MOST;
    gint64 rows = all;

    while (rows > least && loom_resample_bytes(axes, threads, rows) > room)
        rows = MAX((rows + 1) / 2, least);
    return rows;
}

gboolean loom_resample_slabs(LoomResampleAxis *const axes[3], gint64 rows, const float *from,
                             float *to, LoomPool *pool, GError **error)
{
    const LoomResampleAxis *d = axes[0], *h = axes[1], *w = axes[2];
    const gsize part = scratch_part(axes), planes = between_floats(axes, rows);
    const gint64 each = goes_between(axes) ? rows : h->out;
    g_autofree float *scratch = g_try_new(float, loom_pool_threads(pool) * part);
    g_autofree float *between = planes ? g_try_new(float, planes) : NULL;
    Volume v = {d, h, w, from, to, {0, 0}, between, scratch, part};

    if (!scratch || (planes && !between))
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "no memory to resample to %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                         " x %" G_GINT64_FORMAT " voxels",
                         d->out, h->out, w->out);
    for (; v.rows.first < h->out; v.rows.first = v.rows.end) {
        v.rows.end = MIN(v.rows.first + each, h->out);
        if (stays(d) || between)
            loom_pool_run(pool, d->in, plane_task, &v);
        if (!stays(d))
            loom_pool_run(pool, v.rows.end - v.rows.first, depth_task, &v);
    }
    return TRUE;
}

gboolean loom_resample_volume(LoomResampleAxis *const axes[3], const float *from, float *to,
                              LoomPool *pool, GError **error)
{
    return loom_resample_slabs(axes, axes[1]->out, from, to, pool, error);
}

/* ---- labels ------------------------------------------------------------------------- */

typedef struct {
    const LoomResampleAxis *d, *h, *w;
    const guint8 *from;
    guint8 *to;
} Labels;

#define LABELS_MOST 8 /* corners of a voxel */

/* The class with the largest share among @n corners. */
static guint8 vote(const guint8 *label, const float *share_of, guint n)
{
    float best = -1;
    guint8 winner = 0;

    for (guint i = 0; i < n; i++) {
        float sum = 0;

        for (guint j = 0; j < n; j++)
            sum += label[j] == label[i] ? share_of[j] : 0;
        if (sum > best || (sum == best && label[i] > winner)) {
            best = sum;
            winner = label[i];
        }
    }
    return winner;
}

/* @rows: the @n input rows around an output row, @weights theirs. */
static void labels_row(const LoomResampleAxis *w, const guint8 *const *rows,
                       const float *weights, guint n, guint8 *to)
{
    for (gint64 o = 0; o < w->out; o++) {
        const gint64 at = w->first[o];
        guint8 label[LABELS_MOST], differ = 0;
        float share_of[LABELS_MOST];
        guint m = 0;

        for (guint t = 0; t < w->taps; t++)
            for (guint r = 0; r < n; r++, m++) {
                label[m] = rows[r][at + t];
                differ |= label[m] ^ label[0];
            }
        if (!differ) {
            to[o] = label[0];
            continue;
        }
        m = 0;
        for (guint t = 0; t < w->taps; t++)
            for (guint r = 0; r < n; r++, m++)
                share_of[m] = weights[r] * w->weights[o * w->taps + t];
        to[o] = vote(label, share_of, m);
    }
}

static void labels_plane(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Labels *l = data;
    const LoomResampleAxis *d = l->d, *h = l->h, *w = l->w;

    for (gint64 o = 0; o < h->out; o++) {
        const guint8 *rows[4];
        float weights[4];
        guint n = 0;

        for (guint a = 0; a < d->taps; a++)
            for (guint b = 0; b < h->taps; b++, n++) {
                rows[n] = l->from + ((d->first[i] + a) * h->in + h->first[o] + b) * w->in;
                weights[n] = d->weights[i * d->taps + a] * h->weights[o * h->taps + b];
            }
        labels_row(w, rows, weights, n, l->to + (i * h->out + o) * w->out);
    }
}

void loom_resample_labels(LoomResampleAxis *const axes[3], const guint8 *from, guint8 *to,
                          LoomPool *pool)
{
    Labels labels = {axes[0], axes[1], axes[2], from, to};

    g_assert(axes[0]->taps <= 2 && axes[1]->taps <= 2 && axes[2]->taps <= 2);
    loom_pool_run(pool, axes[0]->out, labels_plane, &labels);
}
