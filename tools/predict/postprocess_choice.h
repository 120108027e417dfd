/* postprocess_choice.h - which postprocessing makes predictions of validation cases better. */
#pragma once

#include <loom/data.h>
#include <loom/loom.h>

#define POSTPROCESS_NEIGHBOURS 26

/* A case: two label maps on one grid, both with the values of the data set.  Voxels that the
 * truth ignores count nowhere. */
typedef struct {
    char *id, *prediction; /* a path */
    char *truth;           /* a path, for messages; read by the data set, where there is one */
    const LoomDataset *dataset; /* NULL: the values of the file are the classes */
    const LoomCase *one;
} PostprocessCase;

/* What the stage 'postprocess' will be told. */
typedef struct {
    gboolean foreground; /* keep_largest_foreground */
    gboolean largest[256];
    double small_mm3; /* 0: none */
} PostprocessChoice;

/* Of one candidate, over all cases. */
typedef struct {
    char *name;           /* for people: "largest component of 'tumour'" */
    double before, after; /* mean Dice of the classes; NaN: undefined */
    gboolean kept;
} PostprocessTrial;

/* Tries, one after the other: only the largest component of the whole foreground; of each
 * class; no component below 10, 30, 100, ... mm3, of which the best counts.  A candidate is
 * kept if the mean over classes of the mean Dice over cases rises and that of no class falls.
 * @labels: names of class 0, 1, ...: n_labels of them; @said: called for each case of each
 * pass. Returns: (transfer full): PostprocessTrial *, in their order; NULL with the reason.
 * Source: Isensee et al. 2021 (nnU-Net), which tries the first two. */
GPtrArray *postprocess_choose(const GPtrArray *cases, char *const *labels, guint n_labels,
                              LoomPool *pool, PostprocessChoice *choice,
                              void (*said)(const char *id), GError **error);
