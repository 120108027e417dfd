/* ensemble.h - one mask of what models with different recipes say. */
#pragma once

#include <glib.h>

/* What their channels stand for. */
typedef struct {
    const guint8 *regions; /* label of each channel, later ones over earlier; NULL: classes */
    guint n_regions;
    const guint8 *values; /* what is written for class 0, 1, ...; NULL: its number */
    guint n_values;
} EnsembleLabels;

/* ensemble_write - the mean of several files of probabilities, as a mask
 * @paths: NIfTI, (C,D,H,W) of one grid; ends with NULL
 * @limit: bytes that the process shall stay below, whose @used are in use; 0: none
 * Errors: LOOM_ERROR_SHAPE where channels or grids differ; _LIMIT; those of reading. */
gboolean ensemble_write(char *const *paths, const EnsembleLabels *labels, const char *mask,
                        guint64 limit, guint64 used, GError **error);
