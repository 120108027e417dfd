/* stream_end.h - one end of a stream as tests of the two machines want it. */
#pragma once

#include "wire/stream.h"

#define EDGE_CREDIT 20000u

/* Of rank 0, which produces, or 1, which consumes. */
static inline LoomStreamEnd end_of(guint rank, guint64 incarnation)
{
    return (LoomStreamEnd){
        .self = {.run = "a run",
                 .generation = 3,
                 .graph = "cafe",
                 .rank = rank,
                 .incarnation = incarnation},
        .edge = "batch",
        .peer = 1 - rank,
        .address = "loopback://other",
        .options = {.credit = EDGE_CREDIT,
                    .limit = 1 << 20,
                    .timeout_ms = 600000,
                    .resend_ms = 50},
    };
}
