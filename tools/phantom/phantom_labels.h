/* phantom_labels.h - a folder of label maps that images are painted for. */
#pragma once

#include "phantom_files.h"

typedef struct {
    const char *labels; /* folder of label maps; dataset.json in it or above it */
    const char *merge;  /* "1,2": these become label 1, the others background; NULL: as it is */
    double margin_mm;   /* cut to the labels and so much around them; negative: the whole map */
    guint64 seed;
    PhantomLayout layout; /* of one channel: nnunet or kits19, whose labels are 0, 1, 2 */
} PhantomLabels;

/* Paints every map of the folder and writes the data set to @folder.  @counts: voxels of each
 * label as written; @said: called before each case; @names: (transfer full), of label 0, 1, ...
 */
gboolean phantom_labels_fill(const PhantomLabels *order, const char *folder, gint64 counts[256],
                             guint *cases, char ***names, void (*said)(guint number, guint all),
                             GError **error);
