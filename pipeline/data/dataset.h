/* dataset.h - making a data set: from a folder, from loose files; looking at all of it. */
#pragma once

#include <loom/context.h>
#include <loom/data.h>

/* Keys under `data:`. */
typedef struct {
    char *dataset;          /* folder, or a table cases.csv */
    int layout;             /* how the files lie; 0: found out */
    char *images, *labels;  /* patterns, see layout_pattern.c; NULL: none */
    char **channels;        /* chosen ones; NULL: all */
    char **label_names;     /* of class 0, 1, ...; NULL: as the data set says */
    char **label_map;       /* value in a file, class or "ignore", ...; NULL: none */
    char **regions;         /* name, "1,2,3", ...; NULL: the data set's */
    gint64 folds, fold;     /* seeded k-fold split; folds 1: everything trains, 0: as said */
    gint64 split_seed;      /* of that split, so that the run's seed does not move cases */
    char *train, *validate; /* list files, one case id a line, instead of folds; NULL: none */
    char *patient_key; /* regular expression: group 1 of an id is the patient; NULL: none */
    int nan_policy, prefer, assume_orientation; /* of LoomVolumePolicy */
    double shear;
    gboolean allow_analyze, allow_2d, strict;
} LoomDataOptions;
extern const LoomParam loom_data_params[];

/* Every file is there when it succeeds; none was read but dataset.json, tables and lists. */
LoomDataset *loom_dataset_open(const LoomDataOptions *options, GError **error);
/* A data set without cases: what @options say of labels, over what @json, a dataset.json, or
 * @names, of class 0, 1, ..., say; both may be NULL. */
LoomDataset *loom_dataset_scheme(const char *json, char *const *names,
                                 const LoomDataOptions *options, GError **error);
/* "4 for 'enhancing', 10 for 'left'": the classes 0 .. @n - 1 that files hold under another
 * number, by value_of; NULL: none.  (transfer full) */
char *loom_label_values_text(char *const *names, const guint8 *values, guint n);
/* The same of a data set, and those of which other values are read as them: "10 for 'left' (11
 * is read as it, too)". */
char *loom_dataset_values_text(const LoomDataset *dataset);
/* Would loom_dataset_open know @folder by itself? */
gboolean loom_dataset_known(const char *folder);
/* Loose files: @paths of one case after the other, @n_channels each, or one that holds
 * @n_volumes (0: a file a channel), of which @volume_of says the place of each channel (NULL:
 * the first ones); no labels.  @ids: of the cases; NULL: the file names without _0000 and
 * .nii.gz.  All cases are in both splits. */
LoomDataset *loom_dataset_from_files(char **paths, char *const *ids, guint n_channels,
                                     guint n_volumes, const guint *volume_of, GError **error);
void loom_dataset_free(LoomDataset *dataset);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomDataset, loom_dataset_free)
/* Reads every header and every label: sizes and grids that differ, values that are no label,
 * files that are missing or damaged.  Reads no image voxels.  Fails with the first problem in
 * the order of the cases, and the number of further ones. */
gboolean loom_dataset_check(const LoomDataset *dataset, LoomPool *pool, GError **error);
