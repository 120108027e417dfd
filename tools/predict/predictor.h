/* predictor.h - masks of images by a trained model, one case at a time. */
#pragma once

#include "image_files.h"
#include "predict_config.h"

#include "graph/run.h"

/* How a case goes through the network; known after its first windows. */
typedef struct {
    double windows, passes; /* of windows in all; of the network a window */
    double batch, asked;    /* windows at once, and those that the model asked for */
    double tiles;
    double peak;    /* bytes the process will hold */
    guint64 most;   /* with a ceiling: that by sizes alone it holds at most; 0: not known */
    double seconds; /* that all windows will take; 0: nothing is known yet */
} PredictSweep;

typedef struct {
    const LoomRegistry *registry;
    const PredictModel *model;
    PredictHow how;
    gboolean overwrite; /* predict also what is there already */
    /* Called once a case when it has begun; may be NULL. */
    void (*begun)(const ImageCase *one, const PredictSweep *sweep, gpointer data);
    gpointer data;

    char *scratch; /* of the engine's log; made by predictor_open */
    char *parts;   /* of probabilities, in how.folder; NULL: one recipe needs none */
} Predictor;

/* Makes how.folder.  Fails with LOOM_ERROR_IO. */
gboolean predictor_open(Predictor *predictor, GError **error);
void predictor_close(Predictor *predictor);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Predictor, predictor_close)

typedef struct {
    gboolean there; /* nothing had to be done */
    PredictSweep sweep;
    double seconds;
    guint64 peak; /* bytes that the process held at most, as the system says; 0: it does not */
} PredictResult;

/* A run of its own for each case, so that a damaged file costs that case and no other; of
 * several recipes a run each, and the mean of what they say.  The
 * mask is how.folder/ID.nii.gz; a Ctrl-C while it runs is STOPPED. */
LoomRunEnd predictor_case(const Predictor *predictor, const ImageCase *one,
                          PredictResult *result, GError **error);
