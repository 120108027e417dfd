/* bench_train_step - segloom bench train_step: the stages of a training run, on a batch of
 * noise. */
#include "bench_network.h"
#include "cmd_bench.h"

static const BenchNetwork train_step = {
    .name = "train_step",
    .summary = "Times a training step: forward, dice + cross entropy at all decoder levels,\n"
               "backward, clipping, SGD with momentum, by the stages that a run has.",
    .example = "segloom bench train_step --patch 64,64,64 --batch 2 --threads 2 --json",
    .stages =
        "    forward: {use: forward, from: load, model: net}\n"
        "    loss: {use: loss, from: forward,\n"
        "           loss: {use: sum, of: [{use: dice}, {use: cross_entropy}]}}\n"
        "    back: {use: backward, from: loss, model: net}\n"
        "    step: {use: sgd_step, from: back, model: net, rate: 1.0e-2, momentum: 0.99,\n"
        "           nesterov: true, weight_decay: 3.0e-5, clip: 12}\n"
        "    clock: {use: bench_clock, from: step, model: net}\n",
};

int bench_train_step(int argc, char **argv)
{
    return bench_network_main(&train_step, argc, argv);
}
