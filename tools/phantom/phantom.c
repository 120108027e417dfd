/* phantom - paints a list of shapes into an image and its label map:
 *   image = blur(shapes, 0.6 voxels) + slow texture + noise,   label = the last shape's
 * The blur is what a scanner's finite resolution does to a border (partial volume). */
#include "phantom.h"

#include <math.h>
#include <string.h>

#define PARTIAL_VOLUME_VOXELS 0.6
#define TEXTURE_VOXELS 1.5
#define BLUR_REACH 24 /* voxels to each side at most */

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

/* Along x, y or z, of voxel @i of index axis @axis. */
static double place(const PhantomGrid *grid, int axis, gint64 i)
{
    return grid->sign[axis] * ((double)i + 0.5 - 0.5 * (double)grid->size[axis])
               * grid->spacing[axis]
           + grid->middle[grid->axis[axis]];
}

/* Voxels that the shape can reach along an index axis: first, and one past the last. */
static void reach(const PhantomShape *shape, const PhantomGrid *grid, int axis, gint64 range[2])
{
    const int along = grid->axis[axis];
    const double widest = MAX(shape->radius[0], MAX(shape->radius[1], shape->radius[2]));
    const gboolean turned = shape->turn_y != 0 || shape->turn_z != 0;
    const double r = (turned ? widest : shape->radius[along]) * (1 + shape->roughness);
    const double centre = grid->sign[axis] * (shape->centre[along] - grid->middle[along]);
    const double half = 0.5 * (double)grid->size[axis];
    const double from = (centre - r) / grid->spacing[axis] + half - 1;
    const double to = (centre + r) / grid->spacing[axis] + half + 1;

    range[0] = (gint64)CLAMP(from, 0, (double)grid->size[axis]);
    range[1] = (gint64)CLAMP(to, 0, (double)grid->size[axis]);
}

static void shape_paint(const PhantomShape *shape, const PhantomGrid *grid, float *image,
                        gint64 channels, guint8 *label)
{
    const Frame frame = frame_of(shape);
    const gint64 voxels = grid->size[0] * grid->size[1] * grid->size[2];
    gint64 range[3][2];
    double p[3];

    for (int axis = 0; axis < 3; axis++)
        reach(shape, grid, axis, range[axis]);
    for (gint64 k = range[2][0]; k < range[2][1]; k++)
        for (gint64 j = range[1][0]; j < range[1][1]; j++)
            for (gint64 i = range[0][0]; i < range[0][1]; i++) {
                const gint64 ijk[3] = {i, j, k};
                const gint64 v = (k * grid->size[1] + j) * grid->size[0] + i;

                for (int axis = 0; axis < 3; axis++)
                    p[grid->axis[axis]] =
                        place(grid, axis, ijk[axis]) - shape->centre[grid->axis[axis]];
                if (!inside(shape, &frame, p))
                    continue;
                for (gint64 c = 0; c < channels; c++)
                    image[c * voxels + v] = shape->value[c];
                if (label && shape->label != PHANTOM_KEEP_LABEL)
                    label[v] = (guint8)shape->label;
            }
}

