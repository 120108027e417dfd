/* Which build of the kernels of the backend `cpu` a processor runs, and what is said to who
 * asks for another. */
#include "loom_test.h"

#include "../../plugins/backend/cpu.h"
#include "graph/state.h"

#include <string.h>

#define ANY_ISA (CPU_HAS_AVX2 | CPU_HAS_AVX512)

extern const LoomModule loom_module; /* of the backend, linked into this test */

static void isa_is(guint has, const char *wanted, const char *want)
{
    GError *error = NULL;
    const CpuKernels *kernels = isa_pick(has, wanted, CPU_F32, &error);

    g_assert_no_error(error);
    g_assert_cmpstr(kernels->name, ==, want);
}

static void isa_refused(guint has, const char *wanted, const char *text)
{
    GError *error = NULL;

    loom_assert_failed(isa_pick(has, wanted, CPU_F32, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, text);
    g_clear_error(&error);
}

static void test_isa(void)
{
    isa_is(0, NULL, "portable");
    isa_is(ANY_ISA, "portable", "portable");
    isa_refused(0, "sse9", "'sse9', which nobody knows; this processor has portable");
    isa_refused(0, "", "''");
    isa_refused(0, "AVX2", "'AVX2'");
#if defined(__x86_64__)
    isa_is(CPU_HAS_AVX2, NULL, "avx2");
    isa_is(ANY_ISA, NULL, "avx512");
    isa_is(ANY_ISA, "avx2", "avx2");
    isa_refused(CPU_HAS_AVX2, "avx512",
                "'avx512', which this processor lacks; it has avx2, portable");
    isa_refused(0, "avx2", "'avx2', which this processor lacks; it has portable");
    isa_refused(ANY_ISA, "neon", "has avx512, avx2, portable");
#endif
}

/* Each set has kernels for either precision, of one name: SEGLOOM_ISA says nothing of it. */
static void test_isa_precision(void)
{
    const CpuKernels *f32 = isa_pick(ANY_ISA, NULL, CPU_F32, NULL);
    const CpuKernels *bf16 = isa_pick(ANY_ISA, NULL, CPU_BF16, NULL);

    g_assert_true(f32 != bf16 && f32->norm_back != bf16->norm_back);
    g_assert_cmpstr(f32->name, ==, bf16->name);
    g_assert_cmpstr(isa_pick(0, NULL, CPU_BF16, NULL)->name, ==, "portable");
}

/* The variable reaches it, and a backend that failed to open closes. */
static void test_isa_environment(void)
{
    g_autofree char *before = g_strdup(g_getenv("SEGLOOM_ISA"));
    LoomRun run = {.pool = loom_pool_new(1)};
    LoomHost host = {&run, "test", NULL};
    Cpu cpu = {0};
    GError *error = NULL;

    g_setenv("SEGLOOM_ISA", "abacus", TRUE);
    loom_assert_failed(loom_module.plugins[0]->open(&cpu, &host, &error), error, LOOM_ERROR,
                       LOOM_ERROR_CONFIG, "SEGLOOM_ISA is 'abacus'");
    g_clear_error(&error);
    loom_module.plugins[0]->close(&cpu);
    g_setenv("SEGLOOM_ISA", "portable", TRUE);
    g_assert_cmpstr(isa_choose(CPU_F32, NULL)->name, ==, "portable");
    g_unsetenv("SEGLOOM_ISA");
    g_assert_nonnull(isa_choose(CPU_F32, NULL));
    if (before)
        g_setenv("SEGLOOM_ISA", before, TRUE);
    loom_pool_free(run.pool);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/isa/pick", test_isa);
    g_test_add_func("/cpu/isa/precision", test_isa_precision);
    g_test_add_func("/cpu/isa/environment", test_isa_environment);
    return loom_test_run();
}
