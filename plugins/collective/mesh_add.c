/* mesh_add - the sums themselves.  What came in a message may be aligned to nothing. */
#include "mesh.h"

#include <string.h>

typedef float Loose __attribute__((aligned(1), may_alias));

#define BLOCK 2048 /* floats: two of them stay in the first level of cache */

static void block_add(float *restrict own, const Loose *restrict other, gsize count)
{
    for (gsize i = 0; i < count; i++)
        own[i] = other[i] + own[i];
}

void mesh_add_two(float *own, const void *other, gsize count)
{
    block_add(own, other, count);
}

void mesh_add(float *out, const void *const *in, guint n, gsize count)
{
    float sum[BLOCK];

    for (gsize at = 0; at < count; at += BLOCK) {
        const gsize some = MIN(count - at, BLOCK);

        memcpy(sum, (const guint8 *)in[0] + at * sizeof(float), some * sizeof(float));
        for (guint k = 1; k < n; k++)
            block_add(sum, (const Loose *)in[k] + at, some);
        memcpy(out + at, sum, some * sizeof(float));
    }
}
