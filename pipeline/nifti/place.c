/* place - where the voxels lie: from sform, qform or pixdim to affine, spacing and axes.
 *
 * sform if its code is above 0, else qform (the other way round where the policy prefers it).
 * With neither the pixdim alone, along axes that the policy must give (LAS is how Analyze meant
 * it and how nibabel, FSL and SPM read it), the origin in the middle.  What is a choice, a
 * repair or a doubt is a finding.
 * Source: nifti1.h, "3D IMAGE (VOLUME) ORIENTATION AND LOCATION IN SPACE". */
#define G_LOG_DOMAIN "loom-nifti"
#include "header.h"

#include "core/findings.h"

#include <math.h>
#include <string.h>

#include <nifti2_io.h> /* after GLib: it redefines names that <dirent.h> declares */

#define PLACE_LEAST_MM 1e-6 /* a voxel edge outside these is a wrong unit or a wrong number */
#define PLACE_MOST_MM 1000.0
#define PLACE_SINGULAR 1e-4    /* |det| of the unit directions: two axes within 0.006 degrees */
#define PLACE_UNIT_NORM 1e-4   /* b^2 + c^2 + d^2 may exceed 1 by the rounding of floats */
#define PLACE_AGREE 1e-4       /* relative: pixdim and sform say the same */
#define PLACE_FORMS 1e-2       /* of a voxel edge: qform and sform say the same */
#define PLACE_FORMS_APART 0.1  /* of a voxel edge: they do not */
#define PLACE_SHEAR_NOISE 1e-5 /* cosine between axes: float32 and decimal numbers */
#define PLACE_SHEAR_NOTE 1e-3

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
            return loom_fail_as(error, "E-NII-PIXDIM", LOOM_ERROR_FORMAT,
                                "pixdim[%u] is %g, want a voxel edge above 0 (there is no "
                                "other form)",
                                i + 1, geometry->pixdim[i + 1]);
    }
    return TRUE;
}

static gboolean quaternion_short(const LoomGeometry *geometry)
{
    const double *q = geometry->quatern;

    return q[0] * q[0] + q[1] * q[1] + q[2] * q[2] <= 1 + PLACE_UNIT_NORM; /* not NaN */
}

/* The qform that the header holds, without the unit.  @findings: where its oddities go. */
static gboolean affine_from_qform(LoomGeometry *geometry, const LoomNiftiLook *look,
                                  const double edge[3], GError **error)
{
    const double *q = geometry->quatern, *at = geometry->qoffset;
    const double qfac = geometry->pixdim[0];

    if (!quaternion_short(geometry))
        return loom_fail_as(error, "E-NII-QUATERNION", LOOM_ERROR_FORMAT,
                            "the qform's quaternion (%g, %g, %g) is longer than 1 and there is "
                            "no sform",
                            q[0], q[1], q[2]);
    if (qfac != 1 && qfac != -1)
        loom_finding_add(look->findings, "N-NII-QFAC", look->path, NULL,
                         "pixdim[0] is %g, want 1 or -1: taken as 1", qfac);
    const nifti_dmat44 found =
        nifti_quatern_to_dmat44(q[0], q[1], q[2], at[0], at[1], at[2], edge[0], edge[1],
                                edge[2], qfac == -1 ? -1.0 : 1.0);
    for (guint row = 0; row < 3; row++)
        memcpy(geometry->affine[row], found.m[row], sizeof geometry->affine[row]);
    return TRUE;
}

/* Neither form: along the axes that the policy says, if it says any. */
static gboolean affine_from_pixdim(LoomGeometry *geometry, const LoomNiftiLook *look,
                                   const double edge[3], GError **error)
{
    static const char *const axes[] = {"",    "LAS", "RAS", "LPS", "RPS",
                                       "LAI", "RAI", "LPI", "RPI"};
    const char *letters = axes[look->policy->orientation];

    if (!*letters)
        return loom_fail_as(error, "E-NII-ORIENTATION", LOOM_ERROR_FORMAT,
                            "neither sform nor qform: left and right are unknown; want the "
                            "axes, such as assume_orientation: LAS");
    loom_finding_add(look->findings, "N-NII-ORIENTATION", look->path, NULL,
                     "neither sform nor qform: taken as %s, left and right are a guess",
                     letters);
    memset(geometry->affine, 0, sizeof geometry->affine);
    for (guint i = 0; i < 3; i++) {
        geometry->affine[i][i] = strchr("RAS", letters[i]) ? edge[i] : -edge[i];
        geometry->affine[i][3] =
            -0.5 * (double)(geometry->size[i] - 1) * geometry->affine[i][i];
    }
    return TRUE;
}

static void affine_scale(LoomGeometry *geometry, double mm)
{
    for (guint i = 0; i < 12; i++)
        geometry->affine[i / 4][i % 4] *= mm;
}

