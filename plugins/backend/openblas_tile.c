/* openblas_tile - the portions of a convolution, and what moves between maps and portions. */
#include "openblas.h"

#include <string.h>

#define TILE_COLUMNS 512           /* enough for GEMM to reach its speed */
#define PORTION_FLOATS (192 << 10) /* 768 KiB at once: from 256 KiB to 1 MiB all do */

void sweep_init(Sweep *sweep, const LoomBlockSpec *spec, gboolean back)
{
    const gint64 c_in = spec->c_in[0] + spec->c_in[1];

    *sweep = (Sweep){
        .n = spec->n, .c_in = back ? spec->c_out : c_in, .c_out = back ? c_in : spec->c_out};
    memcpy(sweep->in, back ? spec->out : spec->in, sizeof sweep->in);
    memcpy(sweep->out, back ? spec->in : spec->out, sizeof sweep->out);
    memcpy(sweep->kernel, spec->kernel, sizeof sweep->kernel);
    memcpy(sweep->stride, spec->stride, sizeof sweep->stride);
    sweep->inner = sweep->in[0] * sweep->in[1] * sweep->in[2];
    sweep->outer = sweep->out[0] * sweep->out[1] * sweep->out[2];
    sweep->fold = spec->stride[2] == 1 ? spec->kernel[2] : 1;
    sweep->taps = spec->kernel[0] * spec->kernel[1] * spec->kernel[2] / sweep->fold;

    const gint64 rows = sweep->out[0] * sweep->out[1];
    sweep->rows = CLAMP(TILE_COLUMNS / sweep->out[2], 1, rows);
    sweep->columns = sweep->rows * sweep->out[2];
    sweep->tiles = (rows + sweep->rows - 1) / sweep->rows;
    sweep->c_portion = CLAMP(PORTION_FLOATS / (sweep->taps * sweep->columns), 1, sweep->c_in);
}

gint64 sweep_tile_floats(const Sweep *sweep)
{
    return (sweep->c_portion * sweep->taps + sweep->fold * sweep->c_out) * sweep->columns;
}

gint64 sweep_rows(const Sweep *sweep, gint64 tile, gint64 *rows)
{
    const gint64 first = tile * sweep->rows;

    *rows = MIN(sweep->rows, sweep->out[0] * sweep->out[1] - first);
    return first;
}

/* One output row from one input row, every stride-th voxel from @first on. */
static void gather_row(const Sweep *sweep, const float *from, gint64 first, float *to)
{
    const gint64 stride = sweep->stride[2], width = sweep->in[2];

    if (stride == 1 && first == 0) {
        memcpy(to, from, (gsize)width * sizeof *to);
        return;
    }
    for (gint64 w = 0; w < sweep->out[2]; w++) {
        const gint64 at = w * stride + first;

        to[w] = at >= 0 && at < width ? from[at] : 0.0f;
    }
}

/* Output rows @h .. @h + @rows - 1 of input plane @from, for one tap.  @tap: (kh, kw). */
static void gather_plane(const Sweep *sweep, const float *from, gint64 h, gint64 rows,
                         const gint64 tap[2], float *to)
{
    const gint64 height = sweep->in[1], width = sweep->out[2];
    const gint64 first = tap[1] - (sweep->fold == 1 ? (sweep->kernel[2] - 1) / 2 : 0);
    const gint64 top = h * sweep->stride[1] + tap[0] - (sweep->kernel[1] - 1) / 2;

    if (sweep->stride[1] == 1 && sweep->stride[2] == 1) { /* one run, zeros above and below */
        const gint64 above = CLAMP(-top, 0, rows), inside = CLAMP(height - top, above, rows);

        memset(to, 0, (gsize)(above * width) * sizeof *to);
        memcpy(to + above * width, from + (top + above) * width,
               (gsize)((inside - above) * width) * sizeof *to);
        memset(to + inside * width, 0, (gsize)((rows - inside) * width) * sizeof *to);
        return;
    }
    for (gint64 r = 0; r < rows; r++, to += width) {
        const gint64 at = top + r * sweep->stride[1];

        if (at < 0 || at >= height)
            memset(to, 0, (gsize)width * sizeof *to);
        else
            gather_row(sweep, from + at * sweep->in[2], first, to);
    }
}

void tile_gather(const Sweep *sweep, const float *plane, gint64 row, gint64 rows, float *to)
{
    const gint64 kw = sweep->kernel[2] / sweep->fold;

    for (gint64 t = 0; t < sweep->taps; t++) {
        const gint64 tap[2] = {t / kw % sweep->kernel[1], t % kw};
        const gint64 kd = t / (kw * sweep->kernel[1]);

        for (gint64 r = row, run; r < row + rows; r += run, to += run * sweep->out[2]) {
            const gint64 d = r / sweep->out[1], h = r % sweep->out[1];
            const gint64 at = d * sweep->stride[0] + kd - (sweep->kernel[0] - 1) / 2;

            run = MIN(sweep->out[1] - h, row + rows - r);
            if (at < 0 || at >= sweep->in[0])
                memset(to, 0, (gsize)(run * sweep->out[2]) * sizeof *to);
            else
                gather_plane(sweep, plane + at * sweep->in[1] * sweep->in[2], h, run, tap, to);
        }
    }
}

OPENBLAS_WIDE
static void unfold_one(float *restrict y, const float *restrict z, gint64 count, float bias,
                       gboolean add)
{
    if (add)
        for (gint64 i = 0; i < count; i++)
            y[i] += z[i] + bias;
    else
        for (gint64 i = 0; i < count; i++)
            y[i] = z[i] + bias;
}

OPENBLAS_WIDE
static void unfold_three(float *restrict y, const float *restrict left,
                         const float *restrict middle, const float *restrict right,
                         gint64 count, float bias, gboolean add)
{
    if (add)
        for (gint64 i = 0; i < count; i++)
            y[i] += left[i - 1] + middle[i] + right[i + 1] + bias;
    else
        for (gint64 i = 0; i < count; i++)
            y[i] = left[i - 1] + middle[i] + right[i + 1] + bias;
}

void tile_unfold(const Sweep *sweep, float *z, gint64 step, gint64 columns, float bias,
                 gboolean add, float *y)
{
    float *left = z, *middle = z + step, *right = z + 2 * step;
    const gint64 width = sweep->out[2], last = columns - 1;

    if (sweep->fold == 1) {
        unfold_one(y, z, columns, bias, add);
        return;
    }
    for (gint64 i = 0; i < columns; i += width) { /* nothing crosses from row to row */
        left[i + width - 1] = 0.0f;
        right[i] = 0.0f;
    }
    unfold_one(y, middle, 1, bias + (last ? right[1] : 0.0f), add);
    if (!last)
        return;
    unfold_one(y + last, middle + last, 1, bias + left[last - 1], add);
    unfold_three(y + 1, left + 1, middle + 1, right + 1, columns - 2, bias, add);
}

void tile_refold(const Sweep *sweep, const float *y, gint64 columns, gint64 step, float *to)
{
    const gsize bytes = (gsize)columns * sizeof *to;
    float *left = to, *middle = to + step, *right = to + 2 * step;

    if (sweep->fold == 1) {
        memcpy(to, y, bytes);
        return;
    }
    memcpy(left, y + 1, bytes - sizeof *to);
    memcpy(middle, y, bytes);
    memcpy(right + 1, y, bytes - sizeof *to);
    for (gint64 i = 0; i < columns; i += sweep->out[2]) {
        left[i + sweep->out[2] - 1] = 0.0f;
        right[i] = 0.0f;
    }
}
