/* The sizes and offsets of the ABI on 64-bit machines.  A change here without a change of
 * LOOM_ABI_MAJOR (layout, meaning) or LOOM_ABI_MINOR (something at the end of a descriptor)
 * breaks every module that is already built. */
#include "loom_test.h"

static const struct {
    const char *name;
    gsize found, wanted;
} abi[] = {
    {"LoomPlugin", sizeof(LoomPlugin), 56},
    {"LoomParam", sizeof(LoomParam), 72},
    {"LoomSlot", sizeof(LoomSlot), 40},
    {"LoomPlan", sizeof(LoomPlan), 64},
    {"LoomNeed", sizeof(LoomNeed), 32},
    {"LoomStage", sizeof(LoomStage), 160},
    {"LoomLoss", sizeof(LoomLoss), 104},
    {"LoomLossKit", sizeof(LoomLossKit), 56},
    {"LoomCounts", sizeof(LoomCounts), 24},
    {"LoomRegions", sizeof(LoomRegions), 32},
    {"LoomReading", sizeof(LoomReading), 24},
    {"LoomMetricInput", sizeof(LoomMetricInput), 56},
    {"LoomMetric", sizeof(LoomMetric), 88},
    {"LoomBlockSpec", sizeof(LoomBlockSpec), 144},
    {"LoomBlockWeights", sizeof(LoomBlockWeights), 32},
    {"LoomBlockGradient", sizeof(LoomBlockGradient), 16},
    {"LoomSgdUpdate", sizeof(LoomSgdUpdate), 40},
    {"LoomAdamUpdate", sizeof(LoomAdamUpdate), 56},
    {"LoomBackend", sizeof(LoomBackend), 240},
    {"LoomWeight", sizeof(LoomWeight), 104},
    {"LoomModel", sizeof(LoomModel), 120},
    {"LoomTransport", sizeof(LoomTransport), 136},
    {"LoomPortEvent", sizeof(LoomPortEvent), 16},
    {"LoomCollective", sizeof(LoomCollective), 152},
    {"LoomGroup", sizeof(LoomGroup), 40},
    {"LoomModule", sizeof(LoomModule), 32},
    {"LoomInstance", sizeof(LoomInstance), 24},
    {"LoomGeometry", sizeof(LoomGeometry), 344},
    {"LoomCase", sizeof(LoomCase), 32},
    {"LoomLabelRegion", sizeof(LoomLabelRegion), 272},
    {"LoomVolumePolicy", sizeof(LoomVolumePolicy), 48},
    {"LoomDataset", sizeof(LoomDataset), 184},
    {"LoomField", sizeof(LoomField), 24},
    {"LoomRng", sizeof(LoomRng), 16},
    {"LoomModule.abi_major", offsetof(LoomModule, abi_major), 0},
    {"LoomModule.plugins", offsetof(LoomModule, plugins), 24},
    {"LoomPlugin.open", offsetof(LoomPlugin, open), 40},
    {"LoomParam.offset", offsetof(LoomParam, offset), 16},
    {"LoomStage.map", offsetof(LoomStage, map), 80},
    {"LoomStage.plan", offsetof(LoomStage, plan), 136},
    {"LoomStage.recall", offsetof(LoomStage, recall), 144},
    {"LoomStage.need", offsetof(LoomStage, need), 152},
    {"LoomLoss.eval", offsetof(LoomLoss, eval), 64},
    {"LoomLoss.regions", offsetof(LoomLoss, regions), 88},
    {"LoomLoss.need", offsetof(LoomLoss, need), 96},
    {"LoomMetric.measure", offsetof(LoomMetric, measure), 64},
    {"LoomMetric.voxel_bytes", offsetof(LoomMetric, voxel_bytes), 80},
    {"LoomBackend.block_new", offsetof(LoomBackend, block_new), 168},
    {"LoomBackend.backward", offsetof(LoomBackend, backward), 200},
    {"LoomBackend.block_workspace", offsetof(LoomBackend, block_workspace), 208},
    {"LoomBackend.arena_map", offsetof(LoomBackend, arena_map), 232},
    {"LoomModel.forward", offsetof(LoomModel, forward), 64},
    {"LoomModel.fits", offsetof(LoomModel, fits), 104},
    {"LoomModel.watch", offsetof(LoomModel, watch), 112},
    {"LoomTransport.key", offsetof(LoomTransport, key), 120},
    {"LoomCollective.waiting", offsetof(LoomCollective, waiting), 144},
};

static void test_layout(void)
{
    g_assert_cmpint(LOOM_ABI_MAJOR, ==, 1);
    g_assert_cmpint(LOOM_ABI_MINOR, ==, 6);
    if (sizeof(gpointer) != 8) {
        g_test_skip("the table is of 64-bit machines");
        return;
    }
    for (guint i = 0; i < G_N_ELEMENTS(abi); i++) {
        g_test_message("%s", abi[i].name);
        g_assert_cmpuint(abi[i].found, ==, abi[i].wanted);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/abi/layout", test_layout);
    return loom_test_run();
}
