/* window - map an intensity window to 0..1:
 *   y = clamp((x - low) / (high - low), 0, 1),  NaN becomes 0 */
#include <loom/loom.h>

typedef struct {
    double low, high;
} Window;

static const LoomParam window_params[] = {
    LOOM_FLOAT(Window, low, "-1000", -1e6, 1e6, "HU", "intensity that becomes 0"),
    LOOM_FLOAT(Window, high, "1000", -1e6, 1e6, "HU", "intensity that becomes 1"),
    {0},
};

static const LoomSlot window_image[] = {
    {"image", LOOM_F32, "CDHW", 0, "intensity in, 0..1 out"},
    {0},
};

static gboolean window_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Window *window = self;

    if (window->low >= window->high)
        return loom_fail(error, LOOM_ERROR_CONFIG, "low (%g) must be below high (%g)",
                         window->low, window->high);
    return TRUE;
}

static gboolean window_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                           GError **error)
{
    const Window *window = self;
    LoomTensor *image = loom_packet_edit(packet, "image", error); /* borrowed, ours to write */

    if (!image)
        return FALSE;
    float *x = loom_tensor_f32_mut(image);
    const gint64 count = loom_tensor_count(image);
    const float low = (float)window->low;
    const float gain = (float)(1.0 / (window->high - window->low));

    for (gint64 i = 0; i < count; i++) {
        const float y = (x[i] - low) * gain;
        x[i] = y > 0.0f ? MIN(y, 1.0f) : 0.0f; /* y > 0 is false for NaN */
    }
    return TRUE;
}

static const LoomStage window = {
    .base = LOOM_STAGE(Window, "window", "Map an intensity window to 0..1",
                       .params = window_params, .open = window_open),
    .reads = window_image,
    .writes = window_image,
    .flags = LOOM_STAGE_PURE | LOOM_STAGE_STEADY,
    .map = window_map,
    .need = loom_need_nothing,
};
LOOM_MODULE("stage_window", "0.1", &window.base);
