/* label_scheme.h - which classes a data set has, and what the values in its files mean. */
#pragma once

#include "found.h"

/* Sets @dataset's label_names, n_labels, label_of, value_of, ignores and regions, by what the
 * layout says and what `data:` says; moves them out of @found.  A value is the class of its
 * number, unless the map gives it another. */
gboolean loom_label_scheme_make(LoomDataset *dataset, LoomFound *found,
                                const LoomDataOptions *options, GError **error);
/* Sets @dataset's value_of from its label_of and the words that made it; @found still has its
 * names. */
void loom_label_values_make(LoomDataset *dataset, const LoomFound *found,
                            const LoomDataOptions *options);
