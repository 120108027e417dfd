/* split.h - which case trains and which validates. */
#pragma once

#include "dataset.h"

/* Sets @dataset's in_train by lists or by folds.  Cases that are in neither of two lists leave
 * the data set. */
gboolean loom_split_make(LoomDataset *dataset, const LoomDataOptions *options, GError **error);
void loom_case_clear(LoomCase *one);
