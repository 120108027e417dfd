/* geometry - do two grids lie on each other? and a plain one for phantoms and tests. */
#include <loom/data.h>

#include <math.h>
#include <string.h>

/* Distance in mm between the places of voxel @ijk in both. */
static double corner_mm(const LoomGeometry *a, const LoomGeometry *b, const double ijk[3])
{
    double sum = 0;

    for (guint row = 0; row < 3; row++) {
        double apart = a->affine[row][3] - b->affine[row][3];

        for (guint i = 0; i < 3; i++)
            apart += (a->affine[row][i] - b->affine[row][i]) * ijk[i];
        sum += apart * apart;
    }
    return sqrt(sum);
}

double loom_geometry_apart(const LoomGeometry *a, const LoomGeometry *b)
{
    double worst = 0;

    for (guint corner = 0; corner < 8; corner++) { /* affine: the worst voxel is a corner */
        const double ijk[3] = {corner & 1 ? (double)(a->size[0] - 1) : 0,
                               corner & 2 ? (double)(a->size[1] - 1) : 0,
                               corner & 4 ? (double)(a->size[2] - 1) : 0};

        worst = MAX(worst, corner_mm(a, b, ijk));
    }
    return worst;
}

/* What it is that differs: the edges, the axes, or only the place. */
static const char *difference_name(const LoomGeometry *a, const LoomGeometry *b)
{
    for (guint i = 0; i < 3; i++)
        if (fabs(a->spacing_mm[i] - b->spacing_mm[i]) > 1e-3 * a->spacing_mm[i])
            return "E-GRID-SPACING";
    return strcmp(a->axes, b->axes) == 0 ? "E-GRID-PLACE" : "E-GRID-AXES";
}

gboolean loom_geometry_check(const LoomGeometry *a, const char *a_name, const LoomGeometry *b,
                             const char *b_name, double tolerance, GError **error)
{
    const double edge = MIN(MIN(a->spacing_mm[0], a->spacing_mm[1]), a->spacing_mm[2]);
    const double worst = loom_geometry_apart(a, b);

    if (a->size[0] != b->size[0] || a->size[1] != b->size[1] || a->size[2] != b->size[2])
        return loom_fail_as(error, "E-GRID-SIZE", LOOM_ERROR_SHAPE,
                            "'%s' has %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                            " x %" G_GINT64_FORMAT " voxels but '%s' has %" G_GINT64_FORMAT
                            " x %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT,
                            a_name, a->size[0], a->size[1], a->size[2], b_name, b->size[0],
                            b->size[1], b->size[2]);
    if (worst <= tolerance * edge)
        return TRUE;
    return loom_fail_as(
        error, difference_name(a, b), LOOM_ERROR_SHAPE,
        "'%s' (axes %s, %g x %g x %g mm, first voxel at %g, %g, %g) and '%s' (axes "
        "%s, %g x %g x %g mm, first voxel at %g, %g, %g) lie up to %g mm apart, "
        "want at most %g",
        a_name, a->axes, a->spacing_mm[0], a->spacing_mm[1], a->spacing_mm[2], a->affine[0][3],
        a->affine[1][3], a->affine[2][3], b_name, b->axes, b->spacing_mm[0], b->spacing_mm[1],
        b->spacing_mm[2], b->affine[0][3], b->affine[1][3], b->affine[2][3], worst,
        tolerance * edge);
}

void loom_geometry_plain(LoomGeometry *geometry, const gint64 size[3],
                         const double spacing_mm[3])
{
    *geometry = (LoomGeometry){.axes = "RAS",
                               .version = 1,
                               .qform_code = 1, /* scanner */
                               .sform_code = 1,
                               .xyzt_units = 2, /* mm */
                               .pixdim = {1}};
    for (guint i = 0; i < 3; i++) {
        const double edge = (double)(float)spacing_mm[i]; /* as NIfTI-1 will store it */

        geometry->size[i] = size[i];
        geometry->spacing_mm[i] = geometry->pixdim[i + 1] = edge;
        geometry->affine[i][i] = geometry->srow[i][i] = edge;
    }
}
