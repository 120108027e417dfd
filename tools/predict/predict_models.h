/* predict_models.h - which models a person means, as one to predict with. */
#pragma once

#include "predict_config.h"

/* @paths: run folders, their model/ or model.json; a folder of fold_0, fold_1, ... is all of
 * its folds that have a model.  Of several the mean is predicted: of one network with the same
 * stages around it as one more of its weights, else as @model->next.  They must take the same
 * images and tell the same labels apart. */
gboolean predict_models_read(PredictModel *model, char *const *paths, GError **error);
