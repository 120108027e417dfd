/* phantom_files.h - a painted data set on disk, in nnU-Net's layout. */
#pragma once

#include <loom/loom.h>

typedef struct {
    const char *folder;
    const char *name, *description;
    const char *const *channels; /* ends with NULL */
    const char *const *labels;   /* class 1, 2, ...: ends with NULL */
} PhantomFiles;

/* Makes folder/imagesTr and folder/labelsTr; a folder that holds a data set is refused. */
gboolean phantom_files_begin(const PhantomFiles *files, GError **error);
/* Writes ID_0000.nii.gz, ... in whole numbers, and the label map. */
gboolean phantom_files_add(const PhantomFiles *files, const char *id, const LoomTensor *image,
                           const LoomTensor *label, const LoomGeometry *geometry,
                           GError **error);
/* Writes dataset.json. */
gboolean phantom_files_end(const PhantomFiles *files, gint64 cases, GError **error);
