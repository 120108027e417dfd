/* phantom.h - synthetic volumes whose labels are exact because both are painted from one list
 * of shapes.  Millimetres, x to the right, y to the front, z to the head, 0 in the centre. */
#pragma once

#include <loom/loom.h>

#define PHANTOM_CHANNELS 2 /* at most */
#define PHANTOM_KEEP_LABEL (-1)

/* An ellipsoid with an uneven surface.  A radius of INFINITY makes it a cylinder. */
typedef struct {
    double centre[3], radius[3];   /* mm; x, y, z before turning */
    double turn_z, turn_y;         /* radians: about z first, then about y */
    double roughness, phase[3];    /* bumps as a share of the radius */
    float value[PHANTOM_CHANNELS]; /* intensity inside */
    int label;                     /* or PHANTOM_KEEP_LABEL */
} PhantomShape;

/* What is painted, later shapes over earlier ones. */
typedef struct {
    GArray *shapes;                     /* PhantomShape */
    float background[PHANTOM_CHANNELS]; /* where no shape is */
    float texture[PHANTOM_CHANNELS];    /* deviation of the slow unevenness of tissue */
    float noise[PHANTOM_CHANNELS];      /* deviation of the noise of each voxel */
} PhantomScene;

typedef struct {
    const char *name;
    const char *description;
    const char *channels[PHANTOM_CHANNELS + 1]; /* ends with NULL */
    const char *labels[8];                      /* class 1, 2, ...: ends with NULL */
    double extent_mm[3];                        /* field of view: x, y, z */
    gint64 size[3];                             /* default: D, H, W */
    void (*build)(PhantomScene *scene, LoomRng *rng);
} PhantomKind;

extern const PhantomKind phantom_kinds[]; /* ends with a name of NULL */

/* phantom_paint - one case
 * @size: voxels, D, H, W; @number: from 1, each another body
 * @image: (transfer full): f32 (C,D,H,W); @label: (transfer full): u8 (D,H,W)
 * Same kind, size, seed and number: same bytes.  Fails with LOOM_ERROR_LIMIT. */
gboolean phantom_paint(const PhantomKind *kind, const gint64 size[3], guint64 seed,
                       guint64 number, LoomTensor **image, LoomTensor **label,
                       LoomGeometry *geometry, GError **error);
