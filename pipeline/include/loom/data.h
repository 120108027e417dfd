/* loom/data.h - which files belong to which case, what their values mean, and which case to
 * which split. */
#pragma once

#include <loom/packet.h>
#include <loom/plugin.h>

G_BEGIN_DECLS

typedef struct {
    char *id;      /* "hippocampus_001" */
    char **images; /* a path a channel, or one file that holds all of them; ends with NULL */
    char *label;   /* NULL: none */
    char *patient; /* cases of one patient lie on one side of a split; NULL: of nobody else */
} LoomCase;

/* What was found wrong, or worth a word, while looking: problems by severity (core/findings.h).
 * NULL wherever nobody looks. */
typedef struct _LoomFindings LoomFindings;

typedef enum {
    LOOM_NAN_REFUSE,
    LOOM_NAN_ZERO,
    LOOM_NAN_KEEP,
    LOOM_NAN_MASK, /* as KEEP: a loader sets them to 0 and their labels to LOOM_IGNORED */
} LoomNanPolicy;

/* What to believe where sform and qform disagree. */
typedef enum { LOOM_PREFER_NEITHER, LOOM_PREFER_SFORM, LOOM_PREFER_QFORM } LoomPrefer;

/* What a reader does where a file leaves a choice; `data:` of a config has these keys. */
typedef struct {
    int nan;          /* LoomNanPolicy */
    int prefer;       /* LoomPrefer; NEITHER: a disagreement is refused */
    int orientation;  /* of a file that has neither form: 0: refused; 1 LAS, 2 RAS, ... */
    double shear;     /* largest cosine between two axes, 1: any */
    gboolean analyze; /* Analyze 7.5 is read */
    gboolean flat;    /* 2-D images are read */
    gboolean strict;  /* warnings about a file are refusals */
    guint64 limit;    /* bytes of one volume, as stored and as f32; 0: 8 GiB */
} LoomVolumePolicy;

/* A class that may overlap others: the voxels that have one of several labels. */
typedef struct {
    char *name;        /* "whole tumour" */
    guint8 holds[256]; /* by label: 1: its voxels belong to the region */
    guint8 written;    /* label of a voxel that was predicted to lie in it */
} LoomLabelRegion;

typedef enum { LOOM_SPLIT_TRAIN, LOOM_SPLIT_VALIDATE, LOOM_SPLIT_ALL } LoomSplit;

/* A data set: cases in the order of their ids, split once.  Immutable after it was made. */
typedef struct {
    char *folder; /* NULL for loose files */
    char *name;   /* for people */
    LoomCase *cases;
    guint n_cases;
    guint8 *in_train;     /* a case: 0 validates, 1 trains, 2 both (loose files) */
    guint n_channels;     /* of an image */
    char **channel_names; /* n_channels, ends with NULL */
    char **label_names;   /* class 0, 1, ...: ends with NULL; NULL: no labels known */
    guint n_labels;       /* 0: no labels known */
    /* What a file's value means, 256 of them: a class, LOOM_IGNORED, or -1: nothing.  NULL:
     * values are classes. */
    gint16 *label_of;
    gboolean ignores;         /* some voxels may be LOOM_IGNORED, which is no class */
    LoomLabelRegion *regions; /* n_regions, written in this order: later ones over earlier */
    guint n_regions;          /* 0: none */
    /* Where one file holds all channels of a case: how many it has, and the place of each
     * channel among them.  0 and NULL: a file a channel. */
    guint n_volumes, *volume_of;
    const char *layout;      /* how the files lie, as `data: {layout: ...}` spells it; static */
    char *split;             /* for people: "fold 0 of 5"; NULL: all cases are in both */
    LoomVolumePolicy policy; /* how its files are read */
    guint8 *value_of;        /* what a file holds for class 0, 1, ... 255; NULL: that number */
} LoomDataset;

/* The cases of a split, as indices into @cases; (transfer full), g_free. */
LOOM_EXPORT guint *loom_dataset_split(const LoomDataset *dataset, LoomSplit split, guint *n);

