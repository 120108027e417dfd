/* events.h - an event file of TensorBoard: scalars over steps. */
#pragma once

#include <loom/loom.h>

typedef struct {
    char *folder;       /* NULL: nothing is written */
    guint64 generation; /* that `file` is of; 0: none yet */
    int fd;             /* valid where generation > 0 */
    char *path;
    char *seen;    /* the latest record "metrics" that was written, or passed over */
    guint64 noted; /* generation that `first` is of */
    gint64 first;  /* step that was done first in it */
} Events;

/* The records of one file as bytes; @wall_time: seconds since 1970. */
void events_version_append(GByteArray *to, double wall_time);
/* Readers drop what they have of this step and later ones: it is done again. */
void events_start_append(GByteArray *to, double wall_time, gint64 step);
/* One event with a value for each finite number; names become PREFIX/NAME. */
void events_scalars_append(GByteArray *to, double wall_time, gint64 step, const char *prefix,
                           const LoomField *fields, guint n_fields);

/* @folder: of the run; its events/ is made with the first record.  NULL: nothing is written. */
void events_open(Events *events, const char *folder);
void events_close(Events *events);
/* For each step, before the others: the first one of a generation is what readers need to know.
 */
void events_step(Events *events, const LoomContext *ctx, gint64 step);
/* On the rank that writes; with each generation, and so with each start, a file begins whose
 * name sorts behind those before. */
gboolean events_write(Events *events, const LoomContext *ctx, const char *prefix, gint64 step,
                      const LoomField *fields, guint n_fields, GError **error);
/* The latest record "metrics", unless it was written already. */
gboolean events_metrics(Events *events, const LoomContext *ctx, GError **error);
/* What is the latest now was made before this start. */
void events_pass(Events *events, const LoomContext *ctx);
