/* place - where the voxels lie: from sform, qform or pixdim to affine, spacing and axes.
 *
 * sform if its code is above 0, else qform, else pixdim alone with x mirrored (LAS) and the
 * origin in the middle, as Analyze meant it and as nibabel, FSL and SPM read it.
 * Source: nifti1.h, "3D IMAGE (VOLUME) ORIENTATION AND LOCATION IN SPACE". */
#define G_LOG_DOMAIN "loom-nifti"
#include "header.h"

#include <math.h>
#include <string.h>

#include <nifti2_io.h> /* after GLib: it redefines names that <dirent.h> declares */

#define PLACE_LEAST_MM 1e-6 /* a voxel edge outside these is a wrong unit or a wrong number */
#define PLACE_MOST_MM 1000.0
#define PLACE_SINGULAR 1e-4  /* |det| of the unit directions: two axes within 0.006 degrees */
#define PLACE_UNIT_NORM 1e-4 /* b^2 + c^2 + d^2 may exceed 1 by the rounding of floats */
#define PLACE_AGREE 1e-4     /* relative: pixdim and sform say the same */
#define PLACE_FORMS 1e-2     /* of a voxel edge: qform and sform say the same */

/* mm of one unit; what says nothing is mm. */
static double unit_mm(gint32 xyzt_units)
{
    switch (XYZT_TO_SPACE(xyzt_units)) {
    case NIFTI_UNITS_METER:
        return 1000.0;
    case NIFTI_UNITS_MICRON:
        return 0.001;
    default:
        return 1.0;
    }
}

/* pixdim of the axes that the file has; 1 where it has none. */
static gboolean pixdim_read(const LoomGeometry *geometry, guint n_dims, double edge[3],
                            GError **error)
{
    for (guint i = 0; i < 3; i++) {
        edge[i] = i < n_dims ? geometry->pixdim[i + 1] : 1.0;
        if (!(edge[i] > 0) || !isfinite(edge[i]))
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "pixdim[%u] is %g, want a voxel edge above 0 (there is no sform)",
                             i + 1, geometry->pixdim[i + 1]);
    }
    return TRUE;
}

static gboolean affine_from_qform(LoomGeometry *geometry, const char *path,
                                  const double edge[3], GError **error)
{
    const double *q = geometry->quatern, *at = geometry->qoffset;
    const double norm = q[0] * q[0] + q[1] * q[1] + q[2] * q[2];

    if (!(norm <= 1 + PLACE_UNIT_NORM))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "the qform's quaternion (%g, %g, %g) is longer than 1 and there is no "
                         "sform",
                         q[0], q[1], q[2]);
    if (geometry->pixdim[0] != 1 && geometry->pixdim[0] != -1 && geometry->pixdim[0] != 0)
        g_info("'%s': pixdim[0] is %g, want 1 or -1: the sign counts", path,
               geometry->pixdim[0]);
    const nifti_dmat44 found =
        nifti_quatern_to_dmat44(q[0], q[1], q[2], at[0], at[1], at[2], edge[0], edge[1],
                                edge[2], geometry->pixdim[0] < 0 ? -1.0 : 1.0);
    for (guint row = 0; row < 3; row++)
        memcpy(geometry->affine[row], found.m[row], sizeof geometry->affine[row]);
    return TRUE;
}

static void affine_from_pixdim(LoomGeometry *geometry, const char *path, const double edge[3])
{
    g_info("'%s': neither sform nor qform: taken as LAS, left and right are a guess", path);
    memset(geometry->affine, 0, sizeof geometry->affine);
    for (guint i = 0; i < 3; i++) {
        geometry->affine[i][i] = i == 0 ? -edge[i] : edge[i];
        geometry->affine[i][3] =
            -0.5 * (double)(geometry->size[i] - 1) * geometry->affine[i][i];
    }
}

static void affine_scale(LoomGeometry *geometry, double mm)
{
    for (guint i = 0; i < 12; i++)
        geometry->affine[i / 4][i % 4] *= mm;
}

