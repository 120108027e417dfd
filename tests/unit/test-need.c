/* LoomStage.need against the stages themselves: what a sketch becomes has the sizes that a
 * packet comes to have, and no call takes less than the tensors that it makes. */
#include "loom_test.h"

#include <string.h>

#define ROOM G_MAXUINT64
#define CASE                                                                                   \
    "backend: {use: reference}\nmodels: {m: {use: toy, slope: [0.3, -1], tilt: [0, 0]}}"

/* Of 20 x 24 x 28 voxels (D, H, W), 4 x 2 x 1 mm, W to the left; one voxel within is not 0. */
static LoomPacket *case_new(void)
{
    const gint64 shape[4] = {2, 20, 24, 28}, size[3] = {28, 24, 20};
    const double mm[3] = {1, 2, 4};
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_test_random("CDHW", shape, 4, 1, 1, 9);
    LoomGeometry geometry;

    loom_geometry_plain(&geometry, size, mm);
    loom_packet_set(packet, "image", image);
    loom_packet_set(packet, "label", loom_test_random_labels("DHW", shape + 1, 3, 2, 3));
    loom_packet_set_id(packet, "case");
    loom_packet_set_geometry(packet, &geometry);
    return packet;
}

static const char *const slots[] = {"image", "label", "prediction", "probabilities"};

static LoomPacket *sketch_of(const LoomPacket *packet)
{
    LoomPacket *sketch = loom_packet_fork(packet);

    for (guint i = 0; i < G_N_ELEMENTS(slots); i++) {
        const LoomTensor *from = loom_packet_get(packet, slots[i]);

        if (from)
            loom_packet_set(sketch, slots[i],
                            loom_tensor_sketch(loom_tensor_dtype(from), loom_tensor_axes(from),
                                               loom_tensor_shape(from), NULL));
    }
    return sketch;
}

/* Bytes of the slots of @after that are not those of @before. */
static guint64 made_bytes(const LoomPacket *before, const LoomPacket *after)
{
    guint64 bytes = 0;

    for (guint i = 0; i < G_N_ELEMENTS(slots); i++) {
        const LoomTensor *tensor = loom_packet_get(after, slots[i]);

        if (tensor && tensor != loom_packet_get(before, slots[i]))
            bytes += loom_tensor_bytes(tensor);
    }
    return bytes;
}

static void assert_same_sizes(const LoomPacket *sketch, const LoomPacket *packet)
{
    for (guint i = 0; i < G_N_ELEMENTS(slots); i++) {
        const LoomTensor *wanted = loom_packet_get(packet, slots[i]);
        const LoomTensor *found = loom_packet_get(sketch, slots[i]);
        g_autofree char *wanted_text = wanted ? loom_tensor_describe(wanted) : NULL;
        g_autofree char *found_text = found ? loom_tensor_describe(found) : NULL;

        g_assert_cmpstr(found_text, ==, wanted_text);
    }
    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(loom_packet_geometry(sketch)->size[i], ==,
                        loom_packet_geometry(packet)->size[i]);
}

/* A case through @yaml, and its sketch; both go on.  Returns: what the call takes. */
static LoomNeed both(const char *yaml, LoomPacket **packet, LoomPacket **sketch)
{
    const LoomTestSetup setup = {.sections = CASE, .seed = 1};
    g_autoptr(LoomTestStage) stage = loom_test_stage(yaml, &setup, NULL);
    LoomNeed need = {.room = ROOM, .threads = 2};
    g_autoptr(LoomPacket) before = *packet;
    GPtrArray *out = loom_test_out(stage);

    g_assert_true(loom_test_need(stage, *sketch, &need, NULL));
    g_assert_cmpint(loom_test_push(stage, loom_packet_fork(before), 0, NULL), ==, LOOM_FLOW_OK);
    *packet = loom_packet_fork(out->pdata[0]);
    assert_same_sizes(*sketch, *packet);
    return need;
}

static void test_prep(void)
{
    static const struct {
        const char *yaml;
        gboolean anew; /* all that it writes, beside what it is made of */
    } stages[] = {
        {"{use: orient, axes: LPS, thick_first: true}", FALSE}, /* slot by slot */
        {"{use: orient, axes: PIR}", FALSE},
        {"{use: crop_nonzero}", TRUE},
        {"{use: normalise, schemes: [zscore], mask: true}", FALSE},
        {"{use: zscore}", FALSE},
        {"{use: window}", FALSE},
        {"{use: resample, spacing: [1, 1, 1]}", TRUE},
        {"{use: resample, spacing: [8, 2, 3], order: 1}", TRUE},
        {"{use: sliding_window, model: m, size: [8, 8, 8], keep_probabilities: true}", TRUE},
        {"{use: postprocess, keep_largest_foreground: true}", FALSE},
    };
    g_autoptr(LoomPacket) packet = case_new(), sketch = sketch_of(packet);

    for (guint i = 0; i < G_N_ELEMENTS(stages); i++) {
        g_autoptr(LoomPacket) before = loom_packet_fork(packet);
        const LoomNeed need = both(stages[i].yaml, &packet, &sketch);

        g_test_message("%s", stages[i].yaml);
        if (stages[i].anew)
            g_assert_cmpuint(need.work, >=, made_bytes(before, packet));
    }
}

/* What leaves depends on no room, and what is taken is less with less of it. */
static void test_room(void)
{
    static const char *const stages[] = {
        "{use: resample, spacing: [1, 1, 0.5]}",
        "{use: sliding_window, model: m, size: [8, 8, 8], batch: 4}",
    };

    for (guint i = 0; i < G_N_ELEMENTS(stages); i++) {
        const LoomTestSetup setup = {.sections = CASE, .seed = 1};
        g_autoptr(LoomTestStage) stage = loom_test_stage(stages[i], &setup, NULL);
        g_autoptr(LoomPacket) packet = case_new();
        g_autoptr(LoomPacket) large = sketch_of(packet), small = sketch_of(packet);
        LoomNeed most = {.room = ROOM, .threads = 2}, least = {.room = 0, .threads = 2};

        g_assert_true(loom_test_need(stage, large, &most, NULL));
        g_assert_true(loom_test_need(stage, small, &least, NULL));
        g_assert_cmpuint(least.work + least.kept, <, most.work + most.kept);
        assert_same_sizes(small, large);
        LoomNeed told = {.room = (least.work + least.kept + most.work + most.kept) / 2,
                         .threads = 2};
        g_autoptr(LoomPacket) between = sketch_of(packet);
        g_assert_true(loom_test_need(stage, between, &told, NULL));
        g_assert_cmpuint(told.work + told.kept, <=, told.room);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    g_test_add_func("/stages/need/sizes", test_prep);
    g_test_add_func("/stages/need/room", test_room);
    return loom_test_run();
}