/* Lengths of the columns, and the columns at length 1. */
static gboolean edges_find(LoomGeometry *geometry, double unit[3][3], GError **error)
{
    for (guint j = 0; j < 3; j++) {
        const double x = geometry->affine[0][j], y = geometry->affine[1][j];
        const double z = geometry->affine[2][j], length = sqrt(x * x + y * y + z * z);

        if (!(length >= PLACE_LEAST_MM) || length > PLACE_MOST_MM)
            return loom_fail_as(error, "E-NII-SPACING", LOOM_ERROR_FORMAT,
                                "the voxel edge along %c is %g mm, want %g to %g", "ijk"[j],
                                length, PLACE_LEAST_MM, PLACE_MOST_MM);
        geometry->spacing_mm[j] = length;
        for (guint row = 0; row < 3; row++)
            unit[row][j] = geometry->affine[row][j] / length;
    }
    return TRUE;
}

/* Directions that are not at right angles; relative to the edges, so that 0.3 mm is no problem
 * of its own. */
static gboolean shear_check(const double unit[3][3], const LoomNiftiLook *look, GError **error)
{
    double worst = 0;
    guint at[2] = {0, 1};

    for (guint i = 0; i < 3; i++)
        for (guint j = i + 1; j < 3; j++) {
            double cosine = 0;

            for (guint row = 0; row < 3; row++)
                cosine += unit[row][i] * unit[row][j];
            if (fabs(cosine) > worst) {
                worst = fabs(cosine);
                at[0] = i, at[1] = j;
            }
        }
    const double angle = acos(MIN(worst, 1)) * 180 / G_PI, most = look->policy->shear;
    if (worst > most)
        return loom_fail_as(error, "E-NII-SHEAR", LOOM_ERROR_FORMAT,
                            "the axes %c and %c are sheared: %.4g degrees apart (cosine %.3g), "
                            "want 90 (cosine at most %g; shear allows more)",
                            "ijk"[at[0]], "ijk"[at[1]], angle, worst, most);
    if (worst > PLACE_SHEAR_NOTE)
        return loom_nifti_warn(look, "W-NII-SHEAR", error,
                               "the axes %c and %c are sheared: %.4g degrees apart (cosine "
                               "%.3g)",
                               "ijk"[at[0]], "ijk"[at[1]], angle, worst);
    if (worst > PLACE_SHEAR_NOISE)
        loom_finding_add(look->findings, "N-NII-SHEAR", look->path, NULL,
                         "the axes %c and %c are %.5g degrees apart (cosine %.3g)",
                         "ijk"[at[0]], "ijk"[at[1]], angle, worst);
    return TRUE;
}

/* Finite, with three directions that span space; edges by the length of the columns. */
static gboolean affine_check(LoomGeometry *geometry, const char *by, const LoomNiftiLook *look,
                             GError **error)
{
    double unit[3][3];

    for (guint i = 0; i < 12; i++)
        if (!isfinite(geometry->affine[i / 4][i % 4]))
            return loom_fail_as(error, "E-NII-AFFINE", LOOM_ERROR_FORMAT,
                                "the %s holds %g, want finite numbers", by,
                                geometry->affine[i / 4][i % 4]);
    if (!edges_find(geometry, unit, error))
        return FALSE;
    const double det = unit[0][0] * (unit[1][1] * unit[2][2] - unit[1][2] * unit[2][1])
                       - unit[0][1] * (unit[1][0] * unit[2][2] - unit[1][2] * unit[2][0])
                       + unit[0][2] * (unit[1][0] * unit[2][1] - unit[1][1] * unit[2][0]);
    if (fabs(det) < PLACE_SINGULAR)
        return loom_fail_as(error, "E-NII-SINGULAR", LOOM_ERROR_FORMAT,
                            "the directions of the %s do not span space (determinant %g)", by,
                            det);
    return shear_check((const double(*)[3])unit, look, error);
}

/* The number as the header has it, where the form agrees.  A pixdim that cannot be is refused,
 * unless the user has said which form to believe. */
static gboolean spacing_settle(LoomGeometry *geometry, const LoomNiftiLook *look, guint n_dims,
                               double mm, const char *by, GError **error)
{
    for (guint i = 0; i < 3 && i < n_dims; i++) {
        const double said = geometry->pixdim[i + 1] * mm;

        if (fabs(said - geometry->spacing_mm[i]) <= PLACE_AGREE * geometry->spacing_mm[i]) {
            geometry->spacing_mm[i] = said;
            continue;
        }
        if (look->policy->prefer == LOOM_PREFER_NEITHER
            && (!(said > 0) || said > PLACE_MOST_MM))
            return loom_fail_as(error, "E-NII-PIXDIM", LOOM_ERROR_FORMAT,
                                "pixdim[%u] is %g, want a voxel edge above 0 and up to %g mm "
                                "(prefer: %s goes by that form, %g mm)",
                                i + 1, geometry->pixdim[i + 1], PLACE_MOST_MM, by,
                                geometry->spacing_mm[i]);
        if (!loom_nifti_warn(look, "W-NII-PIXDIM", error,
                             "pixdim[%u] says %g mm, the %s %g mm: the %s is used", i + 1, said,
                             by, geometry->spacing_mm[i], by))
            return FALSE;
    }
    return TRUE;
}

/* ---- two forms ---------------------------------------------------------------------- */

