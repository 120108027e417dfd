/* newname - 1 - TP / (TP + a FP + (1 - a) FN) of each class, mean over the classes */
#include <loom/loss_kit.h>

typedef struct {
    LoomLossKit kit; /* stays first: class weights, background, pooling */
    double alpha;
} Params;

/* A row is a key of the YAML, its check, its default and its documentation. */
static const LoomParam params[] = {
    LOOM_REGION_ROWS(Params, "false", "true"),
    LOOM_FLOAT(Params, alpha, "0.3", 0, 1, NULL, "a, weight of a false positive"),
    {0},
};

/* The loss of class @k from its soft counts, and its derivatives by them. */
static double newname_region(gconstpointer self, G_GNUC_UNUSED gint64 k, LoomCounts n,
                             LoomCounts *slope)
{
    const double a = ((const Params *)self)->alpha, b = 1 - a;
    const double error = a * n.fp + b * n.fn;
    const double size = n.tp + error + 1e-5; /* an empty class stays finite */
    const double loss = error / size;

    *slope = (LoomCounts){
        .tp = -loss / size, .fp = a * (1 - loss) / size, .fn = b * (1 - loss) / size};
    return loss;
}

LOOM_KIT_LOSS(Params, "newname", "A Tversky-like loss", params, .region = newname_region);
