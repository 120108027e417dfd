/* predict_images.h - the images that a person named, as cases for a model. */
#pragma once

#include "image_files.h"
#include "predict_config.h"

/* Files, folders of them, and folders laid out as KiTS19 or BraTS20 with the channels that the
 * model was trained on.  Returns: (transfer full): ImageCase *, no id twice.  Fails with
 * LOOM_ERROR_IO, _CONFIG or _FORMAT. */
GPtrArray *predict_images(char *const *arguments, const PredictModel *model, GError **error);
