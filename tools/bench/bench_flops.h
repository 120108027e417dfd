/* bench_flops.h - how many operations a second this machine can do at all. */
#pragma once

#include <loom/context.h>

/* bench_flops - f32 operations a second, multiplication and addition counted apart, of all
 * threads of @pool together: the best of several short runs of fused multiply-adds that need no
 * memory, in the widest vectors this processor has. */
double bench_flops(LoomPool *pool);