/* Finite, with three directions that span space; edges by the length of the columns. */
static gboolean affine_check(LoomGeometry *geometry, GError **error)
{
    const char *by = geometry->sform_code > 0 ? "sform" : "qform";
    double unit[3][3];

    for (guint i = 0; i < 12; i++)
        if (!isfinite(geometry->affine[i / 4][i % 4]))
            return loom_fail(error, LOOM_ERROR_FORMAT, "the %s holds %g, want finite numbers",
                             by, geometry->affine[i / 4][i % 4]);
    for (guint j = 0; j < 3; j++) {
        const double x = geometry->affine[0][j], y = geometry->affine[1][j];
        const double z = geometry->affine[2][j], length = sqrt(x * x + y * y + z * z);

        if (!(length >= PLACE_LEAST_MM) || length > PLACE_MOST_MM)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "the voxel edge along %c is %g mm, want %g to %g", "ijk"[j],
                             length, PLACE_LEAST_MM, PLACE_MOST_MM);
        geometry->spacing_mm[j] = length;
        for (guint row = 0; row < 3; row++)
            unit[row][j] = geometry->affine[row][j] / length;
    }
    const double det = unit[0][0] * (unit[1][1] * unit[2][2] - unit[1][2] * unit[2][1])
                       - unit[0][1] * (unit[1][0] * unit[2][2] - unit[1][2] * unit[2][0])
                       + unit[0][2] * (unit[1][0] * unit[2][1] - unit[1][1] * unit[2][0]);
    if (fabs(det) < PLACE_SINGULAR)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "the directions of the %s do not span space (determinant %g)", by,
                         det);
    return TRUE;
}

/* The number as the header has it, where the sform agrees; a note where it does not. */
static void spacing_settle(LoomGeometry *geometry, const char *path, guint n_dims, double mm)
{
    for (guint i = 0; i < 3 && i < n_dims; i++) {
        const double said = geometry->pixdim[i + 1] * mm;

        if (fabs(said - geometry->spacing_mm[i]) <= PLACE_AGREE * geometry->spacing_mm[i])
            geometry->spacing_mm[i] = said;
        else
            g_info("'%s': pixdim[%u] says %g mm, the sform %g mm: the sform is used", path,
                   i + 1, said, geometry->spacing_mm[i]);
    }
}

/* A qform that says something else than the sform is worth a note. */
static void forms_compare(const LoomGeometry *geometry, const char *path, guint n_dims,
                          double mm)
{
    LoomGeometry other = *geometry;
    g_autoptr(GError) apart = NULL;
    double edge[3];

    if (geometry->sform_code <= 0 || geometry->qform_code <= 0
        || !pixdim_read(geometry, n_dims, edge, NULL)
        || !affine_from_qform(&other, path, edge, NULL))
        return;
    affine_scale(&other, mm);
    if (!loom_geometry_check(geometry, "sform", &other, "qform", PLACE_FORMS, &apart))
        g_info("'%s': the sform is used: %s", path, apart->message);
}

static void axes_find(LoomGeometry *geometry)
{
    static const char letter[] = "?RLAPSI"; /* NIFTI_L2R is 1, NIFTI_R2L 2, ... */
    nifti_dmat44 affine = {.m[3][3] = 1};
    int axis[3];

    for (guint row = 0; row < 3; row++)
        memcpy(affine.m[row], geometry->affine[row], sizeof geometry->affine[row]);
    nifti_dmat44_to_orientation(affine, &axis[0], &axis[1], &axis[2]);
    for (guint i = 0; i < 3; i++)
        geometry->axes[i] = letter[axis[i]];
    geometry->axes[3] = '\0';
}

gboolean loom_nifti_place(LoomGeometry *geometry, const char *path, guint n_dims,
                          GError **error)
{
    const double mm = unit_mm(geometry->xyzt_units);
    double edge[3];

    if (geometry->sform_code > 0)
        memcpy(geometry->affine, geometry->srow, sizeof geometry->affine);
    else if (!pixdim_read(geometry, n_dims, edge, error))
        return FALSE;
    else if (geometry->qform_code <= 0)
        affine_from_pixdim(geometry, path, edge);
    else if (!affine_from_qform(geometry, path, edge, error))
        return FALSE;
    if (mm != 1) {
        g_info("'%s': xyzt_units is %d: 1 unit is %g mm", path, geometry->xyzt_units, mm);
        affine_scale(geometry, mm);
    }
    if (!affine_check(geometry, error))
        return FALSE;
    spacing_settle(geometry, path, n_dims, mm);
    axes_find(geometry);
    forms_compare(geometry, path, n_dims, mm);
    return TRUE;
}
