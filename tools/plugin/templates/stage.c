/* newname - a brighter or darker image, by chance: y = x + b, b ~ U(-max, max) once a packet */
#include <loom/loom.h>

typedef struct {
    double max;
} Params;

/* A row is a key of the YAML, its check, its default and its documentation. */
static const LoomParam params[] = {
    LOOM_FLOAT(Params, max, "0.1", 0, 1e6, NULL, "largest shift, in units of the image"),
    {0},
};

/* What it needs in the packet, and what it leaves there: checked before anything runs. */
static const LoomSlot newname_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "image in, shifted out"},
    {0},
};

/* The random numbers depend on seed, stage and packet alone: the same for any queue and worker,
 * which is what LOOM_STAGE_PURE promises. */
static gboolean newname_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const double max = ((const Params *)self)->max;
    LoomRng rng = loom_context_rng(ctx);
    LoomTensor *image = loom_packet_edit(packet, "image", error); /* ours to write */

    if (!image)
        return FALSE;
    const float shift = (float)loom_rng_uniform(&rng, -max, max);
    float *x = loom_tensor_f32_mut(image);

    for (gint64 i = 0; i < loom_tensor_count(image); i++)
        x[i] += shift;
    return TRUE;
}

static const LoomStage newname_stage = {
    .base = LOOM_STAGE(Params, "newname", "Shift the intensities, by chance", .params = params),
    .reads = newname_image,
    .writes = newname_image,
    .flags = LOOM_STAGE_PURE,
    .map = newname_map,
};
LOOM_MODULE("stage_newname", "0.1", &newname_stage.base);
