/* cpu_isa - which build of the kernels this machine runs: the widest it has, or the one that
 * the environment variable SEGLOOM_ISA names. */
#include "cpu.h"

static const struct {
    const CpuKernels *kernels[CPU_PRECISIONS];
    guint needs;
} builds[] = {
#if defined(__x86_64__)
    {{&cpu_kernels_avx512, &cpu_kernels_avx512_bf16}, CPU_HAS_AVX512},
    {{&cpu_kernels_avx2, &cpu_kernels_avx2_bf16}, CPU_HAS_AVX2},
#endif
    {{&cpu_kernels_portable, &cpu_kernels_portable_bf16}, 0},
};

guint isa_processor(void)
{
    guint has = 0;

#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("fma"))
        has |= CPU_HAS_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        has |= CPU_HAS_AVX2;
#endif
    return has;
}

/* "avx2, portable" */
static char *names_of(guint has)
{
    GString *names = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(builds); i++)
        if ((builds[i].needs & ~has) == 0)
            g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                                   builds[i].kernels[CPU_F32]->name);
    return g_string_free(names, FALSE);
}

const CpuKernels *isa_pick(guint has, const char *wanted, CpuPrecision precision,
                           GError **error)
{
    g_autofree char *names = names_of(has);

    for (guint i = 0; i < G_N_ELEMENTS(builds); i++) {
        if (wanted && !g_str_equal(wanted, builds[i].kernels[CPU_F32]->name))
            continue;
        if ((builds[i].needs & ~has) == 0)
            return builds[i].kernels[precision];
        if (wanted)
            return loom_fail_null(error, LOOM_ERROR_CONFIG,
                                  "SEGLOOM_ISA is '%s', which this processor lacks; it has %s",
                                  wanted, names);
    }
    return loom_fail_null(error, LOOM_ERROR_CONFIG,
                          "SEGLOOM_ISA is '%s', which nobody knows; this processor has %s",
                          wanted, names);
}

const CpuKernels *isa_choose(CpuPrecision precision, GError **error)
{
    return isa_pick(isa_processor(), g_getenv("SEGLOOM_ISA"), precision, error);
}
