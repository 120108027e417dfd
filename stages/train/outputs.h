/* outputs.h - names of the slots for logits at several resolutions, finest first.  The coarser
 * ones have sizes of their own, so no axes are promised for them. */
#pragma once

#include <loom/loom.h>

#define OUTPUT_NAMES(name)                                                                     \
    {                                                                                          \
        name, name "_1", name "_2", name "_3", name "_4", name "_5", name "_6", name "_7"      \
    }
G_STATIC_ASSERT(LOOM_MODEL_MAX_OUTPUTS == 8);

#define OUTPUT_ROW(name, help)                                                                 \
    {                                                                                          \
        name, LOOM_F32, NULL, LOOM_SLOT_OPTIONAL, help                                         \
    }
#define OUTPUT_COARSER(name, help)                                                             \
    OUTPUT_ROW(name "_1", help), OUTPUT_ROW(name "_2", help), OUTPUT_ROW(name "_3", help),     \
        OUTPUT_ROW(name "_4", help), OUTPUT_ROW(name "_5", help), OUTPUT_ROW(name "_6", help), \
        OUTPUT_ROW(name "_7", help)