/* ---- volumes ------------------------------------------------------------------------ */

/* The policy of those that ask for none: sform before qform, neither is LAS (as nibabel, FSL
 * and SPM read it), any shear, 2-D too; NaN refused. */
LOOM_EXPORT extern const LoomVolumePolicy loom_volume_lenient;

/* A volume as it is stored. */
typedef struct {
    guint n_dims;            /* 1 .. 7 */
    gint64 shape[7];         /* n_dims sizes, i first */
    const char *dtype;       /* "int16"; ">i2" in a big-endian file.  Static. */
    double slope, intercept; /* the header's; slope 0 or NaN: the voxels are not scaled */
    LoomGeometry geometry;
} LoomVolumeHeader;

/* Reads and checks the header alone, and that the file can hold what it promises.  Errors as
 * loom_volume_read. */
LOOM_EXPORT gboolean loom_volume_read_header(const char *path, LoomVolumeHeader *header,
                                             GError **error);

/* loom_volume_read - one NIfTI-1 or -2 file, plain or gzip, single file or .hdr/.img
 * @limit: bytes of voxels (as stored, and as f32) that may be allocated; 0: 8 GiB
 * @geometry: filled in; may be NULL
 * Returns: (transfer full): f32 (C,D,H,W) in file order (W is the file's i), scaled by slope
 * and intercept; C is the fourth, or for vectors the fifth axis of the file.  NULL with
 *   LOOM_ERROR_IO, _FORMAT, _SHAPE or _LIMIT; the message begins with the path.
 * Source: NIfTI-1.1 and NIfTI-2 headers, nifti.nimh.nih.gov. */
LOOM_EXPORT LoomTensor *loom_volume_read(const char *path, LoomNanPolicy nan, guint64 limit,
                                         LoomGeometry *geometry, GError **error);
/* A label map: u8 (D,H,W).  Values within 1e-3 of an integer are rounded; others, negative ones
 * and those above 255 are refused with the first voxel that has one. */
LOOM_EXPORT LoomTensor *loom_volume_read_labels(const char *path, guint64 limit,
                                                LoomGeometry *geometry, GError **error);
/* The three with a policy, whose nan and limit count. */
LOOM_EXPORT gboolean loom_volume_header_by(const char *path, const LoomVolumePolicy *policy,
                                           LoomVolumeHeader *header, GError **error);
LOOM_EXPORT LoomTensor *loom_volume_read_by(const char *path, const LoomVolumePolicy *policy,
                                            LoomGeometry *geometry, GError **error);
LOOM_EXPORT LoomTensor *loom_volume_labels_by(const char *path, const LoomVolumePolicy *policy,
                                              LoomGeometry *geometry, GError **error);
/* Writes a u8 (D,H,W) or f32 (D,H,W) / (C,D,H,W) tensor as .nii or .nii.gz on @geometry's grid,
 * through a temporary file beside it that is synced and renamed.  Not NULL: all. */
LOOM_EXPORT gboolean loom_volume_write(const char *path, const LoomTensor *volume,
                                       const LoomGeometry *geometry, GError **error);
/* Fails with LOOM_ERROR_SHAPE, both names and the numbers in it, unless sizes are equal and the
 * corners of the grids lie within @tolerance (in units of the smallest voxel edge). */
LOOM_EXPORT gboolean loom_geometry_check(const LoomGeometry *a, const char *a_name,
                                         const LoomGeometry *b, const char *b_name,
                                         double tolerance, GError **error);
/* loom_geometry_regrid - the geometry of the same voxels, or of others in the same space, after
 * axes were swapped, turned, cut or resampled
 * All in file order i, j, k: axis i of the new grid runs along axis @axis[i] of the old one,
 * its voxels are @step[i] old ones long (below 0: the other way), and its first lies at
 * @start[i] there, in old voxels.  Affine, spacing, axes and the header's forms all say the new
 * place; a volume without any form gets an sform. */
