/* predict_done.h - which masks are there already, made from these images by this model. */
#pragma once

#include "image_files.h"
#include "predict_config.h"

/* A hash of all that decides a mask: recipe, weights, mirroring; names, sizes and times of the
 * images.  NULL with LOOM_ERROR_IO where a file cannot be looked at; (transfer full). */
char *predict_done_key(const PredictModel *model, const PredictHow *how, const ImageCase *one,
                       GError **error);
/* FOLDER/NAME.nii.gz; (transfer full). */
char *predict_mask_path(const char *folder, const char *id);
/* Does the mask lie there, and FOLDER/NAME.predict.json say that it has this key? */
gboolean predict_done_there(const char *folder, const char *id, const char *key);
/* After the mask has been written; says what its values mean, too. */
gboolean predict_done_write(const PredictModel *model, const PredictHow *how, const char *id,
                            const char *key, double seconds, guint64 peak, GError **error);
