/* trial.h - code that may crash, in a process of its own. */
#pragma once

#include <glib.h>

/* @found: gains one line for people.  FALSE with @error: what was tried is wrong. */
typedef gboolean (*TrialFunc)(gpointer data, GString *found, GError **error);

/* trial_run - calls func(data) in a child process
 * The caller has no threads that the call would need.
 * @text: gains what the call found, or its error, or the signal that ended it ("crashed: ...").
 * Returns: did the call succeed? */
gboolean trial_run(TrialFunc func, gpointer data, guint seconds, GString *text);
