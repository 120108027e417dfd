/* phantom - paints a list of shapes into an image and its label map:
 *   image = blur(shapes, 0.6 voxels) + slow texture + noise,   label = the last shape's
 * The blur is what a scanner's finite resolution does to a border (partial volume). */
#include "phantom.h"

#include <math.h>
#include <string.h>

#define PARTIAL_VOLUME_VOXELS 0.6
#define TEXTURE_VOXELS 1.5
#define BLUR_REACH 8 /* voxels to each side at most */

/* ---- shapes ------------------------------------------------------------------------- */

/* Rows: the shape's own axes, in units of its radii. */
typedef struct {
    double m[3][3];
} Frame;

static Frame frame_of(const PhantomShape *shape)
{
    const double cz = cos(shape->turn_z), sz = sin(shape->turn_z);
    const double cy = cos(shape->turn_y), sy = sin(shape->turn_y);
    const double axes[3][3] = {{cz * cy, sz * cy, -sy}, {-sz, cz, 0}, {cz * sy, sz * sy, cy}};
    Frame frame;

    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            frame.m[i][k] = axes[i][k] / shape->radius[i];
    return frame;
}

static gboolean inside(const PhantomShape *shape, const Frame *frame, const double p[3])
{
    double q[3], square = 0, bump = 0;

    for (int i = 0; i < 3; i++) {
        q[i] = frame->m[i][0] * p[0] + frame->m[i][1] * p[1] + frame->m[i][2] * p[2];
        square += q[i] * q[i];
    }
    const double low = 1 - shape->roughness, high = 1 + shape->roughness;
    if (square <= low * low || square > high * high)
        return square <= low * low;
    for (int i = 0; i < 3; i++) /* about two bumps around each axis */
        bump += sin(3.1 * q[i] + 1.7 * q[(i + 1) % 3] + shape->phase[i]) / 3;
    return square <= (1 + shape->roughness * bump) * (1 + shape->roughness * bump);
}

typedef struct {
    gint64 size[3];    /* x, y, z */
    double spacing[3]; /* mm; x, y, z */
} Grid;

static double place(const Grid *grid, int axis, gint64 i)
{
    return ((double)i + 0.5 - 0.5 * (double)grid->size[axis]) * grid->spacing[axis];
}

/* Voxels that the shape can reach along an axis: first, and one past the last. */
static void reach(const PhantomShape *shape, const Grid *grid, int axis, gint64 range[2])
{
    const double widest = MAX(shape->radius[0], MAX(shape->radius[1], shape->radius[2]));
    const gboolean turned = shape->turn_y != 0 || shape->turn_z != 0;
    const double r = (turned ? widest : shape->radius[axis]) * (1 + shape->roughness);
    const double middle = 0.5 * (double)grid->size[axis];
    const double from = (shape->centre[axis] - r) / grid->spacing[axis] + middle - 1;
    const double to = (shape->centre[axis] + r) / grid->spacing[axis] + middle + 1;

    range[0] = (gint64)CLAMP(from, 0, (double)grid->size[axis]);
    range[1] = (gint64)CLAMP(to, 0, (double)grid->size[axis]);
}

static void shape_paint(const PhantomShape *shape, const Grid *grid, float *image,
                        gint64 channels, guint8 *label)
{
    const Frame frame = frame_of(shape);
    const gint64 voxels = grid->size[0] * grid->size[1] * grid->size[2];
    gint64 x[2], y[2], z[2];

    reach(shape, grid, 0, x);
    reach(shape, grid, 1, y);
    reach(shape, grid, 2, z);
    for (gint64 k = z[0]; k < z[1]; k++)
        for (gint64 j = y[0]; j < y[1]; j++)
            for (gint64 i = x[0]; i < x[1]; i++) {
                const double p[3] = {place(grid, 0, i) - shape->centre[0],
                                     place(grid, 1, j) - shape->centre[1],
                                     place(grid, 2, k) - shape->centre[2]};
                const gint64 v = (k * grid->size[1] + j) * grid->size[0] + i;

                if (!inside(shape, &frame, p))
                    continue;
                for (gint64 c = 0; c < channels; c++)
                    image[c * voxels + v] = shape->value[c];
                if (shape->label != PHANTOM_KEEP_LABEL)
                    label[v] = (guint8)shape->label;
            }
}

/* ---- blur, texture, noise ----------------------------------------------------------- */

/* Gaussian along one axis of (outer, n, stride), the border repeated. */
static void blur_axis(const float *from, float *to, gint64 outer, gint64 n, gint64 stride,
                      const double *weight, int radius)
{
    for (gint64 o = 0; o < outer; o++)
        for (gint64 i = 0; i < n; i++)
            for (gint64 s = 0; s < stride; s++) {
                double sum = 0;

                for (int k = -radius; k <= radius; k++)
                    sum += weight[ABS(k)]
                           * (double)from[(o * n + CLAMP(i + k, 0, n - 1)) * stride + s];
                to[(o * n + i) * stride + s] = (float)sum;
            }
}

