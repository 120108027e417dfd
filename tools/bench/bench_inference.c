/* bench_inference - segloom bench inference: windows of noise through a network that keeps
 * nothing for a way back. */
#include "bench_network.h"
#include "cmd_bench.h"

static const BenchNetwork inference = {
    .name = "inference",
    .summary = "Times one window (or --batch of them at once) through a network:\n"
               "logits at full resolution, and nothing kept for training.",
    .example = "segloom bench inference --patch 64,64,64 --batch 2 --threads 2 --json",
    .stages = "    logits: {use: bench_logits, from: load, model: net}\n"
              "    clock: {use: bench_clock, from: logits, model: net}\n",
};

int bench_inference(int argc, char **argv)
{
    return bench_network_main(&inference, argc, argv);
}
