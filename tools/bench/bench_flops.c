/* bench_flops - see bench_flops.h.  Twelve sums that do not wait for one another: two units
 * that take four or five cycles each are kept busy. */
#include "bench_flops.h"

#define SUMS 12
#define ROUNDS 100000 /* of a portion: a fifth of a millisecond or so */
#define PORTIONS 8    /* a thread, so that one that comes late matters little */
#define TRIES 40      /* short ones: other programs want the processor now and then */

typedef void (*FlopsFunc)(float *out, float factor);

/* The numbers stay near 1: x = x factor + (1 - factor).  They leave by @out, so that the
 * compiler cannot drop them. */
#define FLOPS_FUNCTION(Name, Bytes, Target)                                                    \
    typedef float Name##Vector __attribute__((vector_size(Bytes)));                            \
    Target static void Name(float *out, float factor)                                          \
    {                                                                                          \
        const Name##Vector one = (Name##Vector){0} + 1.0f, f = one * factor, g = one - f;      \
        Name##Vector a = one, b = a + f, c = b + f, d = c + f, e = d + f, h = e + f,           \
                     i = h + f, j = i + f, k = j + f, l = k + f, m = l + f, n = m + f;         \
                                                                                               \
        for (int round = 0; round < ROUNDS; round++) {                                         \
            a = a * f + g, b = b * f + g, c = c * f + g, d = d * f + g;                        \
            e = e * f + g, h = h * f + g, i = i * f + g, j = j * f + g;                        \
            k = k * f + g, l = l * f + g, m = m * f + g, n = n * f + g;                        \
        }                                                                                      \
        a += b + c + d + e + h + i + j + k + l + m + n;                                        \
        for (gsize lane = 0; lane < (Bytes) / sizeof(float); lane++)                           \
            *out += a[lane];                                                                   \
    }

FLOPS_FUNCTION(flops_portable, 16, )
#if defined(__x86_64__)
FLOPS_FUNCTION(flops_avx2, 32, __attribute__((target("avx2,fma"))))
FLOPS_FUNCTION(flops_avx512, 64, __attribute__((target("avx512f"))))
#endif

/* @lanes: floats of its vectors. */
static FlopsFunc flops_choose(guint *lanes)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) {
        *lanes = 16;
        return flops_avx512;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        *lanes = 8;
        return flops_avx2;
    }
#endif
    *lanes = 4;
    return flops_portable;
}

typedef struct {
    FlopsFunc func;
    float *out; /* (portions) */
} Flops;

static void flops_portion(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Flops *flops = data;

    flops->func(flops->out + i, 0.999f);
}

double bench_flops(LoomPool *pool)
{
    const gint64 portions = PORTIONS * (gint64)loom_pool_threads(pool);
    g_autofree float *out = g_new0(float, (gsize)portions);
    Flops flops = {.out = out};
    guint lanes;
    double best = 0;

    flops.func = flops_choose(&lanes);
    for (gint i = 0; i < TRIES; i++) {
        const gint64 began = g_get_monotonic_time();

        loom_pool_run(pool, portions, flops_portion, &flops);
        const double seconds = (double)(g_get_monotonic_time() - began) / G_USEC_PER_SEC;
        const double done = 2.0 * SUMS * ROUNDS * lanes * (double)portions;
        best = MAX(best, done / seconds);
    }
    return best;
}
