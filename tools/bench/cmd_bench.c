/* cmd_bench - segloom bench: how fast this machine does one thing.  A file, bench_NAME.c, is
 * one bench. */
#include "cmd_bench.h"

#include "command.h"
#include "command_parts.h"

static const CommandPart benches[] = {
    {"conv", "[--channels I,O]", "the three kernels of a convolution", bench_conv},
    {"train_step", "[--patch D,H,W]", "a training step of a network", bench_train_step},
    {"inference", "[--patch D,H,W]", "one window through a network", bench_inference},
    {"resample", "[--size D,H,W]", "a case onto other voxels", bench_resample},
    {"epoch", "--config FILE", "steps of a config, its data loaded", bench_epoch},
    {"augment", "[--patch D,H,W]", "one patch through augment_nnunet", bench_augment},
    {"allreduce", "[--ranks N]", "sums of floats over processes", bench_allreduce},
    {0},
};

static const CommandParts bench = {
    .example = "segloom bench train_step --patch 64,64,64 --threads 2",
    .parts = benches,
};

int cmd_bench(int argc, char **argv)
{
    return command_parts_main(&bench, argc, argv);
}
