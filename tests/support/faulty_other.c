/* faulty_other - a metric and a stage with one fault each, for `segloom plugin test` to find.
 */
#define FAULT_INFINITE 1 /* a metric that divides by the voxels that are there */
#define FAULT_COUNTS 2   /* a stage that says it is pure, and counts its calls */

#include <loom/loom.h>

typedef struct {
    gint64 calls;
} Faulty;

#if FAULT == FAULT_INFINITE
static const LoomReading faulty_readings[] = {{"ratio", NULL, "|P| / |G|"}, {0}};

static gboolean faulty_measure(G_GNUC_UNUSED gpointer self, const LoomMetricInput *input,
                               double *values, G_GNUC_UNUSED GError **error)
{
    double p[256] = {0}, g[256] = {0};

    for (gint64 v = 0; v < loom_tensor_count(input->truth); v++) {
        p[loom_tensor_u8(input->prediction)[v]]++;
        g[loom_tensor_u8(input->truth)[v]]++;
    }
    for (gint64 k = 1; k < input->classes; k++)
        values[k - 1] = g[k] > 0 ? p[k] / g[k] : G_MAXDOUBLE * 2 * p[k];
    return TRUE;
}

static const LoomMetric faulty = {
    .base = LOOM_METRIC(Faulty, "infinite", "Ratio of the volumes", .params = NULL),
    .readings = faulty_readings,
    .measure = faulty_measure,
};
LOOM_MODULE("metric_infinite", "0.1", &faulty.base);
#else
static const LoomSlot faulty_image[] = {{"image", LOOM_F32, "CDHW", 0, "image"}, {0}};

static gboolean faulty_map(gpointer self, LoomPacket *packet, G_GNUC_UNUSED LoomContext *ctx,
                           GError **error)
{
    LoomTensor *image = loom_packet_edit(packet, "image", error);

    if (!image)
        return FALSE;
    loom_tensor_f32_mut(image)[0] = (float)++((Faulty *)self)->calls;
    return TRUE;
}

static const LoomStage faulty = {
    .base = LOOM_STAGE(Faulty, "counts", "Counts its calls", .params = NULL),
    .reads = faulty_image,
    .writes = faulty_image,
    .flags = LOOM_STAGE_PURE,
    .map = faulty_map,
};
LOOM_MODULE("stage_counts", "0.1", &faulty.base);
#endif
