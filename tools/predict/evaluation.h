/* evaluation.h - what metrics say about pairs of label maps, as a table, CSV or JSON. */
#pragma once

#include <loom/loom.h>

typedef struct _Evaluation Evaluation;

/* @metrics: opened instances, ends with NULL; borrowed.
 * @scheme: classes and regions to measure: regions where it has some; borrowed. */
Evaluation *evaluation_new(LoomInstance *const *metrics, const LoomDataset *scheme);
void evaluation_free(Evaluation *evaluation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Evaluation, evaluation_free)
/* Measures one pair: u8 (D,H,W), every label a class, of the truth also LOOM_IGNORED, on one
 * grid. */
gboolean evaluation_add(Evaluation *evaluation, const char *id, const LoomTensor *truth,
                        const LoomTensor *prediction, const double spacing_mm[3],
                        GError **error);
guint evaluation_cases(const Evaluation *evaluation);
/* All of them (transfer full).  NaN, which means undefined, is "-", empty, null; means leave it
 * out. */
char *evaluation_table(const Evaluation *evaluation);
char *evaluation_csv(const Evaluation *evaluation);
char *evaluation_json(const Evaluation *evaluation);
