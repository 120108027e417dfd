/* intern.h - one copy of a string for as long as the process lives. */
#pragma once

/* g_intern_string, behind a lock of ours: that of GLib, which is not instrumented, looks to
 * ThreadSanitizer as if one thread read what another writes (see lock.h). */
const char *loom_intern(const char *text);
