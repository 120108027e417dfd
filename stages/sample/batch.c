/* batch - many packets to one: images (C,D,H,W) -> (N,C,D,H,W), labels (D,H,W) -> (N,D,H,W).
 * At the end of data the rest leaves as a smaller batch. */
#include <loom/loom.h>

#include <string.h>

typedef struct {
    gint64 size;
    GPtrArray *waiting; /* LoomPacket *, fewer than size */
} Batch;

static const LoomParam batch_params[] = {
    LOOM_INT(Batch, size, "2", 1, 4096, NULL, "packets in a batch"),
    {0},
};

static const LoomSlot batch_reads[] = {
    {"image", LOOM_F32, "CDHW", 0, "one image"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "its classes; all of a batch, or none"},
    {0},
};

static const LoomSlot batch_writes[] = {
    {"image", LOOM_F32, "NCDHW", 0, "the images, one behind the other"},
    {"label", LOOM_U8, "NDHW", LOOM_SLOT_OPTIONAL, "the labels, one behind the other"},
    {0},
};

static gboolean batch_open(gpointer self, G_GNUC_UNUSED LoomHost *host,
                           G_GNUC_UNUSED GError **error)
{
    ((Batch *)self)->waiting = g_ptr_array_new_with_free_func((GDestroyNotify)loom_packet_free);
    return TRUE;
}

static void batch_close(gpointer self)
{
    g_clear_pointer(&((Batch *)self)->waiting, g_ptr_array_unref);
}

static gboolean batch_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                            G_GNUC_UNUSED GError **error)
{
    g_ptr_array_set_size(((Batch *)self)->waiting, 0); /* of a run that was stopped */
    return TRUE;
}

/* Both must have the slot with the same sizes, or neither. */
static gboolean slot_agrees(const LoomPacket *a, const LoomPacket *b, const char *slot,
                            GError **error)
{
    const LoomTensor *x = loom_packet_get(a, slot), *y = loom_packet_get(b, slot);
    g_autofree char *x_text = x ? loom_tensor_describe(x) : NULL;
    g_autofree char *y_text = y ? loom_tensor_describe(y) : NULL;

    if (g_strcmp0(x_text, y_text) == 0)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_SHAPE,
                     "'%s' of case '%s' is %s, of case '%s' %s: a batch needs equal sizes, put "
                     "'crop' before it",
                     slot, loom_packet_id(a), x_text ? x_text : "missing", loom_packet_id(b),
                     y_text ? y_text : "missing");
}

/* Stacks one slot of all that wait; a slot that they lack stays out. */
static gboolean stack_slot(const GPtrArray *packets, const char *slot, LoomPacket *stacked,
                           GError **error)
{
    const LoomTensor *first = loom_packet_get(packets->pdata[0], slot);
    gint64 shape[LOOM_MAX_RANK] = {packets->len};
    LoomTensor *tensor;

    if (!first)
        return TRUE;
    g_autofree char *axes = g_strconcat("N", loom_tensor_axes(first), NULL);
    const gsize bytes = loom_tensor_bytes(first);
    const gboolean floats = loom_tensor_dtype(first) == LOOM_F32;
    memcpy(shape + 1, loom_tensor_shape(first), loom_tensor_rank(first) * sizeof *shape);
    if (!(tensor = loom_tensor_new(loom_tensor_dtype(first), axes, shape, error)))
        return FALSE;
    loom_packet_set(stacked, slot, tensor);
    for (guint i = 0; i < packets->len; i++) {
        const LoomTensor *part = loom_packet_get(packets->pdata[i], slot);

        if (floats)
            memcpy((char *)loom_tensor_f32_mut(tensor) + i * bytes, loom_tensor_f32(part),
                   bytes);
        else
            memcpy(loom_tensor_u8_mut(tensor) + i * bytes, loom_tensor_u8(part), bytes);
    }
    return TRUE;
}

/* Pushes all that wait as one packet. */
static LoomFlow batch_push(Batch *batch, LoomContext *ctx, GError **error)
{
    g_autoptr(LoomPacket) stacked = loom_packet_new();
    g_autoptr(GString) id = g_string_new(NULL);

    if (!stack_slot(batch->waiting, "image", stacked, error)
        || !stack_slot(batch->waiting, "label", stacked, error))
        return LOOM_FLOW_FAIL;
    for (guint i = 0; i < batch->waiting->len; i++)
        g_string_append_printf(id, "%s%s", i ? "+" : "",
                               loom_packet_id(batch->waiting->pdata[i]));
    loom_packet_set_id(stacked, id->str);
    g_ptr_array_set_size(batch->waiting, 0);
    return loom_context_push(ctx, g_steal_pointer(&stacked), error);
}

static LoomFlow batch_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                              GError **error)
{
    Batch *batch = self;

    g_ptr_array_add(batch->waiting, packet);
    if (!slot_agrees(batch->waiting->pdata[0], packet, "image", error)
        || !slot_agrees(batch->waiting->pdata[0], packet, "label", error))
        return LOOM_FLOW_FAIL;
    return batch->waiting->len < (guint)batch->size ? LOOM_FLOW_OK
                                                    : batch_push(batch, ctx, error);
}

static LoomFlow batch_flush(gpointer self, LoomContext *ctx, GError **error)
{
    Batch *batch = self;

    return batch->waiting->len ? batch_push(batch, ctx, error) : LOOM_FLOW_OK;
}

static void batch_ratio(gpointer self, gint64 *in, gint64 *out)
{
    *in = ((const Batch *)self)->size;
    *out = 1;
}

static gboolean batch_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    plan->n = ((const Batch *)self)->size;
    return TRUE;
}

static const LoomStage batch = {
    .base = LOOM_STAGE(Batch, "batch", "Several packets to one, along N",
                       .params = batch_params, .open = batch_open, .close = batch_close),
    .reads = batch_reads,
    .writes = batch_writes,
    .process = batch_process,
    .start = batch_start,
    .flush = batch_flush,
    .ratio = batch_ratio,
    .plan = batch_plan,
};
LOOM_MODULE("stage_batch", "0.1", &batch.base);
