/* newname - mean over the voxels of (1 - p)^g (-log p), p the probability of the true class */
#include <loom/loss_kit.h>

typedef struct {
    LoomLossKit kit; /* stays first: class weights, and what the mean divides by */
    double gamma;
} Params;

/* A row is a key of the YAML, its check, its default and its documentation. */
static const LoomParam params[] = {
    LOOM_VOXEL_ROWS(Params, "voxels"),
    LOOM_FLOAT(Params, gamma, "2", 0, 10, NULL, "g, how little an easy voxel counts"),
    {0},
};

/* The loss of a voxel of class @k, 0 < p < 1, and its derivative by p. */
static double newname_voxel(gconstpointer self, G_GNUC_UNUSED gint64 k, double p, double log_p,
                            double *slope)
{
    const double g = ((const Params *)self)->gamma, miss = 1 - p;

    *slope = pow(miss, g - 1) * (g * log_p - miss / p);
    return -pow(miss, g) * log_p;
}

LOOM_KIT_LOSS(Params, "newname", "A focal-like loss", params, .voxel = newname_voxel);
