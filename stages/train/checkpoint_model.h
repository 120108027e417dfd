/* checkpoint_model.h - what predicting with a model needs, and nothing else: in the run folder
 *   model/MODEL.safetensors   the weights by their names
 *   model/model.json          weights: that file; model: its id; step; recipe:
 *     loom_host_recipe; labels, channels: names; label_values: what a mask holds for each
 *     label; volumes: where the channels lie in files that hold several; metrics: the latest
 * record, or null; keep: "last" or "best"; score: of the best,
 *     {"reading", "value", "smooth"}, or null */
#pragma once

#include "checkpoint_best.h"

#include <json-glib/json-glib.h>

typedef struct {
    const LoomInstance *model;
    char *weights, *json;       /* paths */
    JsonNode *recipe;           /* NULL: no graph predicts with it */
    const LoomDataset *dataset; /* NULL: none */
} CheckpointModel;

gboolean checkpoint_model_open(CheckpointModel *predictor, const LoomInstance *model,
                               const LoomHost *host, GError **error);
void checkpoint_model_close(CheckpointModel *predictor);
/* @checkpoint: tensors "value/NAME", others are passed over.  @best: they are the best, with
 * this score; NULL: just the last. */
gboolean checkpoint_model_write(const CheckpointModel *predictor, const LoomStore *checkpoint,
                                const LoomContext *ctx, gint64 step, const CheckpointBest *best,
                                GError **error);
