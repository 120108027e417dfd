/* rate_schedule - constant, or falling to 0: rate (1 - step / steps)^power.
 * Source: nnU-Net's PolyLRScheduler (Chen et al. 2017, DeepLab), by steps instead of epochs. */
#include "rate_schedule.h"

#include <math.h>

const char *const rate_decays[] = {"constant", "poly", NULL};

gboolean rate_check(int decay, gint64 steps, GError **error)
{
    if (decay == RATE_POLY && steps == 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "decay 'poly' falls to 0 at the last step, but 'run' has no 'steps'");
    return TRUE;
}

double rate_at(int decay, double rate, double power, gint64 step, gint64 steps)
{
    if (decay == RATE_CONSTANT)
        return rate;
    return step < steps ? rate * pow(1 - (double)step / (double)steps, power) : 0;
}
