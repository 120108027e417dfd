/* mirror - y[d,h,w] = x[D-1-d, H-1-h, W-1-w], along those of the three axes that are asked for.
 */
#include "mirror.h"

#include <string.h>

gboolean mirror_axes(const char *text, const char *key, guint *axes, GError **error)
{
    static const char letters[] = "DHW";

    *axes = 0;
    for (const char *letter = text ? text : ""; *letter; letter++) {
        const char *at = strchr(letters, *letter);

        if (!at || *axes & 1u << (at - letters))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s is '%s', want letters of D, H, W, each at most once", key,
                             text);
        *axes |= 1u << (at - letters);
    }
    return TRUE;
}

typedef struct {
    const float *from;
    float *to;
    gint64 size[3];
    guint axes;
    float factor;
} Mirror;

static Mirror mirror_of(LoomTensor *to, const LoomTensor *from, guint axes)
{
    return (Mirror){.from = from ? loom_tensor_f32(from) : NULL,
                    .to = loom_tensor_f32_mut(to),
                    .size = {loom_tensor_size(to, 'D'), loom_tensor_size(to, 'H'),
                             loom_tensor_size(to, 'W')},
                    .axes = axes};
}

static gint64 volumes_of(const LoomTensor *x)
{
    return loom_tensor_size(x, 'N') * loom_tensor_size(x, 'C');
}

static gint64 turned(const Mirror *mirror, guint axis, gint64 i)
{
    return mirror->axes & 1u << axis ? mirror->size[axis] - 1 - i : i;
}

static void values_swap(float *a, float *b)
{
    const float between = *a;

    *a = *b;
    *b = between;
}

/* One volume in place: each voxel of the first half changes places with its image.  Along one
 * axis the halves are those of that axis; along several, the pairs are met in the order of
 * memory, each once. */
static void volume_turn(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Mirror *mirror = data;
    const gint64 *size = mirror->size;
    float *x = mirror->to + i * size[0] * size[1] * size[2];

    for (gint64 d = 0; d < size[0]; d++)
        for (gint64 h = 0; h < size[1]; h++) {
            const gint64 here = (d * size[1] + h) * size[2];
            const gint64 there =
                (turned(mirror, 0, d) * size[1] + turned(mirror, 1, h)) * size[2];

            if (there < here)
                continue;
            for (gint64 w = 0; w < size[2]; w++) {
                const gint64 other = turned(mirror, 2, w);

                if (there > here || other > w)
                    values_swap(&x[here + w], &x[there + other]);
            }
        }
}

void mirror_turn(LoomTensor *x, guint axes, LoomPool *pool)
{
    Mirror mirror = mirror_of(x, NULL, axes);

    if (axes)
        loom_pool_run(pool, volumes_of(x), volume_turn, &mirror);
}

static void volume_add(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Mirror *mirror = data;
    const gint64 *size = mirror->size;
    const float *from = mirror->from + i * size[0] * size[1] * size[2];
    float *to = mirror->to + i * size[0] * size[1] * size[2];

    for (gint64 d = 0; d < size[0]; d++)
        for (gint64 h = 0; h < size[1]; h++, to += size[2]) {
            const float *row =
                from + (turned(mirror, 0, d) * size[1] + turned(mirror, 1, h)) * size[2];

            if (mirror->axes & 4u)
                for (gint64 w = 0; w < size[2]; w++)
                    to[w] += row[size[2] - 1 - w];
            else
                for (gint64 w = 0; w < size[2]; w++)
                    to[w] += row[w];
        }
}

void mirror_add(LoomTensor *to, const LoomTensor *x, guint axes, LoomPool *pool)
{
    Mirror mirror = mirror_of(to, x, axes);

    loom_pool_run(pool, volumes_of(to), volume_add, &mirror);
}

static void volume_scale(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Mirror *mirror = data;
    const gint64 voxels = mirror->size[0] * mirror->size[1] * mirror->size[2];
    float *x = mirror->to + i * voxels;

    for (gint64 v = 0; v < voxels; v++)
        x[v] *= mirror->factor;
}

void mirror_scale(LoomTensor *x, float factor, LoomPool *pool)
{
    Mirror mirror = mirror_of(x, NULL, 0);

    mirror.factor = factor;
    loom_pool_run(pool, volumes_of(x), volume_scale, &mirror);
}
