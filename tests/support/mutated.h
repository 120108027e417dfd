/* mutated.h - a text that somebody damaged. */
#pragma once

#include <glib.h>

/* A few bytes of @seed changed, taken out or put in, never a NUL; (transfer full). */
char *mutated(GRand *random, const char *seed);
