/* loss - value and gradient of any loss plugin from logits: checks what comes in, calls it. */
#include "loss_kit.h"

#include <string.h>

static gboolean check_target(const LoomTensor *logits, const LoomTensor *target, GError **error)
{
    const gint64 classes = loom_tensor_size(logits, 'C');
    const guint8 *t;
    guint8 highest = 0;

    if (!loom_tensor_check(logits, LOOM_F32, "NCDHW", "logits", error)
        || !loom_tensor_check(target, LOOM_U8, "NDHW", "label", error)
        || !loom_tensor_check_grid(logits, "logits", target, "label", error))
        return FALSE;
    if (loom_tensor_size(logits, 'N') != loom_tensor_size(target, 'N'))
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'logits' has %" G_GINT64_FORMAT
                         " samples, 'label' has %" G_GINT64_FORMAT,
                         loom_tensor_size(logits, 'N'), loom_tensor_size(target, 'N'));
    if (classes > LOOM_IGNORED)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'logits' has %" G_GINT64_FORMAT " classes, want at most %d", classes,
                         LOOM_IGNORED);
    t = loom_tensor_u8(target);
    for (gint64 v = 0, n = loom_tensor_count(target); v < n; v++)
        highest = t[v] != LOOM_IGNORED && t[v] > highest ? t[v] : highest;
    if (highest >= classes)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "'label' has a voxel of class %u, the logits have %" G_GINT64_FORMAT
                         " classes (0 to %" G_GINT64_FORMAT ")",
                         highest, classes, classes - 1);
    return TRUE;
}

/* A loss that is a function of the tensors, with softmax around it where it wants that. */
static gboolean plain_eval(const LoomInstance *loss, const LoomTensor *logits,
                           const LoomTensor *target, double *value, LoomTensor *dlogits,
                           GError **error)
{
    const LoomLoss *plugin = (const LoomLoss *)loss->plugin;
    LoomPool *pool = loom_instance_pool(loss);
    g_autoptr(LoomTensor) probs = NULL;

    if (dlogits)
        memset(loom_tensor_f32_mut(dlogits), 0, loom_tensor_bytes(dlogits));
    if (plugin->input == LOOM_LOSS_ON_LOGITS)
        return plugin->eval(loss->self, logits, target, value, dlogits, error);
    if (!(probs = loom_tensor_new_like(logits, error)))
        return FALSE;
    loom_softmax_on(pool, logits, probs);
    if (!plugin->eval(loss->self, probs, target, value, dlogits, error))
        return FALSE;
    if (dlogits)
        loom_softmax_jacobian(pool, probs, dlogits);
    return TRUE;
}

gint64 loom_target_counted(const LoomTensor *target)
{
    const guint8 *t = loom_tensor_u8(target);
    gint64 n = 0;

    for (gint64 v = 0; v < loom_tensor_count(target); v++)
        n += t[v] != LOOM_IGNORED;
    return n;
}

gboolean loom_loss_eval(const LoomInstance *loss, const LoomTensor *logits,
                        const LoomTensor *target, double *value, LoomTensor *dlogits,
                        GError **error)
{
    const LoomLoss *plugin = (const LoomLoss *)loss->plugin;

    if (!check_target(logits, target, error))
        return FALSE;
    g_assert(!dlogits || loom_tensor_count(dlogits) == loom_tensor_count(logits));
    return plugin->eval ? plain_eval(loss, logits, target, value, dlogits, error)
                        : loom_kit_eval(loss, logits, target, value, dlogits, error);
}
