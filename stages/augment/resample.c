/* resample - a patch cut out of a larger one through a matrix:
 *   y(p) = sum over the 8 corners around q of weight x(corner),  q = c + M (p - c')
 * Rows are lines in the source: where along a row all corners lie inside is found once a row,
 * so that the loop over most voxels tests nothing. */
#include "resample.h"

#include <math.h>
#include <string.h>

/* One row of the result: position of voxel w is start + w step. */
typedef struct {
    double start[3], step[3];
    gint64 first, last; /* all 8 corners are inside for first <= w < last */
} Row;

static inline double row_at(const Row *row, int axis, gint64 w)
{
    return row->start[axis] + (double)w * row->step[axis];
}

static gboolean row_inside(const Row *row, const gint64 from[3], gint64 w)
{
    for (int i = 0; i < 3; i++)
        if (!(row_at(row, i, w) >= 0 && row_at(row, i, w) < (double)(from[i] - 1)))
            return FALSE;
    return TRUE;
}

/* Narrows [low, high) to where 0 <= start + w step < end holds, up to rounding. */
static void row_narrow(double start, double step, double end, double *low, double *high)
{
    if (step == 0) {
        if (!(start >= 0 && start < end))
            *high = *low;
        return;
    }
    const double a = -start / step, b = (end - start) / step;
    *low = MAX(*low, ceil(MIN(a, b)));
    *high = MIN(*high, floor(MAX(a, b)) + 1);
}

static Row row_of(const Resample *resample, gint64 d, gint64 h)
{
    const double offset[3] = {(double)d - resample->centre_to[0],
                              (double)h - resample->centre_to[1], -resample->centre_to[2]};
    double low = 0, high = (double)resample->to[2];
    Row row;

    for (int i = 0; i < 3; i++) {
        const double *m = resample->matrix[i];

        row.start[i] =
            resample->centre_from[i] + m[0] * offset[0] + m[1] * offset[1] + m[2] * offset[2];
        row.step[i] = m[2];
        row_narrow(row.start[i], row.step[i], (double)(resample->from[i] - 1), &low, &high);
    }
    row.first = low < high ? (gint64)low : 0;
    row.last = low < high ? (gint64)high : 0;
    /* positions grow or fall monotonically, rounding included: sound ends make a sound row */
    while (row.first < row.last && !row_inside(&row, resample->from, row.first))
        row.first++;
    while (row.first < row.last && !row_inside(&row, resample->from, row.last - 1))
        row.last--;
    return row;
}

/* The 8 corners of a voxel anywhere: index of each, -1 outside, and its weight. */
static void corners_at(const Row *row, const gint64 from[3], gint64 w, gint64 index[8],
                       float weight[8])
{
    gint64 base[3];
    float part[3];

    for (int i = 0; i < 3; i++) { /* far outside is as good as just outside */
        const double at = CLAMP(row_at(row, i, w), -2, (double)from[i] + 1);

        base[i] = (gint64)floor(at);
        part[i] = (float)(at - (double)base[i]);
    }
    for (int k = 0; k < 8; k++) {
        gint64 at = 0;

        weight[k] = 1;
        for (int i = 0; i < 3; i++) {
            const int next = k >> (2 - i) & 1;
            const gint64 p = base[i] + next;

            weight[k] *= next ? part[i] : 1 - part[i];
            at = p < 0 || p >= from[i] || at < 0 ? -1 : at * from[i] + p;
        }
        index[k] = at;
    }
}

static float linear_anywhere(const Row *row, const gint64 from[3], const float *x, gint64 w)
{
    gint64 index[8];
    float weight[8], sum = 0;

    corners_at(row, from, w, index, weight);
    for (int k = 0; k < 8; k++)
        sum += index[k] < 0 ? 0 : weight[k] * x[index[k]];
    return sum;
}

