/* predict_config.h - a trained model, as the config that predicts with it. */
#pragma once

#include "config/yaml.h"

/* What model.json says, and where the weights lie: of one model, or of several that are one
 * network with the same stages around it, trained on different cases. */
typedef struct {
    char *path;         /* of model.json; of several the first */
    GPtrArray *weights; /* char *, absolute: one a model */
    LoomNode *recipe;   /* {"models": ..., "stages": ...} */
    guint n_channels;   /* images a case */
    char **channels;    /* their names; NULL: not known */
    guint n_volumes;    /* in files that hold all channels; 0: there were none in training */
    guint *volume_of;   /* n_channels: their places there */
    char **labels;      /* names of class 0, 1, ...; NULL: not known */
    guint8 *values;     /* n_labels: what is written for each; NULL: its number */
    guint n_labels;
} PredictModel;

void predict_model_clear(PredictModel *model);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PredictModel, predict_model_clear)

/* model.json of a run's folder, its model/ folder, or the file itself; NULL: there is none.
 * (transfer full) */
char *predict_model_json(const char *path);
/* @path: of model.json. */
gboolean predict_model_read(PredictModel *model, const char *path, GError **error);
/* The whole recipe without the places of its stages and without weights, as text: models with
 * equal ones can be one ensemble.  @raw: without the stages that postprocess.  (transfer full)
 */
char *predict_model_text(const PredictModel *model, gboolean raw);

#define PREDICT_BACKEND "cpu" /* unless asked for another */

/* How to predict. */
typedef struct {
    const char *backend;
    gint64 threads;     /* 0: all cores */
    guint64 memory;     /* bytes the process shall stay below; 0: no ceiling */
    const char *mirror; /* axes, letters of D, H, W; NULL: as the model says */
    const char *folder; /* absolute: where the masks go */
    gboolean raw;       /* without the stages that postprocess */
} PredictHow;

/* The config of one run: load, the recipe's stages, save.  Returns: (transfer full).  Places in
 * its errors are those of a text that nobody has seen: predict_place_cut takes them off. */
LoomNode *predict_config(const PredictModel *model, const PredictHow *how, GError **error);
const char *predict_place_cut(const char *message);
