/* bench_stages.h - the stages that only a bench has: sources of noise, a forward without a
 * tape, clocks, and a gate that sees how long the network waits. */
#pragma once

#include <loom/plugin.h>

/* bench_batch: {batch, channels, classes, patch, packets}, a source, and bench_patch, the same
 * without batch; bench_logits, bench_clock: {model}; bench_watch: {}; bench_gate: {steps}. */
extern const LoomModule bench_stages;

/* What the stages of this process measured so far; one run at a time, one lane of it. */
typedef struct {
    GArray *seconds;   /* double, one a packet (clock, watch) or a step (gate) */
    double busy, idle; /* of the gate, in seconds: stages below it at work; none */
    gint64 parameters; /* numbers in the weights of the clock's network */
} BenchMeasured;

/* Empties it; (transfer none). */
BenchMeasured *bench_measured_begin(void);
