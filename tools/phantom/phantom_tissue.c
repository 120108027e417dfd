/* phantom_tissue - a CT painted around a real label map: what the map does not name is an
 * abdomen whose kidneys would lie where the labels are, and lookalikes beside them.
 *   image = blur(tissues, 0.5 to 0.7 voxels) + slow texture + noise
 * Each case has its own phase of contrast agent, on which the difference between kidney and
 * tumour hangs.  Order: trunk and organs, fat around the labels, lookalikes, labelled organs,
 * cysts (which an organ's label includes, and which stick out of it unlabelled), lesions.
 * Source of the CT numbers: KiTS19, arXiv:1904.00445, and textbooks; in round numbers. */
#include "phantom_tissue.h"

#include "phantom.h"

#include <math.h>

#define FAT_MM 5.0 /* deviation of the blur whose tail is the fat around an organ */
#define FAT_SHARE 0.04f

typedef struct {
    const char *name;
    double plain, enhanced; /* HU without contrast agent, and with all of it */
    double spread;          /* HU, between cases */
    float uneven;           /* HU, within the tissue: deviation */
    gboolean lesion;        /* lies in an organ: painted over it, may have a dead core */
} Tissue;

static const Tissue tissues[] = {
    {"kidney", 35, 180, 8, 11, FALSE}, {"tumour", 35, 108, 14, 16, TRUE},
    {"tumor", 35, 108, 14, 16, TRUE},  {"cyst", 6, 10, 6, 3, TRUE},
    {"liver", 56, 108, 8, 6, FALSE},   {"spleen", 50, 122, 8, 5, FALSE},
    {"pancreas", 40, 90, 8, 8, FALSE},
};
static const Tissue soft_tissue = {NULL, 40, 95, 14, 10, FALSE};

typedef struct {
    const LoomTensor *label;
    PhantomGrid grid;
    gint64 voxels;
    const Tissue *tissue[256]; /* of each label; of 0 NULL */
    double phase;              /* of contrast agent */
    LoomRng rng;
    float *x, *scratch, *slow, *more; /* voxels each; slow: deviation 1 */
} Scan;

static const Tissue *tissue_named(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(tissues); i++)
        if (g_ascii_strcasecmp(tissues[i].name, name) == 0)
            return &tissues[i];
    return &soft_tissue;
}

static double vary(LoomRng *rng, double middle, double by)
{
    return loom_rng_uniform(rng, middle - by, middle + by);
}

/* ---- where the body is -------------------------------------------------------------- */

/* Of voxel @v, in x, y, z of the grid. */
static void place_of(const Scan *scan, gint64 v, double place[3])
{
    const PhantomGrid *grid = &scan->grid;
    const gint64 ijk[3] = {v % grid->size[0], v / grid->size[0] % grid->size[1],
                           v / (grid->size[0] * grid->size[1])};

    for (int axis = 0; axis < 3; axis++)
        place[grid->axis[axis]] =
            grid->sign[axis] * ((double)ijk[axis] + 0.5 - 0.5 * (double)grid->size[axis])
                * grid->spacing[axis]
            + grid->middle[grid->axis[axis]];
}

/* Moves the body so that its kidneys lie at the labels: two of them are 130 mm apart; one alone
 * is to the side that chance says, for a map does not. */
static void body_place(Scan *scan)
{
    static const double kidneys[3] = {0, -36, -17}; /* middle of both, in phantom_scenes.c */
    const guint8 *t = loom_tensor_u8(scan->label);
    double sum[3] = {0}, low = INFINITY, high = -INFINITY, place[3];
    gint64 n = 0;

    for (gint64 v = 0; v < scan->voxels; v++) {
        if (!t[v])
            continue;
        place_of(scan, v, place);
        for (int i = 0; i < 3; i++)
            sum[i] += place[i];
        low = MIN(low, place[0]);
        high = MAX(high, place[0]);
        n++;
    }
    const double side = loom_rng_below(&scan->rng, 2) ? 68 : -68;
    if (!n)
        return;
    for (int i = 0; i < 3; i++)
        scan->grid.middle[i] = kidneys[i] - sum[i] / (double)n;
    scan->grid.middle[0] = high - low > 100 ? -0.5 * (low + high) : side - sum[0] / (double)n;
}

