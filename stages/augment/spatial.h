/* spatial.h - rotation and scaling of image and label by one matrix, and the cut to the final
 * patch: what rotate_scale and augment_nnunet do alike. */
#pragma once

#include <loom/loom.h>

typedef struct {
    LoomInts size;
    LoomFloats rotation;
    int slices;
    double rotation_chance, scale_low, scale_high, scale_chance;
} Spatial;

extern const char *const spatial_slices[];

/* Rows of a stage whose struct begins with a Spatial. */
#define SPATIAL_ROWS                                                                           \
    LOOM_INTS(Spatial, size, NULL, 1, 4096, "voxels",                                          \
              "of the patch that leaves: D, H, W; what arrives may be larger"),                \
        LOOM_FLOATS(Spatial, rotation, "[]", 0, 180, "degrees",                                \
                    "largest angle about each axis; empty: 30, within slices 180"),            \
        LOOM_FLOAT(Spatial, rotation_chance, "0.2", 0, 1, NULL, "of any rotation"),            \
        LOOM_ENUM(Spatial, slices, "auto", spatial_slices,                                     \
                  "axis across thick slices: turn and scale within them alone; auto: the "     \
                  "shortest, if another is over 3 times as long"),                             \
        LOOM_FLOAT(Spatial, scale_low, "0.7", 0.01, 100, NULL,                                 \
                   "smallest scale: 0.5 shows everything twice as large"),                     \
        LOOM_FLOAT(Spatial, scale_high, "1.4", 0.01, 100, NULL,                                \
                   "largest scale: 2 shows everything half as large"),                         \
        LOOM_FLOAT(Spatial, scale_chance, "0.2", 0, 1, NULL, "of any scaling")

/* What the rows cannot check. */
gboolean spatial_check(const Spatial *spatial, GError **error);
/* Refuses patches that are known to be smaller than the final one; sets its size. */
gboolean spatial_plan(const Spatial *spatial, LoomPlan *plan, GError **error);
/* The axis across slices, 0 to 2, or -1. */
int spatial_slices_of(const Spatial *spatial);

/* spatial_apply - image and, where there is one, label become patches of the final size
 * Neither rotated nor scaled: the middle is cut out, bit for bit; nothing is done where that is
 * all.  Errors: LOOM_ERROR_SHAPE, too small; LOOM_ERROR_LIMIT. */
gboolean spatial_apply(const Spatial *spatial, LoomPacket *packet, LoomRng *rng,
                       GError **error);
