/* toy_stages.h - stages that count, fail, lie and remember: the engine's own test subjects. */
#pragma once

#include "plugin/registry.h"

/* What the stage `tally` saw, from all graphs, in its order; cleared by toy_registry(). */
typedef struct {
    gint64 index;
    double value;
    char id[32];
} ToySeen;
extern GArray *toy_seen;                            /* ToySeen */
extern gint toy_finished, toy_flushed, toy_started; /* atomic: calls of tally's callbacks */

/* A registry with the toys and nothing else but what is built. */
LoomRegistry *toy_registry(void);
