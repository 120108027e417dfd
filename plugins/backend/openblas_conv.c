/* openblas_conv - convolution as one GEMM a tile; the gradient of a stride-1 convolution with
 * respect to its input is one as well, with the kernel turned around. */
#include "openblas.h"

/* ---- the kernel as a matrix: (fold, K) rows, (C, taps) columns ---------------------- */

typedef struct {
    const LoomBlock *block;
    const Sweep *sweep;
    const float *kernel;
    gboolean back;
} MatrixJob;

static void matrix_rows(gint64 k, G_GNUC_UNUSED guint worker, gpointer data)
{
    const MatrixJob *job = data;
    const Sweep *s = job->sweep;
    const gint64 taps = s->taps, fold = s->fold, all = taps * fold;

    for (gint64 f = 0; f < fold; f++) {
        float *row = job->block->matrix + (f * s->c_out + k) * s->c_in * taps;

        for (gint64 c = 0; c < s->c_in; c++)
            for (gint64 t = 0; t < taps; t++)
                row[c * taps + t] = job->back
                                        ? job->kernel[(c * s->c_out + k) * all
                                                      + (taps - 1 - t) * fold + fold - 1 - f]
                                        : job->kernel[(k * s->c_in + c) * all + t * fold + f];
    }
}

void conv_matrix(Openblas *self, const LoomBlock *block, const float *kernel, gboolean back)
{
    MatrixJob job = {block, back ? &block->back : &block->there, kernel, back};

    loom_pool_run(self->pool, job.sweep->c_out, matrix_rows, &job);
}

/* ---- the sweep ---------------------------------------------------------------------- */

typedef struct {
    const Openblas *self;
    const Sweep *sweep;
    const float *matrix, *bias;
    const Joined *x, *y;
    const gboolean *add;
} ConvJob;

/* z (fold, K, columns) = matrix x gathered, a portion of the channels at a time. */
static void conv_product(const ConvJob *job, gint64 n, gint64 row, gint64 rows, float *gathered,
                         float *z)
{
    const Sweep *s = job->sweep;
    const gint64 columns = rows * s->out[2], depth = s->c_in * s->taps;

    for (gint64 first = 0; first < s->c_in; first += s->c_portion) {
        const gint64 portion = MIN(s->c_portion, s->c_in - first);
        const gint64 mnk[3] = {s->fold * s->c_out, columns, portion * s->taps};

        for (gint64 c = 0; c < portion; c++)
            tile_gather(s, joined_plane(job->x, n, first + c), row, rows,
                        gathered + c * s->taps * columns);
        gemm(GEMM_PLAIN, mnk, job->matrix + first * s->taps, depth, gathered, columns,
             first ? 1.0f : 0.0f, z, columns);
    }
}

static void conv_tile(gint64 i, guint worker, gpointer data)
{
    const ConvJob *job = data;
    const Sweep *s = job->sweep;
    float *gathered = job->self->workspace + worker * job->self->tile_floats;
    float *z = gathered + s->c_portion * s->taps * s->columns;
    const gint64 n = i / s->tiles;
    gint64 rows;
    const gint64 row = sweep_rows(s, i % s->tiles, &rows), columns = rows * s->out[2];

    conv_product(job, n, row, rows, gathered, z);
    for (gint64 k = 0; k < s->c_out; k++) {
        float *plane = joined_plane(job->y, n, k);

        if (plane)
            tile_unfold(s, z + k * columns, s->c_out * columns, columns,
                        job->bias ? job->bias[k] : 0.0f, job->add[k >= job->y->channels[0]],
                        plane + row * s->out[2]);
    }
}

void conv_run(Openblas *self, const Sweep *sweep, const float *matrix, const Joined *x,
              const float *bias, const Joined *y, const gboolean add[2])
{
    ConvJob job = {self, sweep, matrix, bias, x, y, add};

    loom_pool_run(self->pool, sweep->n * sweep->tiles, conv_tile, &job);
}
