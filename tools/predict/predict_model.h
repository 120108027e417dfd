/* predict_model.h - what model.json says of a trained model. */
#pragma once

#include "config/yaml.h"

/* What model.json says, and where the weights lie: of one model, or of several that are one
 * network with the same stages around it, trained on different cases. */
typedef struct _PredictModel PredictModel;
struct _PredictModel {
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
    PredictModel *next; /* of another recipe, whose probabilities count as much; NULL: none */
};

void predict_model_clear(PredictModel *model);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PredictModel, predict_model_clear)

/* model.json of a run's folder, its model/ folder, or the file itself; NULL: there is none.
 * (transfer full) */
char *predict_model_json(const char *path);
/* @path: of model.json. */
gboolean predict_model_read(PredictModel *model, const char *path, GError **error);
/* The keys of the one network in the recipe; NULL: it has none, or several. */
LoomNode *predict_model_network(const PredictModel *model);
/* Does a stage, as the recipe has it, use this plugin? */
gboolean predict_stage_uses(const LoomNode *stage, const char *plugin);
/* The stage of the recipe that uses this plugin; NULL: none does. */
const LoomNode *predict_model_stage(const PredictModel *model, const char *plugin);
