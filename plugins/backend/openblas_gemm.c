/* openblas_gemm - the one place that knows OpenBLAS.
 *
 * The library is loaded when a run asks for this backend, not with the module: where it is
 * missing all else still works, and where nobody multiplies its threads are not started. */
#include "openblas.h"

#include <cblas.h>
#include <gmodule.h>

#define LIBRARY "libopenblas.so.0"

static __typeof__(cblas_sgemm) *sgemm; /* atomic: one library a process, the same for all */

static gboolean gemm_find(GModule *library, const char *name, gpointer symbol, GError **error)
{
    return g_module_symbol(library, name, symbol)
           || loom_fail(error, LOOM_ERROR_PLUGIN, "'" LIBRARY "' has no '%s'", name);
}

/* Does it multiply at all?  (1 2; 3 4) (5 6; 7 8) = (19 22; 43 50) */
static gboolean gemm_try(GError **error)
{
    const float a[4] = {1, 2, 3, 4}, b[4] = {5, 6, 7, 8};
    float c[4] = {0};

    gemm(GEMM_PLAIN, (const gint64[]){2, 2, 2}, a, 2, b, 2, 0.0f, c, 2);
    if (c[0] == 19 && c[1] == 22 && c[2] == 43 && c[3] == 50)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_PLUGIN,
                     "'" LIBRARY "' says (1 2; 3 4) (5 6; 7 8) is (%g %g; %g %g), "
                     "not (19 22; 43 50)",
                     (double)c[0], (double)c[1], (double)c[2], (double)c[3]);
}

gboolean gemm_open(GError **error)
{
    __typeof__(openblas_set_num_threads) *set_threads = NULL;
    gpointer found = NULL;
    GModule *library = g_module_open(LIBRARY, G_MODULE_BIND_LOCAL);

    if (!library)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "OpenBLAS cannot be loaded: %s",
                         g_module_error());
    g_module_make_resident(library); /* it has threads of its own */
    if (!gemm_find(library, "openblas_set_num_threads", &set_threads, error)
        || !gemm_find(library, "cblas_sgemm", &found, error))
        return FALSE;
    g_atomic_pointer_set(&sgemm, found);
    set_threads(1); /* the threads are ours: each calls for its own tile */
    return gemm_try(error);
}

void gemm(GemmTurn turn, const gint64 mnk[3], const float *a, gint64 lda, const float *b,
          gint64 ldb, float beta, float *c, gint64 ldc)
{
    const __typeof__(sgemm) multiply = g_atomic_pointer_get(&sgemm);

    multiply(CblasRowMajor, turn == GEMM_LEFT_TURNED ? CblasTrans : CblasNoTrans,
             turn == GEMM_RIGHT_TURNED ? CblasTrans : CblasNoTrans, (blasint)mnk[0],
             (blasint)mnk[1], (blasint)mnk[2], 1.0f, a, (blasint)lda, b, (blasint)ldb, beta, c,
             (blasint)ldc);
}