static void linear_inside(const Row *row, const gint64 from[3], const float *restrict x,
                          float *restrict y)
{
    const gint64 sh = from[2], sd = from[1] * from[2];

    for (gint64 w = row->first; w < row->last; w++) {
        const double pd = row_at(row, 0, w), ph = row_at(row, 1, w), pw = row_at(row, 2, w);
        const gint32 d0 = (gint32)pd, h0 = (gint32)ph, w0 = (gint32)pw;
        const float fd = (float)(pd - d0), fh = (float)(ph - h0), fw = (float)(pw - w0);
        const float *q = x + d0 * sd + h0 * sh + w0, *r = q + sd;
        const float a = q[0] + fw * (q[1] - q[0]), b = q[sh] + fw * (q[sh + 1] - q[sh]);
        const float e = r[0] + fw * (r[1] - r[0]), f = r[sh] + fw * (r[sh + 1] - r[sh]);
        const float near = a + fh * (b - a), far = e + fh * (f - e);

        y[w] = near + fd * (far - near);
    }
}

void resample_linear(const Resample *resample, const float *x, float *y)
{
    const gint64 *to = resample->to;

    for (gint64 d = 0; d < to[0]; d++)
        for (gint64 h = 0; h < to[1]; h++, y += to[2]) {
            const Row row = row_of(resample, d, h);

            for (gint64 w = 0; w < row.first; w++)
                y[w] = linear_anywhere(&row, resample->from, x, w);
            linear_inside(&row, resample->from, x, y);
            for (gint64 w = row.last; w < to[2]; w++)
                y[w] = linear_anywhere(&row, resample->from, x, w);
        }
}

/* ---- labels ------------------------------------------------------------------------- */

static guint8 vote(const guint8 label[8], const float weight[8])
{
    float most = -1;
    guint8 winner = 0;

    for (int i = 0; i < 8; i++) {
        float sum = 0;

        if (memchr(label, label[i], (gsize)i)) /* counted before */
            continue;
        for (int k = i; k < 8; k++)
            sum += label[k] == label[i] ? weight[k] : 0;
        if (sum > most || (sum == most && label[i] > winner)) {
            most = sum;
            winner = label[i];
        }
    }
    return winner;
}

static guint8 label_anywhere(const Row *row, const gint64 from[3], const guint8 *x, gint64 w)
{
    gint64 index[8];
    float weight[8];
    guint8 label[8];

    corners_at(row, from, w, index, weight);
    for (int k = 0; k < 8; k++)
        label[k] = index[k] < 0 ? 0 : x[index[k]];
    return vote(label, weight);
}

static void labels_inside(const Row *row, const gint64 from[3], const guint8 *restrict x,
                          guint8 *restrict y)
{
    const gint64 sh = from[2], sd = from[1] * from[2];

    for (gint64 w = row->first; w < row->last; w++) {
        const gint64 at = (gint64)row_at(row, 0, w) * sd + (gint64)row_at(row, 1, w) * sh
                          + (gint64)row_at(row, 2, w);
        guint16 pair[4]; /* two neighbours along W each */

        memcpy(&pair[0], x + at, 2);
        memcpy(&pair[1], x + at + sh, 2);
        memcpy(&pair[2], x + at + sd, 2);
        memcpy(&pair[3], x + at + sd + sh, 2);
        if (pair[0] == pair[1] && pair[0] == pair[2] && pair[0] == pair[3]
            && (pair[0] & 0xff) == pair[0] >> 8)
            y[w] = x[at];
        else
            y[w] = label_anywhere(row, from, x, w);
    }
}

void resample_labels(const Resample *resample, const guint8 *x, guint8 *y)
{
    const gint64 *to = resample->to;

    for (gint64 d = 0; d < to[0]; d++)
        for (gint64 h = 0; h < to[1]; h++, y += to[2]) {
            const Row row = row_of(resample, d, h);

            for (gint64 w = 0; w < row.first; w++)
                y[w] = label_anywhere(&row, resample->from, x, w);
            labels_inside(&row, resample->from, x, y);
            for (gint64 w = row.last; w < to[2]; w++)
                y[w] = label_anywhere(&row, resample->from, x, w);
        }
}
