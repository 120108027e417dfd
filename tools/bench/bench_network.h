/* bench_network.h - what the benches of a whole network share: the network, its random input,
 * the run and the result. */
#pragma once

#include "command.h"

typedef struct {
    const char *name;    /* "train_step" */
    const char *summary; /* of --help, two lines */
    const char *example;
    /* Stages, YAML in the graph `bench`: the first one comes from `load`, which gives `image`
     * and `label`, and the one that ends what is timed is `bench_clock`. */
    const char *stages;
} BenchNetwork;

/* Command line, measurement, result; returns the exit code. */
int bench_network_main(const BenchNetwork *bench, int argc, char **argv);
