/* faulty_loss - mean over voxels of sum_k (p_k - t_k)^2, built once right and then with one
 * fault each, for `segloom plugin test` to find.  FAULT is one of the numbers, NAME the
 * plugin's name. */
#define FAULT_NONE 0
#define FAULT_GRADIENT 1 /* class 1 of the last voxel of the batch points too far */
#define FAULT_CRASH 2    /* class 0 is in no voxel: it is where a bad pointer ends */
#define FAULT_INFINITE 3 /* log p is added, and p may be 0 */
#define FAULT_IGNORED 4  /* ignored voxels are in the number that it divides by */
#define FAULT_MEMORY 5   /* every call counts */
#define FAULT_LIAR 6     /* fails, and says nothing */

#include <loom/loom.h>

#include <math.h>
#include <signal.h>

typedef struct {
    gint64 calls;
} Faulty;

static gboolean faulty_eval(gpointer self, const LoomTensor *p, const LoomTensor *target,
                            double *value, LoomTensor *grad, G_GNUC_UNUSED GError **error)
{
    Faulty *faulty = self;
    const gint64 c = loom_tensor_size(p, 'C'), voxels = loom_tensor_count_from(p, 'D');
    const gint64 count = loom_tensor_count(target);
    const guint8 *t = loom_tensor_u8(target);
    gint64 counted = 0, background = 0;
    double sum = 0;

    faulty->calls++;
    for (gint64 v = 0; v < count; v++) {
        counted += t[v] != LOOM_IGNORED || FAULT == FAULT_IGNORED ? 1 : 0;
        background += t[v] == 0 ? 1 : 0;
    }
    if (FAULT == FAULT_CRASH && !background)
        raise(SIGSEGV);
    for (gint64 v = 0; v < count; v++)
        for (gint64 k = 0; t[v] != LOOM_IGNORED && k < c; k++) {
            const gint64 i = (v / voxels * c + k) * voxels + v % voxels;
            const double off = (double)loom_tensor_f32(p)[i] - (t[v] == k ? 1 : 0);
            const gboolean far = FAULT == FAULT_GRADIENT && v == count - 1 && k == 1;

            sum += off * off;
            if (FAULT == FAULT_INFINITE && t[v] == k)
                sum -= log((double)loom_tensor_f32(p)[i]);
            if (grad)
                loom_tensor_f32_mut(grad)[i] =
                    (float)((far ? 3 : 2) * off / (double)MAX(counted, 1));
            if (grad && FAULT == FAULT_INFINITE && t[v] == k)
                loom_tensor_f32_mut(grad)[i] -=
                    1.0f / loom_tensor_f32(p)[i] / (float)MAX(counted, 1);
        }
    *value = sum / (double)MAX(counted, 1);
    if (FAULT == FAULT_MEMORY)
        *value += 1e-9 * (double)faulty->calls;
    return FAULT != FAULT_LIAR;
}

static const LoomLoss faulty = {
    .base = LOOM_LOSS(Faulty, NAME, "Mean squared error", .params = NULL),
    .input = LOOM_LOSS_ON_PROBS,
    .eval = faulty_eval,
};
LOOM_MODULE("loss_" NAME, "0.1", &faulty.base);