/* In place; @scratch: as large. */
static void blur(float *x, float *scratch, const gint64 size[3], double sigma)
{
    const int radius = MIN((int)ceil(3 * sigma), BLUR_REACH);
    const gint64 voxels = size[0] * size[1] * size[2];
    double weight[BLUR_REACH + 1], sum = 0;

    for (int k = 0; k <= radius; k++) {
        weight[k] = exp(-0.5 * k * k / (sigma * sigma));
        sum += k ? 2 * weight[k] : weight[k];
    }
    for (int k = 0; k <= radius; k++)
        weight[k] /= sum;
    blur_axis(x, scratch, size[1] * size[2], size[0], 1, weight, radius);
    blur_axis(scratch, x, size[2], size[1], size[0], weight, radius);
    blur_axis(x, scratch, 1, size[2], size[0] * size[1], weight, radius);
    memcpy(x, scratch, (gsize)voxels * sizeof *x);
}

/* Adds slow texture (blurred noise, brought back to its deviation) and noise. */
static void grain(float *image, float *scratch, float *more, const Grid *grid, float texture,
                  float noise, LoomRng *rng)
{
    const gint64 voxels = grid->size[0] * grid->size[1] * grid->size[2];
    double square = 0;

    for (gint64 v = 0; v < voxels; v++)
        scratch[v] = (float)loom_rng_normal(rng);
    blur(scratch, more, grid->size, TEXTURE_VOXELS);
    for (gint64 v = 0; v < voxels; v++)
        square += (double)scratch[v] * (double)scratch[v];
    const float gain = texture / (float)sqrt(square / (double)voxels + 1e-12);
    for (gint64 v = 0; v < voxels; v++)
        image[v] += gain * scratch[v] + noise * (float)loom_rng_normal(rng);
}

/* ---- one case ----------------------------------------------------------------------- */

static gboolean render(const PhantomScene *scene, const Grid *grid, LoomTensor *image,
                       LoomTensor *label, LoomRng *rng, GError **error)
{
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = grid->size[0] * grid->size[1] * grid->size[2];
    g_autoptr(LoomTensor) scratch = loom_tensor_new_like(image, error);
    g_autoptr(LoomTensor) more = scratch ? loom_tensor_new_like(image, error) : NULL;

    if (!more)
        return FALSE;
    float *x = loom_tensor_f32_mut(image);
    for (gint64 c = 0; c < channels; c++)
        for (gint64 v = 0; v < voxels; v++)
            x[c * voxels + v] = scene->background[c];
    for (guint i = 0; i < scene->shapes->len; i++)
        shape_paint(&g_array_index(scene->shapes, PhantomShape, i), grid, x, channels,
                    loom_tensor_u8_mut(label));
    for (gint64 c = 0; c < channels; c++) {
        blur(x + c * voxels, loom_tensor_f32_mut(scratch), grid->size, PARTIAL_VOLUME_VOXELS);
        grain(x + c * voxels, loom_tensor_f32_mut(scratch), loom_tensor_f32_mut(more), grid,
              scene->texture[c], scene->noise[c], rng);
    }
    return TRUE;
}

gboolean phantom_paint(const PhantomKind *kind, const gint64 size[3], guint64 seed,
                       guint64 number, LoomTensor **image, LoomTensor **label,
                       LoomGeometry *geometry, GError **error)
{
    const gint64 channels = kind->channels[1] ? 2 : 1;
    const Grid grid = {{size[2], size[1], size[0]},
                       {kind->extent_mm[0] / (double)size[2],
                        kind->extent_mm[1] / (double)size[1],
                        kind->extent_mm[2] / (double)size[0]}};
    g_autoptr(LoomTensor) x = loom_tensor_new(
        LOOM_F32, "CDHW", (gint64[]){channels, size[0], size[1], size[2]}, error);
    g_autoptr(LoomTensor) y = x ? loom_tensor_new(LOOM_U8, "DHW", size, error) : NULL;
    LoomRng rng = loom_rng(seed, kind->name, number);
    PhantomScene scene = {.shapes = g_array_new(FALSE, FALSE, sizeof(PhantomShape))};
    gboolean done = FALSE;

    if (y) {
        kind->build(&scene, &rng);
        done = render(&scene, &grid, x, y, &rng, error);
    }
    g_array_unref(scene.shapes);
    if (!done)
        return FALSE;
    loom_geometry_plain(geometry, grid.size, grid.spacing);
    *image = g_steal_pointer(&x);
    *label = g_steal_pointer(&y);
    return TRUE;
}