static void grid_fill(PhantomGrid *grid, const LoomGeometry *geometry)
{
    static const char letters[3][2] = {{'R', 'L'}, {'A', 'P'}, {'S', 'I'}};

    for (int axis = 0; axis < 3; axis++) {
        grid->size[axis] = geometry->size[axis];
        grid->spacing[axis] = geometry->spacing_mm[axis];
        grid->axis[axis] = axis;
        grid->sign[axis] = 1;
        for (int world = 0; world < 3; world++)
            for (int way = 0; way < 2; way++)
                if (geometry->axes[axis] == letters[world][way]) {
                    grid->axis[axis] = world;
                    grid->sign[axis] = way ? -1 : 1;
                }
    }
}

/* ---- what the map does not name ----------------------------------------------------- */

/* Fat lies around an organ, thinner here and thicker there. */
static void fat_paint(Scan *scan)
{
    const guint8 *t = loom_tensor_u8(scan->label);
    float *near = scan->more;
    double sigma[3];

    for (int i = 0; i < 3; i++)
        sigma[i] = FAT_MM / scan->grid.spacing[i];
    for (gint64 v = 0; v < scan->voxels; v++)
        near[v] = t[v] ? 1 : 0;
    phantom_blur(near, scan->scratch, scan->grid.size, sigma);
    for (gint64 v = 0; v < scan->voxels; v++)
        if (near[v] > FAT_SHARE * (1 + MAX(-1 + FAT_SHARE, 2 * scan->slow[v])))
            scan->x[v] = -100;
}

/* A voxel of an organ at its surface, by chance; FALSE: there is none. */
static gboolean surface_pick(Scan *scan, double place[3])
{
    const guint8 *t = loom_tensor_u8(scan->label);
    const gint64 row = scan->grid.size[0], slice = row * scan->grid.size[1];
    g_autoptr(GArray) surface = g_array_new(FALSE, FALSE, sizeof(gint64));

    for (gint64 v = slice; v < scan->voxels - slice; v++)
        if (t[v]
            && (!t[v - 1] || !t[v + 1] || !t[v - row] || !t[v + row] || !t[v - slice]
                || !t[v + slice]))
            g_array_append_val(surface, v);
    if (!surface->len)
        return FALSE;
    place_of(scan,
             g_array_index(surface, gint64, loom_rng_below(&scan->rng, (gint64)surface->len)),
             place);
    return TRUE;
}

/* Ellipsoids at the surface of labelled organs, @away mm from it at most. */
static void blobs_paint(Scan *scan, gint64 n, double away, double smallest, double largest,
                        double low, double high)
{
    LoomRng *rng = &scan->rng;
    g_autoptr(GArray) shapes = g_array_new(FALSE, FALSE, sizeof(PhantomShape));
    PhantomShape shape = {.label = PHANTOM_KEEP_LABEL, .roughness = 0.12};

    for (gint64 i = 0; i < n && surface_pick(scan, shape.centre); i++) {
        const double r = loom_rng_uniform(rng, smallest, largest);

        for (int axis = 0; axis < 3; axis++) {
            shape.centre[axis] += vary(rng, 0, away);
            shape.radius[axis] = r * vary(rng, 1, 0.25);
            shape.phase[axis] = vary(rng, 0, G_PI);
        }
        shape.value[0] = (float)loom_rng_uniform(rng, low, high);
        g_array_append_val(shapes, shape);
    }
    phantom_shapes_paint(shapes, &scan->grid, scan->x, 1, NULL);
}

/* From the middle of the body to an organ: vessels as bright as the organ itself. */
static void vessels_paint(Scan *scan)
{
    LoomRng *rng = &scan->rng;
    const float blood = (float)(40 + 130 * scan->phase);
    g_autoptr(GArray) shapes = g_array_new(FALSE, FALSE, sizeof(PhantomShape));
    double end[3];

    for (int i = 0; i < 4 && surface_pick(scan, end); i++) {
        const double start[3] = {end[0] > 0 ? 12 : -12, -27, end[2] + vary(rng, 0, 8)};
        const double along = hypot(end[0] - start[0], end[1] - start[1]);
        const PhantomShape shape = {
            .centre = {0.5 * (start[0] + end[0]), 0.5 * (start[1] + end[1]),
                       0.5 * (start[2] + end[2])},
            .radius = {0.5 * along + 2, vary(rng, 4, 1), vary(rng, 4, 1)},
            .turn_z = atan2(end[1] - start[1], end[0] - start[0]),
            .turn_y = -atan2(end[2] - start[2], along),
            .roughness = 0.1,
            .value = {blood, blood},
            .label = PHANTOM_KEEP_LABEL,
        };

        g_array_append_val(shapes, shape);
    }
    phantom_shapes_paint(shapes, &scan->grid, scan->x, 1, NULL);
}

