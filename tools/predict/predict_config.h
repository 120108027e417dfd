/* predict_config.h - a trained model, as the config that predicts with it. */
#pragma once

#include "predict_model.h"

/* The whole recipe without the places of its stages and without weights, as text: models with
 * equal ones can be one ensemble.  @raw: without the stages that postprocess.  (transfer full)
 */
char *predict_model_text(const PredictModel *model, gboolean raw);

#define PREDICT_BACKEND "cpu"        /* unless asked for another */
#define PREDICT_PROBABILITIES ".nii" /* behind the name of a case */

/* How to predict. */
typedef struct {
    const char *backend;
    gint64 threads;         /* 0: all cores */
    guint64 memory;         /* bytes the process shall stay below; 0: no ceiling */
    const char *mirror;     /* axes, letters of D, H, W; NULL: as the model says */
    const char *folder;     /* absolute: where the masks go */
    gboolean raw;           /* without the stages that postprocess */
    gboolean probabilities; /* FOLDER/NAME.nii of them instead of the mask, raw */
} PredictHow;

/* The config of one run: load, the recipe's stages, save.  Returns: (transfer full).  Places in
 * its errors are those of a text that nobody has seen: predict_place_cut takes them off. */
LoomNode *predict_config(const PredictModel *model, const PredictHow *how, GError **error);
const char *predict_place_cut(const char *message);
