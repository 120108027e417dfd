/* volume_repair - one file read by a policy and written so that no reader has to choose. */
#include "nifti/volume_repair.h"

#include "nifti/writer.h"
#include "volume_file.h"

#include <loom/tensor.h>

#include <math.h>
#include <string.h>

#include <nifti2_io.h> /* after GLib: it redefines names that <dirent.h> declares */

#define REPAIR_RIGHT 1e-4 /* cosine between axes that a quaternion cannot say */

/* Are the axes at right angles? */
static gboolean affine_right(const LoomGeometry *geometry)
{
    for (guint i = 0; i < 3; i++)
        for (guint j = i + 1; j < 3; j++) {
            double dot = 0;

            for (guint row = 0; row < 3; row++)
                dot += geometry->affine[row][i] * geometry->affine[row][j];
            if (fabs(dot) > REPAIR_RIGHT * geometry->spacing_mm[i] * geometry->spacing_mm[j])
                return FALSE;
        }
    return TRUE;
}

/* Both forms, pixdim and unit say what the affine says. */
static void geometry_settle(LoomGeometry *geometry)
{
    double *q = geometry->quatern, *at = geometry->qoffset, edge[3];
    nifti_dmat44 affine = {.m[3][3] = 1};

    for (guint row = 0; row < 3; row++)
        memcpy(affine.m[row], geometry->affine[row], sizeof geometry->affine[row]);
    memcpy(geometry->srow, geometry->affine, sizeof geometry->srow);
    geometry->sform_code = MAX(geometry->sform_code, NIFTI_XFORM_SCANNER_ANAT);
    nifti_dmat44_to_quatern(affine, &q[0], &q[1], &q[2], &at[0], &at[1], &at[2], &edge[0],
                            &edge[1], &edge[2], &geometry->pixdim[0]);
    geometry->qform_code =
        affine_right(geometry) ? MAX(geometry->qform_code, NIFTI_XFORM_SCANNER_ANAT) : 0;
    for (guint i = 0; i < 3; i++)
        geometry->pixdim[i + 1] = geometry->spacing_mm[i];
    if (XYZT_TO_SPACE(geometry->xyzt_units) != NIFTI_UNITS_UNKNOWN) /* else mm is a guess */
        geometry->xyzt_units = NIFTI_UNITS_MM;
}

/* NaN and infinite numbers become 0: of the types that have any. */
static void numbers_finish(const LoomVoxelType *type, gpointer raw, gint64 n)
{
    float *f = raw;
    double *d = raw;

    for (gint64 i = 0; i < n && strcmp(type->name, "float32") == 0; i++)
        f[i] = isfinite(f[i]) ? f[i] : 0;
    for (gint64 i = 0; i < n && strcmp(type->name, "float64") == 0; i++)
        d[i] = isfinite(d[i]) ? d[i] : 0;
}

/* All numbers as they are stored, in this machine's byte order; (transfer full), g_free. */
static gpointer numbers_read(LoomVolumeFile *file, gsize *length, GError **error)
{
    const LoomNiftiHeader *header = &file->header;
    g_autofree guint8 *raw = NULL;
    gsize got;

    *length = (gsize)header->voxels * header->type->bytes;
    if (!(raw = g_try_malloc(*length)))
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "no memory for %" G_GSIZE_FORMAT " bytes", *length);
    if (!loom_stream_skip_to(file->stream, header->offset, error)
        || !loom_stream_read(file->stream, raw, *length, &got, error))
        return NULL;
    if (got < *length)
        return loom_fail_as_null(error, "E-NII-CUT", LOOM_ERROR_FORMAT, "the voxels end early");
    if (header->swapped)
        loom_voxel_swap(header->type, raw, header->voxels);
    if (file->look.policy->nan != LOOM_NAN_REFUSE)
        numbers_finish(header->type, raw, header->voxels);
    return g_steal_pointer(&raw);
}

static gboolean labels_repair(const char *from, const char *to, const LoomVolumePolicy *policy,
                              const LoomGeometry *grid, GError **error)
{
    LoomGeometry geometry;
    g_autoptr(LoomTensor) labels = loom_volume_labels_by(from, policy, &geometry, error);

    if (!labels)
        return FALSE;
    if (grid)
        geometry = *grid;
    geometry_settle(&geometry);
    return loom_volume_write(to, labels, &geometry, error);
}

gboolean loom_volume_repair(const char *from, const char *to, const LoomVolumePolicy *policy,
                            gboolean labels, const LoomGeometry *grid, GError **error)
{
    g_auto(LoomVolumeFile) file = {0};
    g_autofree void *raw = NULL;
    gsize length = 0;

    if (labels)
        return labels_repair(from, to, policy, grid, error);
    if (loom_volume_file_open(&file, from, policy, NULL, VOLUME_LIMIT_OF(policy), error))
        raw = numbers_read(&file, &length, error);
    if (!raw) {
        loom_volume_file_blame(&file, error);
        return FALSE;
    }
    LoomGeometry geometry = grid ? *grid : file.header.stored.geometry;
    const LoomNumbers numbers = {file.header.type,
                                 file.header.slope,
                                 file.header.intercept,
                                 file.header.channels,
                                 raw,
                                 length};
    geometry_settle(&geometry);
    return loom_volume_write_numbers(to, &numbers, &geometry, error);
}
