/* cmd_bench - segloom bench: how fast this machine does one thing.  A file, bench_NAME.c, is
 * one bench. */
#include "cmd_bench.h"

#include "command.h"
#include "command_parts.h"

static const CommandPart benches[] = {
    {"allreduce", "[--ranks N] [--mib M]", "sums of floats over processes", bench_allreduce},
    {0},
};

static const CommandParts bench = {
    .example = "segloom bench allreduce --ranks 2 --mib 63 --json",
    .parts = benches,
};

int cmd_bench(int argc, char **argv)
{
    return command_parts_main(&bench, argc, argv);
}
