/* bench_execute - the run that a bench measures, from its config to its end. */
#include "bench_execute.h"

#include "bench_line.h"
#include "interrupt.h"

#include "graph/run.h"

int bench_execute(LoomNode *config, const LoomRegistry *registry, const char *folder)
{
    const LoomRunOptions how = {.folder = folder};
    g_autoptr(GError) error = NULL;

    bench_peak_reset();
    g_autoptr(LoomRun) run = loom_run_open(config, registry, &how, &error);
    if (!run)
        return command_fail(command_code(error), error);
    interrupt_stops(run);
    const LoomRunEnd end = loom_run_execute(run, &error);
    interrupt_stops(NULL);
    if (end == LOOM_RUN_FAILED)
        return command_fail(COMMAND_FAILED, error);
    return end == LOOM_RUN_DONE ? COMMAND_DONE : 128 + interrupt_caught();
}
