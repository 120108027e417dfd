/* html.h - pieces of a page: whatever comes from files is escaped. */
#pragma once

#include <glib.h>

/* Appends @text so that it shows as it is, in text and in attributes: & < > " ' escaped, bytes
 * that are not UTF-8 and control characters as U+FFFD.  NULL: nothing. */
void html_text(GString *page, const char *text);
/* "<td>text</td>". */
void html_element(GString *page, const char *name, const char *text);
/* The same of a number in a table: "<td class=n>0.912</td>", a dash for NaN. */
void html_number(GString *page, double value, int decimals);
/* "data:image/png;base64,...". */
void html_png(GString *page, const char *bytes, gsize length);

/* For people, with blanks that do not break; (transfer full). */
char *html_seconds(double seconds); /* "4.2 ms", "0.42 s", "12 s", "3 min 5 s", "2 h 10 min" */
char *html_percent(double share);   /* "< 0.01 %", "0.04 %", "97 %"; a dash for NaN */
char *html_count(gint64 n);         /* "12 345", with narrow blanks */