LOOM_EXPORT void loom_geometry_regrid(LoomGeometry *geometry, const gint64 size[3],
                                      const guint axis[3], const double step[3],
                                      const double start[3]);
/* Grids of one case may lie this far apart: of the smallest voxel edge, at any corner. */
#define LOOM_GRID_TOLERANCE 1e-3
/* Distance in mm between the places of the voxel of @a's grid that is furthest off in @b's. */
LOOM_EXPORT double loom_geometry_apart(const LoomGeometry *a, const LoomGeometry *b);
/* A plain RAS+ geometry with its origin at 0: phantoms and tests.  Sizes and mm in i, j, k. */
LOOM_EXPORT void loom_geometry_plain(LoomGeometry *geometry, const gint64 size[3],
                                     const double spacing_mm[3]);

/* ---- the files of a case ------------------------------------------------------------ */

/* Image files of each case: one a channel, or one that holds all. */
LOOM_EXPORT guint loom_dataset_files(const LoomDataset *dataset);
/* loom_dataset_read_image - all channels of a case, one behind the other
 * @policy: NULL: the data set's; @geometry: of the case; filled in
 * Returns: (transfer full): f32 (C,D,H,W), C the data set's channels.  NULL with the errors of
 *   loom_volume_read, and LOOM_ERROR_SHAPE where grids or the number of volumes differ. */
LOOM_EXPORT LoomTensor *loom_dataset_read_image(const LoomDataset *dataset, const LoomCase *one,
                                                const LoomVolumePolicy *policy,
                                                LoomGeometry *geometry, GError **error);
/* loom_dataset_read_label - the label map of a case, in the data set's classes
 * @policy: NULL: the data set's; @geometry: of the map; filled in
 * Returns: (transfer full): u8 (D,H,W), every voxel a class or LOOM_IGNORED.  NULL with the
 *   errors of loom_volume_read_labels and loom_dataset_map_label. */
LOOM_EXPORT LoomTensor *loom_dataset_read_label(const LoomDataset *dataset, const LoomCase *one,
                                                const LoomVolumePolicy *policy,
                                                LoomGeometry *geometry, GError **error);
/* The class of a value in a file, LOOM_IGNORED, or -1: it means nothing. */
LOOM_EXPORT gint loom_dataset_label_of(const LoomDataset *dataset, guint value);
/* Turns the values of a file, u8 (D,H,W), into classes and LOOM_IGNORED.  A value that means
 * nothing fails with LOOM_ERROR_FORMAT: @path, the value, how many voxels, the first of them.
 */
LOOM_EXPORT gboolean loom_dataset_map_label(const LoomDataset *dataset, LoomTensor *label,
                                            const char *path, GError **error);
/* The region in a label map of any shape, u8: 1 where it is, 0 where not; LOOM_IGNORED stays.
 * (transfer full); NULL with LOOM_ERROR_LIMIT. */
LOOM_EXPORT LoomTensor *loom_region_mask(const LoomLabelRegion *region, const LoomTensor *label,
                                         GError **error);
/* loom_metric_measure - a metric of one case, by region and without the voxels that count
 * nowhere
 * @input: the truth may be LOOM_IGNORED whatever the metric
 * @regions: each is measured as the one class of two; @n_regions 0: the classes are
 * @values: one row a region, or a class from 1 on; one column a reading
 * Errors: those of the metric; LOOM_ERROR_CONFIG where it needs probabilities of regions. */
LOOM_EXPORT gboolean loom_metric_measure(const LoomInstance *metric,
                                         const LoomMetricInput *input,
                                         const LoomLabelRegion *regions, guint n_regions,
                                         double *values, GError **error);
/* Takes the ignored voxels of @truth out of both, u8 of one size: background from now on. */
LOOM_EXPORT void loom_labels_leave_out(LoomTensor *truth, LoomTensor *prediction);

G_END_DECLS
