/* found.h - what a layout says about a data set, before anything of it was checked. */
#pragma once

#include "dataset.h"

/* Which side a case is on by the words of its data set. */
typedef enum {
    LOOM_PART_UNSAID,
    LOOM_PART_TRAIN,
    LOOM_PART_VALIDATE,
    LOOM_PART_NEITHER
} LoomPart;

typedef struct {
    LoomCase files; /* paths that are wanted, there or not; an empty one: not even named */
    gint64 fold;    /* in which it validates; -1: not said */
    LoomPart part;
} LoomFoundCase;

typedef struct {
    char *folder;           /* what paths start from */
    char *name;             /* NULL: that of the folder */
    char **channel_names;   /* end with NULL */
    char **label_names;     /* class 0, 1, ...: end with NULL; NULL: not said */
    gboolean declared[256]; /* values that it names, where `data:` names the labels itself */
    const char *const
        *label_map; /* the layout's own, as `data: {label_map: ...}`; NULL: none */
    gint ignored;   /* value of the voxels that count nowhere; -1: none */
    LoomLabelRegion *regions;
    guint n_regions;
    GArray *cases;       /* LoomFoundCase, in any order */
    gboolean whole;      /* one image file holds all channels */
    gboolean unlabelled; /* there are no label maps */
    char *pattern;       /* where files were looked for: "imagesTr/NAME_0000.nii.gz" */
    gint64 n_promised;   /* cases that the data set says it has; -1: it does not say */
    char **unpaired;     /* label maps without an image; end with NULL; NULL: none */
} LoomFound;

void loom_found_clear(LoomFound *found);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoomFound, loom_found_clear)
/* Adds an empty case with room for @n_images paths, which the caller fills. */
LoomFoundCase *loom_found_add(LoomFound *found, const char *id, guint n_images);

/* Only the channels of @names, in that order; NULL: all.  @volume_of: (transfer full): the
 * place of each in a file that holds all, NULL where each has a file. */
gboolean loom_found_choose(LoomFound *found, char *const *names, guint **volume_of,
                           GError **error);
/* Sorts the cases, and fails unless every file is there, once, and no id comes twice. */
gboolean loom_found_check(LoomFound *found, GError **error);

/* ---- layouts ------------------------------------------------------------------------ */

typedef struct {
    const char *name;                     /* as in YAML */
    const char *looked_for;               /* what it is known by, for people */
    gboolean (*fits)(const char *folder); /* does it look like that? */
    gboolean (*read)(LoomFound *found, const LoomDataOptions *options, GError **error);
} LoomLayoutKind;

extern const LoomLayoutKind loom_layout_nnunet, loom_layout_msd, loom_layout_kits19,
    loom_layout_brats20, loom_layout_pattern, loom_layout_csv;

/* The images of @path, labelled or not, where it lies as KiTS19 or BraTS20 do: a folder of
 * cases, the folder of one, or the image of a layout that names it by its folder alone.  FALSE
 * without @error: it does not.  Labels of the cases are NULL, the path of a missing image "".
 */
gboolean loom_folders_images(const char *path, LoomFound *found, GError **error);

/* ---- names of files ----------------------------------------------------------------- */

/* Bytes of ".nii.gz" or ".nii" at the end of a name; 0: neither. */
gsize loom_nifti_ending(const char *name);
/* Names in a folder, sorted, hidden ones left out; (transfer full), ends with NULL. */
char **loom_folder_names(const char *folder, GError **error);
