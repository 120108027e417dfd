/* rate_schedule.h - how the rate of an optimiser falls over a run. */
#pragma once

#include <loom/loom.h>

typedef enum { RATE_CONSTANT, RATE_POLY } RateDecay;
extern const char *const rate_decays[]; /* their YAML spellings, ends with NULL */

/* Refuses a schedule that has to know the end in a run that has none (@steps 0). */
gboolean rate_check(int decay, gint64 steps, GError **error);
/* The rate of step @step (from 0) of @steps. */
double rate_at(int decay, double rate, double power, gint64 step, gint64 steps);
