/* bench_rank.h - one process of `segloom bench allreduce`. */
#pragma once

#include "plugin/registry.h"

typedef struct {
    gint ranks, rank, repeat;
    gint64 chunk;           /* bytes; 0: the collective's own default */
    const char *collective; /* name */
    const char *transport;  /* name */
    const char *over;       /* tcp, ipc or shm */
    const double *mib;
    guint n_mib;
} BenchOrder;

/* Runs the rank.  It writes its address to stdout and reads the addresses of all, one a line,
 * from stdin, unless its collective needs none; then rank 0 writes for each of the sizes one
 * line: peak in KiB of the largest rank, then the seconds of each repetition. */
gboolean bench_rank_run(const LoomRegistry *registry, const BenchOrder *order, GError **error);
