/* cpu_measure - which way is the fastest for a convolution, by trying all on a part of its
 * volume. What is tried has memory of its own, given back at once. */
#include "cpu.h"

#include <stdlib.h>

#define PART_VOXELS 65536 /* of all samples: enough to leave the caches */
#define TRIES 3           /* the fastest counts: the first one meets cold memory */

/* One convolution and all it works on. */
typedef struct {
    LoomBlockSpec spec;
    LoomMap *x[2], *dx[2], *y;
    LoomArray *kernel, *bias, *gradient;
} Trial;

/* A part of the volume that takes as long a voxel as the whole. */
static LoomBlockSpec part_of(const LoomBlockSpec *whole)
{
    LoomBlockSpec s = *whole;

    s.training = TRUE;
    for (guint a = 0; s.n * s.in[0] * s.in[1] * s.in[2] > PART_VOXELS && a < 3;) {
        if (s.n > 1)
            s.n = (s.n + 1) / 2;
        else if (s.in[a] > 16)
            s.in[a] = s.out[a] = (s.in[a] + 1) / 2;
        else
            a++;
    }
    return s;
}

static gboolean trial_make(Cpu *cpu, Trial *t)
{
    const LoomBlockSpec *s = &t->spec;
    const gint64 out[5] = {s->n, s->c_out, s->out[0], s->out[1], s->out[2]};
    const gint64 taps = s->kernel[0] * s->kernel[1] * s->kernel[2];
    const gint64 count = (s->c_in[0] + s->c_in[1]) * s->c_out * taps;

    for (guint i = 0; i < 2 && s->c_in[i]; i++) {
        const gint64 in[5] = {s->n, s->c_in[i], s->in[0], s->in[1], s->in[2]};

        if (!(t->x[i] = map_new(cpu, in, NULL)) || !(t->dx[i] = map_new(cpu, in, NULL)))
            return FALSE;
    }
    return (t->y = map_new(cpu, out, NULL)) && (t->kernel = array_new(cpu, count, NULL))
           && (t->bias = array_new(cpu, s->c_out, NULL))
           && (t->gradient = array_new(cpu, count, NULL));
}

static void trial_free(Cpu *cpu, Trial *t)
{
    for (guint i = 0; i < 2; i++) {
        map_free(cpu, t->x[i]);
        map_free(cpu, t->dx[i]);
    }
    map_free(cpu, t->y);
    array_free(cpu, t->kernel);
    array_free(cpu, t->bias);
    array_free(cpu, t->gradient);
}

static void trial_run(Cpu *cpu, Trial *t, LoomBlock *block, CpuDirection direction)
{
    const LoomBlockWeights w = {.kernel = t->kernel, .bias = t->bias};
    const LoomBlockGradient dx[2] = {{t->dx[0], FALSE}, {t->dx[1], FALSE}};
    const LoomMap *const x[2] = {t->x[0], t->x[1]};

    if (direction == CPU_FORWARD)
        convolve_forward(cpu, block, x, &w, t->y);
    else if (direction == CPU_BACK)
        convolve_back(cpu, block, &w, t->y, dx);
    else
        convolve_gradient(cpu, block, x, t->y, &w, t->gradient);
}

/* Microseconds of each direction by the plan of @cpu; FALSE: not enough memory to try. */
static gboolean trial_time(Cpu *cpu, Trial *t, gint64 took[CPU_WAYS])
{
    LoomBlock *block = block_new(cpu, &t->spec, NULL);

    if (!block)
        return FALSE;
    for (CpuDirection d = CPU_FORWARD; d < CPU_WAYS; d++) {
        took[d] = G_MAXINT64;
        for (guint i = 0; i < TRIES; i++) {
            const gint64 start = g_get_monotonic_time();

            trial_run(cpu, t, block, d);
            took[d] = MIN(took[d], g_get_monotonic_time() - start);
        }
    }
    block_free(cpu, block);
    return TRUE;
}

gboolean measure_ways(const Cpu *owner, const LoomBlockSpec *spec, gint64 m[CPU_WAYS])
{
    static const struct {
        CpuPlan plan;
        gint64 m;
    } ways[] = {{CPU_PLAN_DIRECT, 0}, {CPU_PLAN_F2, 2}, {CPU_PLAN_F4, 4}};
    Cpu cpu = {.precision = owner->precision, .pool = owner->pool, .kernels = owner->kernels};
    gint64 best[CPU_WAYS] = {G_MAXINT64, G_MAXINT64, G_MAXINT64};
    Trial trial = {.spec = part_of(spec)};
    gboolean made;

    pthread_mutex_init(&cpu.lock, NULL);
    made = trial_make(&cpu, &trial);
    for (guint i = 0; made && i < G_N_ELEMENTS(ways); i++) {
        gint64 took[CPU_WAYS];

        cpu.plan = (int)ways[i].plan;
        made = trial_time(&cpu, &trial, took);
        for (CpuDirection d = CPU_FORWARD; made && d < CPU_WAYS; d++)
            if (took[d] < best[d]) {
                best[d] = took[d];
                m[d] = ways[i].m;
            }
    }
    trial_free(&cpu, &trial);
    free(cpu.workspace);
    pthread_mutex_destroy(&cpu.lock);
    return made;
}
