/* How each class fares in training: the norm of its gradient by the stage `loss`, its shares in
 * the records of the stage `log`, and the warning when a class is lost. */
#include "loom_test.h"
#include "phantom_set.h"

#include "graph/state.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

/* ---- the stage loss ----------------------------------------------------------------- */

/* Two classes, all logits 0: p = 1/2, so the gradient of the mean cross entropy over 4 voxels
 * is +-1/8 at each voxel and channel.  Three voxels of class 0: sqrt(3 * 2) / 8; one of class
 * 1: sqrt(2) / 8. */
static void test_norms(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: loss, loss: {use: cross_entropy}}", NULL, NULL);
    LoomPacket *packet = loom_packet_new();

    loom_packet_set(packet, "logits",
                    loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 4), F32(0, 0, 0, 0, 0, 0, 0, 0)));
    loom_packet_set(packet, "label", loom_test_u8("NDHW", SHAPE(1, 1, 1, 4), U8(0, 0, 1, 0)));
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    const LoomTensor *norms = loom_packet_get(loom_test_out(stage)->pdata[0], "class_gradient");
    g_assert_cmpint(loom_tensor_count(norms), ==, 2);
    loom_assert_near((double)loom_tensor_f32(norms)[0], sqrt(6) / 8, 1e-7); /* f32: 7 digits */
    loom_assert_near((double)loom_tensor_f32(norms)[1], sqrt(2) / 8, 1e-7);
}

/* Ignored voxels pull nowhere, an absent class neither. */
static void test_ignored(void)
{
    g_autoptr(LoomTestStage) stage =
        loom_test_stage("{use: loss, ignore: 255, loss: {use: cross_entropy}}", NULL, NULL);
    LoomPacket *packet = loom_packet_new();

    loom_packet_set(packet, "logits",
                    loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 2), F32(0, 3, 0, -2)));
    loom_packet_set(packet, "label", loom_test_u8("NDHW", SHAPE(1, 1, 1, 2), U8(0, 255)));
    g_assert_cmpint(loom_test_push(stage, packet, 0, NULL), ==, LOOM_FLOW_OK);
    const LoomTensor *norms = loom_packet_get(loom_test_out(stage)->pdata[0], "class_gradient");
    loom_assert_near((double)loom_tensor_f32(norms)[0], sqrt(0.5), 1e-7);
    loom_assert_near((double)loom_tensor_f32(norms)[1], 0, 0);
}

/* ---- the stage log ------------------------------------------------------------------ */

/* Two patches of two voxels, three classes; logits whose argmax are the digits. */
static LoomPacket *trained(const char *prediction, const char *truth, const float norms[3])
{
    LoomPacket *packet = loom_packet_new();
    LoomTensor *logits =
        loom_tensor_new(LOOM_F32, "NCDHW", (const gint64[]){2, 3, 1, 1, 2}, NULL);
    LoomTensor *label = loom_tensor_new(LOOM_U8, "NDHW", (const gint64[]){2, 1, 1, 2}, NULL);

    for (gint64 i = 0; i < 4; i++) {
        loom_tensor_f32_mut(logits)[(i / 2 * 3 + prediction[i] - '0') * 2 + i % 2] = 1;
        loom_tensor_u8_mut(label)[i] = (guint8)(truth[i] - '0');
    }
    loom_packet_set(packet, "logits", logits);
    loom_packet_set(packet, "label", label);
    loom_packet_set(packet, "loss", loom_tensor_new_scalar(1));
    if (norms)
        loom_packet_set(packet, "class_gradient", loom_test_f32("K", SHAPE(3), norms, 3));
    return packet;
}

/* The latest record, (transfer full). */
static JsonObject *latest(LoomTestStage *stage)
{
    g_autofree char *text = loom_journal_latest(loom_test_stage_run(stage)->journal, "step");
    g_autoptr(JsonNode) node = json_from_string(text, NULL);

    return json_node_dup_object(node);
}

static LoomTestStage *log_new(const char *yaml, char **folder)
{
    *folder = loom_test_folder();
    const LoomTestSetup setup = {.folder = *folder};

    return loom_test_stage(yaml, &setup, NULL);
}

static void step_done(LoomTestStage *stage, gint64 step, LoomPacket *packet)
{
    loom_test_stage_run(stage)->step = step;
    g_assert_cmpint(loom_test_push(stage, packet, step - 1, NULL), ==, LOOM_FLOW_OK);
}

/* Class 1 is in 2 of 4 patches, 1 of its 2 voxels is found; class 2 is in 1, and missed.
 * Squared norms: 9 + 4, 4 + 4, 1 + 0 of 22 together. */
static void test_shares(void)
{
    g_autofree char *folder = NULL;
    g_autoptr(LoomTestStage) stage = log_new("{use: log, every: 2}", &folder);

    step_done(stage, 1, trained("1100", "1012", (const float[]){3, 2, 1}));
    step_done(stage, 2, trained("0000", "0000", (const float[]){2, 2, 0}));
    JsonObject *record = latest(stage);
    loom_assert_near(json_object_get_double_member(record, "patches/1"), 0.5, 1e-12);
    loom_assert_near(json_object_get_double_member(record, "patches/2"), 0.25, 1e-12);
    loom_assert_near(json_object_get_double_member(record, "recall/1"), 0.5, 1e-12);
    loom_assert_near(json_object_get_double_member(record, "recall/2"), 0, 1e-12);
    loom_assert_near(json_object_get_double_member(record, "gradient/1"), 8.0 / 22, 1e-12);
    loom_assert_near(json_object_get_double_member(record, "gradient/2"), 1.0 / 22, 1e-12);
    json_object_unref(record);

    step_done(stage, 3, trained("0000", "0000", NULL)); /* of another trainer: not known */
    step_done(stage, 4, trained("0000", "0000", NULL));
    record = latest(stage);
    g_assert_false(json_object_has_member(record, "gradient/1"));
    g_assert_false(json_object_has_member(record, "recall/1")); /* nothing to be found */
    loom_assert_near(json_object_get_double_member(record, "patches/1"), 0, 0);
    json_object_unref(record);
    loom_test_folder_remove(folder);
}

/* Six patches without it are three batches; one warning each time. */
static void test_drought(void)
{
    g_autofree char *folder = NULL;
    g_autoptr(LoomTestStage) stage = log_new("{use: log, every: 100, watch: 6}", &folder);
    static const float all[3] = {1, 1, 1}, lost[3] = {1, 1, 0};
    gint64 step = 1;

    step_done(stage, step++, trained("0000", "0000", all));
    for (int i = 0; i < 2; i++)
        step_done(stage, step++, trained("0000", "0000", lost));
    g_test_expect_message("loom-log", G_LOG_LEVEL_WARNING,
                          "class 2 had no gradient in the last 6 patches");
    step_done(stage, step++, trained("0000", "0000", lost));
    g_test_assert_expected_messages();
    for (int i = 0; i < 5; i++)
        step_done(stage, step++, trained("0000", "0000", lost));
    step_done(stage, step++, trained("0000", "0000", all));
    for (int i = 0; i < 2; i++)
        step_done(stage, step++, trained("0000", "0000", lost));
    g_test_expect_message("loom-log", G_LOG_LEVEL_WARNING,
                          "class 2 had no gradient in the last 6 patches");
    step_done(stage, step++, trained("0000", "0000", lost));
    g_test_assert_expected_messages();
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/class-gradient/norms", test_norms);
    g_test_add_func("/class-gradient/ignored", test_ignored);
    g_test_add_func("/class-log/shares", test_shares);
    g_test_add_func("/class-log/drought", test_drought);
    return loom_test_run();
}