/* Degrees between the axes of two forms that are furthest apart. */
static double angle_between(const LoomGeometry *a, const LoomGeometry *b)
{
    double worst = 0;

    for (guint j = 0; j < 3; j++) {
        double dot = 0, x = 0, y = 0;

        for (guint row = 0; row < 3; row++) {
            dot += a->affine[row][j] * b->affine[row][j];
            x += a->affine[row][j] * a->affine[row][j];
            y += b->affine[row][j] * b->affine[row][j];
        }
        worst = MAX(worst, acos(CLAMP(dot / sqrt(x * y), -1, 1)) * 180 / G_PI);
    }
    return worst;
}

/* Where sform and qform lie apart: a note as long as it is a tenth of a voxel, or the policy
 * says which to believe, else a refusal. */
static gboolean forms_compare(const LoomGeometry *geometry, const LoomNiftiLook *look,
                              guint n_dims, double mm, const char *by, GError **error)
{
    const LoomNiftiLook quiet = {look->path, look->policy, NULL};
    LoomGeometry other = *geometry;
    double edge[3];

    if (geometry->sform_code <= 0 || geometry->qform_code <= 0)
        return TRUE;
    if (!quaternion_short(geometry)) {
        loom_finding_add(look->findings, "N-NII-QUATERNION", look->path, NULL,
                         "the qform's quaternion (%g, %g, %g) is longer than 1: the sform is "
                         "used",
                         geometry->quatern[0], geometry->quatern[1], geometry->quatern[2]);
        return TRUE;
    }
    if (*by == 'q')
        memcpy(other.affine, other.srow, sizeof other.affine);
    else if (!pixdim_read(geometry, n_dims, edge, NULL)
             || !affine_from_qform(&other, &quiet, edge, NULL))
        return TRUE;
    for (guint i = 0; i < 12; i++)
        other.affine[i / 4][i % 4] *= mm;
    const double apart = loom_geometry_apart(geometry, &other);
    const double least =
        MIN(MIN(geometry->spacing_mm[0], geometry->spacing_mm[1]), geometry->spacing_mm[2]);
    const double x = other.affine[0][3] - geometry->affine[0][3];
    const double y = other.affine[1][3] - geometry->affine[1][3];
    const double z = other.affine[2][3] - geometry->affine[2][3];
    if (apart <= PLACE_FORMS * least)
        return TRUE;
    g_autofree char *how = g_strdup_printf(
        "qform and sform lie up to %.4g mm apart: turned by %.4g degrees, the first voxel "
        "shifted by %.4g mm",
        apart, angle_between(geometry, &other), sqrt(x * x + y * y + z * z));
    if (look->policy->prefer != LOOM_PREFER_NEITHER || apart <= PLACE_FORMS_APART * least) {
        loom_finding_add(look->findings, "N-NII-FORMS", look->path, NULL, "the %s is used: %s",
                         by, how);
        return TRUE;
    }
    return loom_fail_as(error, "E-NII-FORMS", LOOM_ERROR_FORMAT,
                        "%s; want one of them: prefer: sform or prefer: qform", how);
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

static gboolean unit_tell(const LoomGeometry *geometry, const LoomNiftiLook *look, double mm,
                          GError **error)
{
    if (mm != 1)
        return loom_nifti_warn(look, "W-NII-UNITS", error,
                               "xyzt_units is %d, no mm: one unit is taken as %g mm",
                               geometry->xyzt_units, mm);
    if (XYZT_TO_SPACE(geometry->xyzt_units) != NIFTI_UNITS_MM)
        return loom_nifti_warn(look, "W-NII-UNITS", error,
                               "xyzt_units is %d, no unit of length: mm is assumed",
                               geometry->xyzt_units);
    return TRUE;
}

/* The form that is believed: "sform", "qform", or "pixdim" where there is neither. */
static const char *form_choose(const LoomGeometry *geometry, const LoomVolumePolicy *policy)
{
    const gboolean sform = geometry->sform_code > 0, qform = geometry->qform_code > 0;

    if (qform && quaternion_short(geometry) && policy->prefer == LOOM_PREFER_QFORM)
        return "qform";
    return sform ? "sform" : qform ? "qform" : "pixdim";
}

gboolean loom_nifti_place(LoomGeometry *geometry, const LoomNiftiLook *look, guint n_dims,
                          GError **error)
{
    const double mm = unit_mm(geometry->xyzt_units);
    const char *by = form_choose(geometry, look->policy);
    double edge[3];

    if (*by == 's')
        memcpy(geometry->affine, geometry->srow, sizeof geometry->affine);
    else if (!pixdim_read(geometry, n_dims, edge, error)
             || !(*by == 'q' ? affine_from_qform : affine_from_pixdim)(geometry, look, edge,
                                                                       error))
        return FALSE;
    if (mm != 1)
        affine_scale(geometry, mm);
    if (!affine_check(geometry, by, look, error)
        || !spacing_settle(geometry, look, n_dims, mm, by, error))
        return FALSE;
    axes_find(geometry);
    return unit_tell(geometry, look, mm, error)
           && forms_compare(geometry, look, n_dims, mm, by, error);
}
