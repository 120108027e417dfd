/* rotation - how far a patch is turned, and how much is loaded for it: nnU-Net's rules.
 * See loom/rotation.h. */
#include <loom/rotation.h>

#include <math.h>

#define ROTATION_THIN 3.0    /* an axis this many times longer than another: slices */
#define ROTATION_OBLONG 1.5  /* length by width of a slice that is not turned round */
#define ROTATION_SHRINK 0.85 /* so far a loaded patch may be shrunk without empty corners */

int loom_patch_slices(const gint64 size[3])
{
    int thin = 0;
    gint64 longest = 0;

    for (int i = 0; i < 3; i++) {
        thin = size[i] < size[thin] ? i : thin;
        longest = MAX(longest, size[i]);
    }
    return (double)longest > ROTATION_THIN * (double)size[thin] ? thin : -1;
}

double loom_patch_rotation(const gint64 size[3], int slices)
{
    if (slices < 0)
        return 30;
    const double a = (double)size[(slices + 1) % 3], b = (double)size[(slices + 2) % 3];
    return size[slices] == 1 && MAX(a, b) > ROTATION_OBLONG * MIN(a, b) ? 15 : 180;
}

void loom_patch_to_load(const gint64 size[3], gint64 load[3])
{
    const int slices = loom_patch_slices(size);
    const double angle = MIN(90, loom_patch_rotation(size, slices)) * G_PI / 180;
    double most[3] = {(double)size[0], (double)size[1], (double)size[2]};

    for (int i = 0; i < 3; i++) { /* about axis i; the two after it mix */
        const int a = (i + 1) % 3, b = (i + 2) % 3;
        const double x = (double)size[a], y = (double)size[b];

        if (slices >= 0 && slices != i)
            continue;
        most[a] = MAX(most[a], x * cos(angle) + y * sin(angle));
        most[b] = MAX(most[b], fabs(y * cos(angle) - x * sin(angle)));
    }
    for (int i = 0; i < 3; i++)
        load[i] = i == slices ? size[i] : (gint64)(most[i] / ROTATION_SHRINK);
}