/* ---- what it names ------------------------------------------------------------------ */

/* Where the slow noise of a lesion is far above its mean, the tissue is dead. */
static void labels_paint(Scan *scan, gboolean lesions)
{
    const guint8 *t = loom_tensor_u8(scan->label);
    float middle[256];

    for (int k = 0; k < 256; k++) {
        const Tissue *tissue = scan->tissue[k];

        middle[k] =
            tissue
                ? (float)vary(&scan->rng,
                              tissue->plain + scan->phase * (tissue->enhanced - tissue->plain),
                              tissue->spread)
                : 0;
    }
    for (gint64 v = 0; v < scan->voxels; v++) {
        const Tissue *tissue = scan->tissue[t[v]];

        if (!tissue || tissue->lesion != lesions)
            continue;
        scan->x[v] = middle[t[v]] + tissue->uneven * scan->slow[v];
        if (lesions && scan->slow[v] > 1.3f)
            scan->x[v] = 25 + 4 * scan->slow[v];
    }
}

static void scan_paint(Scan *scan)
{
    LoomRng *rng = &scan->rng;
    const double finest =
        MIN(MIN(scan->grid.spacing[0], scan->grid.spacing[1]), scan->grid.spacing[2]);
    double slow[3], partial = loom_rng_uniform(rng, 0.5, 0.7);
    PhantomScene scene = {.shapes = g_array_new(FALSE, FALSE, sizeof(PhantomShape))};

    for (int i = 0; i < 3; i++)
        slow[i] = 1.5 * MAX(finest, 3) / scan->grid.spacing[i];
    phantom_unevenness(scan->slow, scan->scratch, scan->grid.size, slow, rng);
    for (gint64 v = 0; v < scan->voxels; v++)
        scan->x[v] = -1000;
    phantom_abdomen_add(&scene, rng, scan->phase);
    phantom_shapes_paint(scene.shapes, &scan->grid, scan->x, 1, NULL);
    g_array_unref(scene.shapes);
    fat_paint(scan);
    vessels_paint(scan);
    blobs_paint(scan, 3 + loom_rng_below(rng, 4), 14, 5, 12, 30, 45 + 80 * scan->phase);
    labels_paint(scan, FALSE);
    blobs_paint(scan, loom_rng_below(rng, 4), 0, 4, 10, 0, 22); /* cysts */
    labels_paint(scan, TRUE);
    phantom_blur(scan->x, scan->scratch, scan->grid.size,
                 (const double[]){partial, partial, partial});
    const float texture = (float)vary(rng, 6, 2), noise = (float)vary(rng, 14, 4);
    phantom_unevenness(scan->slow, scan->scratch, scan->grid.size, slow, rng);
    for (gint64 v = 0; v < scan->voxels; v++)
        scan->x[v] += texture * scan->slow[v] + noise * (float)loom_rng_normal(rng);
}

LoomTensor *phantom_tissue_paint(const LoomTensor *label, const LoomGeometry *geometry,
                                 char *const *names, guint64 seed, const char *id,
                                 GError **error)
{
    const gint64 *size = loom_tensor_shape(label), voxels = loom_tensor_count(label);
    g_autoptr(LoomTensor) image = loom_tensor_new(
        LOOM_F32, "CDHW", (const gint64[]){1, size[0], size[1], size[2]}, error);
    g_autoptr(LoomTensor) room =
        image ? loom_tensor_new(LOOM_F32, "CDHW",
                                (const gint64[]){3, size[0], size[1], size[2]}, error)
              : NULL;

    if (!room)
        return NULL;
    float *free_room = loom_tensor_f32_mut(room);
    Scan scan = {.label = label,
                 .voxels = voxels,
                 .rng = loom_rng(seed, id, 0),
                 .x = loom_tensor_f32_mut(image),
                 .scratch = free_room,
                 .slow = free_room + voxels,
                 .more = free_room + 2 * voxels};
    for (guint k = 1; names[0] && names[k]; k++)
        scan.tissue[k] = tissue_named(names[k]);
    grid_fill(&scan.grid, geometry);
    scan.phase = loom_rng_uniform(&scan.rng, 0.3, 1);
    body_place(&scan);
    scan_paint(&scan);
    return g_steal_pointer(&image);
}
