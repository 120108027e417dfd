/* predict_config.h - a trained model, as the config that predicts with it. */
#pragma once

#include "config/yaml.h"

/* What model.json says, and where the weights lie. */
typedef struct {
    char *path;       /* of model.json */
    char *weights;    /* absolute */
    LoomNode *recipe; /* {"models": ..., "stages": ...} */
    guint n_channels; /* images a case */
} PredictModel;

void predict_model_clear(PredictModel *model);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PredictModel, predict_model_clear)

/* @path: a run's folder, its model/ folder, or model.json. */
gboolean predict_model_read(PredictModel *model, const char *path, GError **error);
/* The config of one run: load, the recipe's stages, save into @folder.
 * @threads: 0: all cores.  Returns: (transfer full).  Places in its errors are those of a text
 * that nobody has seen: predict_place_cut takes them off. */
LoomNode *predict_config(const PredictModel *model, const char *backend, gint64 threads,
                         const char *folder, GError **error);
const char *predict_place_cut(const char *message);
