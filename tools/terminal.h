/* terminal.h - stderr: one live line at the bottom of a terminal, messages above it. */
#pragma once

#include <glib.h>

/* stderr is a terminal that can redraw a line. */
gboolean terminal_is_live(void);
/* Columns of the terminal; 80 where it does not say. */
guint terminal_width(void);
/* Redraws the live line, cut to the width; NULL removes it.  Without a terminal: nothing. */
void terminal_live(const char *text);
/* One line, from any thread; the live line is drawn again below it. */
void terminal_print(const char *format, ...) G_GNUC_PRINTF(1, 2);
