/* phantom.h - synthetic volumes whose labels are exact because both are painted from one list
 * of shapes.  Millimetres, x to the right, y to the front, z to the head, 0 in the centre. */
#pragma once

#include <loom/loom.h>

#define PHANTOM_CHANNELS 4 /* at most */
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

/* The grid that is painted: how its axes i, j, k lie in x, y, z. */
typedef struct {
    gint64 size[3];    /* i, j, k */
    double spacing[3]; /* mm; i, j, k */
    int axis[3];       /* i, j, k run along x (0), y (1) or z (2) */
    double sign[3];    /* 1: the same way; -1: the other way */
    double middle[3];  /* mm; x, y, z of the grid's centre */
} PhantomGrid;

/* Paints @shapes (PhantomShape) in their order.  @image: (channels,D,H,W); @label: (D,H,W), or
 * NULL: not wanted. */
void phantom_shapes_paint(const GArray *shapes, const PhantomGrid *grid, float *image,
                          gint64 channels, guint8 *label);
/* Gaussian of @sigma voxels along i, j, k, in place; @scratch: as large as @x. */
void phantom_blur(float *x, float *scratch, const gint64 size[3], const double sigma[3]);
/* Fills @x with blurred noise of mean 0 and deviation 1: what tissue is uneven by. */
void phantom_unevenness(float *x, float *scratch, const gint64 size[3], const double sigma[3],
                        LoomRng *rng);
/* The trunk and its organs but the kidneys, unlabelled, added to @scene.
 * @phase: contrast agent, from 0 (none) to 1 (portal phase). */
void phantom_abdomen_add(PhantomScene *scene, LoomRng *rng, double phase);

/* phantom_paint - one case
 * @size: voxels, D, H, W; @number: from 1, each another body
 * @image: (transfer full): f32 (C,D,H,W); @label: (transfer full): u8 (D,H,W)
 * Same kind, size, seed and number: same bytes.  Fails with LOOM_ERROR_LIMIT. */
gboolean phantom_paint(const PhantomKind *kind, const gint64 size[3], guint64 seed,
                       guint64 number, LoomTensor **image, LoomTensor **label,
                       LoomGeometry *geometry, GError **error);
