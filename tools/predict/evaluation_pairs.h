/* evaluation_pairs.h - which prediction belongs to which truth. */
#pragma once

#include <loom/data.h>

typedef struct {
    char *id, *truth, *prediction;
} EvaluationPair;

/* @arguments: TRUTH and PREDICTION: two files, or two folders with files of the same names.
 * @dataset: TRUTH as one; NULL: it is files
 * @common: what has no partner is left out; else it is said, and counted in @lonely
 * Returns: (transfer full): EvaluationPair *; NULL with LOOM_ERROR_IO where there is none. */
GPtrArray *evaluation_pairs(char *const *arguments, const LoomDataset *dataset, gboolean common,
                            guint *lonely, GError **error);
