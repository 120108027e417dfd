/* rng - counter-based random numbers: a stream is a function of (seed, name, number), so there
 * is no state that threads could consume in another order.
 * Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"
 * (SplitMix64: the output is a bijective mix of key + counter * golden ratio). */
#include <loom/context.h>

#include <math.h>

__extension__ typedef unsigned __int128 Rng128;

#define RNG_GOLDEN 0x9e3779b97f4a7c15ull /* 2^64 / golden ratio, odd */

static guint64 rng_mix(guint64 z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* FNV-1a: g_str_hash has 32 bits, and may change between versions of GLib. */
static guint64 rng_hash(const char *name)
{
    guint64 hash = 0xcbf29ce484222325ull;

    for (; *name; name++)
        hash = (hash ^ (guint8)*name) * 0x100000001b3ull;
    return hash;
}

LoomRng loom_rng(guint64 seed, const char *name, guint64 number)
{
    const guint64 key = rng_mix(seed + RNG_GOLDEN) ^ rng_hash(name);

    return (LoomRng){rng_mix(rng_mix(key) + number * RNG_GOLDEN), 0};
}

guint64 loom_rng_u64(LoomRng *rng)
{
    return rng_mix(rng->key + ++rng->counter * RNG_GOLDEN);
}

double loom_rng_uniform(LoomRng *rng, double low, double high)
{
    return low + (high - low) * (double)(loom_rng_u64(rng) >> 11) * 0x1p-53;
}

gint64 loom_rng_below(LoomRng *rng, gint64 n)
{
    /* 128-bit multiply: the bias is below n / 2^64 */
    return (gint64)(((Rng128)loom_rng_u64(rng) * (guint64)n) >> 64);
}

double loom_rng_normal(LoomRng *rng)
{
    /* Box and Muller 1958; 1 - u is in (0, 1], so the logarithm is finite */
    const double radius = sqrt(-2.0 * log(1.0 - loom_rng_uniform(rng, 0, 1)));

    return radius * cos(2.0 * G_PI * loom_rng_uniform(rng, 0, 1));
}

void loom_rng_shuffle(LoomRng *rng, gint64 *values, gint64 n)
{
    for (gint64 i = n - 1; i > 0; i--) { /* Fisher and Yates */
        const gint64 j = loom_rng_below(rng, i + 1), kept = values[i];

        values[i] = values[j];
        values[j] = kept;
    }
}
