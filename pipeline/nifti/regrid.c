/* regrid - the geometry of a volume whose axes were swapped, turned, cut or resampled:
 *   old voxel along axis[i] = start[i] + step[i] * new voxel along i
 * so that column i of each affine is step[i] times the old column axis[i], and the origin moves
 * by the sum of start[i] times that column. */
#include "header.h"

#include <math.h>
#include <string.h>

#include <nifti2_io.h> /* after GLib: it redefines names that <dirent.h> declares */

/* How the axes move. */
typedef struct {
    const guint *axis;
    const double *step, *start;
} Move;

static void affine_move(double affine[3][4], const Move *move)
{
    double old[3][4];

    memcpy(old, affine, sizeof old);
    for (guint row = 0; row < 3; row++)
        for (guint i = 0; i < 3; i++) {
            const double column = old[row][move->axis[i]];

            affine[row][i] = column * move->step[i];
            if (move->start[i] != 0) /* an origin that stays keeps its bits */
                affine[row][3] += column * move->start[i];
        }
}

/* The qform may say something else than the sform: it moves on its own. */
static void qform_move(LoomGeometry *geometry, const Move *move)
{
    double *q = geometry->quatern, *at = geometry->qoffset, affine[3][4];
    const double *edge = geometry->pixdim;
    nifti_dmat44 matrix =
        nifti_quatern_to_dmat44(q[0], q[1], q[2], at[0], at[1], at[2], edge[1], edge[2],
                                edge[3], edge[0] < 0 ? -1.0 : 1.0);
    double ignored[3];

    for (guint row = 0; row < 3; row++)
        memcpy(affine[row], matrix.m[row], sizeof affine[row]);
    affine_move(affine, move);
    for (guint row = 0; row < 3; row++)
        memcpy(matrix.m[row], affine[row], sizeof affine[row]);
    nifti_dmat44_to_quatern(matrix, &q[0], &q[1], &q[2], &at[0], &at[1], &at[2], &ignored[0],
                            &ignored[1], &ignored[2], &geometry->pixdim[0]);
}

/* Neither form: what was a guess from pixdim alone is written down from here on, since a grid
 * that was cut or turned cannot be guessed again. */
static void sform_make(LoomGeometry *geometry)
{
    geometry->sform_code = NIFTI_XFORM_ALIGNED_ANAT;
    geometry->xyzt_units = (geometry->xyzt_units & ~0x07) | NIFTI_UNITS_MM;
    memcpy(geometry->srow, geometry->affine, sizeof geometry->srow);
    for (guint i = 0; i < 3; i++)
        geometry->pixdim[1 + i] = geometry->spacing_mm[i];
}

static char axis_turned(char letter)
{
    static const char both[] = "RLAPSI";
    const char *at = strchr(both, letter);

    return both[(at - both) ^ 1];
}

void loom_geometry_regrid(LoomGeometry *geometry, const gint64 size[3], const guint axis[3],
                          const double step[3], const double start[3])
{
    const LoomGeometry old = *geometry;
    const Move move = {axis, step, start};
    const gboolean formless = old.sform_code <= 0 && old.qform_code <= 0;

    affine_move(geometry->affine, &move);
    if (old.qform_code > 0)
        qform_move(geometry, &move);
    if (old.sform_code > 0)
        affine_move(geometry->srow, &move);
    for (guint i = 0; i < 3; i++) {
        const double edge = fabs(step[i]);

        geometry->size[i] = size[i];
        geometry->spacing_mm[i] = old.spacing_mm[axis[i]] * edge;
        geometry->pixdim[1 + i] = old.pixdim[1 + axis[i]] * edge;
        geometry->axes[i] = step[i] < 0 ? axis_turned(old.axes[axis[i]]) : old.axes[axis[i]];
    }
    if (formless)
        sform_make(geometry);
}
