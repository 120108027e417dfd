/* phantom_files.h - a painted data set on disk, in one of the layouts that `data:` reads. */
#pragma once

#include <loom/loom.h>

typedef enum {
    PHANTOM_NNUNET,  /* imagesTr, labelsTr, dataset.json */
    PHANTOM_KITS19,  /* case_00000/imaging.nii.gz, segmentation.nii.gz */
    PHANTOM_BRATS20, /* ID/ID_flair.nii.gz ..., ID_seg.nii.gz, in which class 3 is 4 */
} PhantomLayout;

typedef struct {
    PhantomLayout layout;
    const char *folder;
    const char *name, *description;
    const char *const *channels; /* ends with NULL */
    const char *const *labels;   /* class 1, 2, ...: ends with NULL */
} PhantomFiles;

/* Makes the folders of all cases; a folder that holds a data set is refused. */
gboolean phantom_files_begin(const PhantomFiles *files, GError **error);
/* Writes the channels in whole numbers, and the label map.  @number: from 1; kits19 calls its
 * cases by it. */
gboolean phantom_files_add(const PhantomFiles *files, const char *id, gint64 number,
                           const LoomTensor *image, const LoomTensor *label,
                           const LoomGeometry *geometry, GError **error);
/* Writes dataset.json, where the layout has one. */
gboolean phantom_files_end(const PhantomFiles *files, gint64 cases, GError **error);