void phantom_shapes_paint(const GArray *shapes, const PhantomGrid *grid, float *image,
                          gint64 channels, guint8 *label)
{
    for (guint i = 0; i < shapes->len; i++)
        shape_paint(&g_array_index(shapes, PhantomShape, i), grid, image, channels, label);
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

/* Fills @weight[0 .. radius]; returns the radius. */
static int gaussian(double sigma, double weight[BLUR_REACH + 1])
{
    const int radius = MIN((int)ceil(3 * sigma), BLUR_REACH);
    double sum = 0;

    for (int k = 0; k <= radius; k++) {
        weight[k] = exp(-0.5 * k * k / (sigma * sigma));
        sum += k ? 2 * weight[k] : weight[k];
    }
    for (int k = 0; k <= radius; k++)
        weight[k] /= sum;
    return radius;
}

void phantom_blur(float *x, float *scratch, const gint64 size[3], const double sigma[3])
{
    double weight[BLUR_REACH + 1];
    int radius = gaussian(sigma[0], weight);

    blur_axis(x, scratch, size[1] * size[2], size[0], 1, weight, radius);
    radius = gaussian(sigma[1], weight);
    blur_axis(scratch, x, size[2], size[1], size[0], weight, radius);
    radius = gaussian(sigma[2], weight);
    blur_axis(x, scratch, 1, size[2], size[0] * size[1], weight, radius);
    memcpy(x, scratch, (gsize)(size[0] * size[1] * size[2]) * sizeof *x);
}

/* Blurred noise; returns the factor that brings its deviation to 1. */
static float noise_slow(float *x, float *scratch, const gint64 size[3], const double sigma[3],
                        LoomRng *rng)
{
    const gint64 voxels = size[0] * size[1] * size[2];
    double square = 0;

    for (gint64 v = 0; v < voxels; v++)
        x[v] = (float)loom_rng_normal(rng);
    phantom_blur(x, scratch, size, sigma);
    for (gint64 v = 0; v < voxels; v++)
        square += (double)x[v] * (double)x[v];
    return 1 / (float)sqrt(square / (double)voxels + 1e-12);
}

void phantom_unevenness(float *x, float *scratch, const gint64 size[3], const double sigma[3],
                        LoomRng *rng)
{
    const float gain = noise_slow(x, scratch, size, sigma, rng);

    for (gint64 v = 0; v < size[0] * size[1] * size[2]; v++)
        x[v] *= gain;
}

/* Adds slow texture and noise. */
static void grain(float *image, float *scratch, float *more, const PhantomGrid *grid,
                  float texture, float noise, LoomRng *rng)
{
    const double sigma[3] = {TEXTURE_VOXELS, TEXTURE_VOXELS, TEXTURE_VOXELS};
    const gint64 voxels = grid->size[0] * grid->size[1] * grid->size[2];
    const float gain = texture * noise_slow(scratch, more, grid->size, sigma, rng);

    for (gint64 v = 0; v < voxels; v++)
        image[v] += gain * scratch[v] + noise * (float)loom_rng_normal(rng);
}

/* ---- one case ----------------------------------------------------------------------- */

static gboolean render(const PhantomScene *scene, const PhantomGrid *grid, LoomTensor *image,
                       LoomTensor *label, LoomRng *rng, GError **error)
{
    const gint64 channels = loom_tensor_size(image, 'C');
    const gint64 voxels = grid->size[0] * grid->size[1] * grid->size[2];
    const double sigma[3] = {PARTIAL_VOLUME_VOXELS, PARTIAL_VOLUME_VOXELS,
                             PARTIAL_VOLUME_VOXELS};
    g_autoptr(LoomTensor) scratch = loom_tensor_new_like(image, error);
    g_autoptr(LoomTensor) more = scratch ? loom_tensor_new_like(image, error) : NULL;

    if (!more)
        return FALSE;
    float *x = loom_tensor_f32_mut(image);
    for (gint64 c = 0; c < channels; c++)
        for (gint64 v = 0; v < voxels; v++)
            x[c * voxels + v] = scene->background[c];
    phantom_shapes_paint(scene->shapes, grid, x, channels, loom_tensor_u8_mut(label));
    for (gint64 c = 0; c < channels; c++) {
        phantom_blur(x + c * voxels, loom_tensor_f32_mut(scratch), grid->size, sigma);
        grain(x + c * voxels, loom_tensor_f32_mut(scratch), loom_tensor_f32_mut(more), grid,
              scene->texture[c], scene->noise[c], rng);
    }
    return TRUE;
}

gboolean phantom_paint(const PhantomKind *kind, const gint64 size[3], guint64 seed,
                       guint64 number, LoomTensor **image, LoomTensor **label,
                       LoomGeometry *geometry, GError **error)
{
    const gint64 channels = g_strv_length((char **)(guintptr)kind->channels);
    const PhantomGrid grid = {.size = {size[2], size[1], size[0]},
                              .spacing = {kind->extent_mm[0] / (double)size[2],
                                          kind->extent_mm[1] / (double)size[1],
                                          kind->extent_mm[2] / (double)size[0]},
                              .axis = {0, 1, 2},
                              .sign = {1, 1, 1}};
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
