/* logged.h - what was warned of, by any thread, for tests to look into. */
#pragma once

#include <glib.h>

/* From here on, after g_test_init: warnings are kept, worse is printed as well. */
void logged_begin(void);
gboolean logged_has(const char *text);
void logged_clear(void);
/* All of it; (transfer full). */
char *logged_text(void);
