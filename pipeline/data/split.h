/* split.h - which case trains and which validates. */
#pragma once

#include "found.h"

/* What the data set itself says about a case. */
typedef struct {
    LoomPart part;
    gint64 fold; /* in which it validates; -1: not said */
} LoomSaid;

/* Sets @dataset's in_train and split: by lists or seeded folds where `data:` asks for them,
 * else by what @said of each case, by splits_final.json, by 5 seeded folds.  Cases that are on
 * neither side leave the data set; those of one patient may not be on both. */
gboolean loom_split_make(LoomDataset *dataset, const LoomSaid *said,
                         const LoomDataOptions *options, GError **error);
/* Reads fold @fold of nnU-Net's splits_final.json into @dataset's in_train.
 * Source: nnU-Net, documentation/manual_data_splits.md. */
gboolean loom_split_read_final(LoomDataset *dataset, const char *path, gint64 fold,
                               GError **error);
/* The number of the case with that id; -1: there is none. */
gint64 loom_case_find(const LoomDataset *dataset, const char *id);
/* Fails with "PLACE: there is no case 'ID', did you mean ...". */
gboolean loom_case_unknown(const LoomDataset *dataset, const char *place, const char *id,
                           GError **error);

enum { LOOM_SIDE_VALIDATES, LOOM_SIDE_TRAINS, LOOM_SIDE_BOTH, LOOM_SIDE_NEITHER };
