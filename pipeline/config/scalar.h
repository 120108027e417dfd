/* scalar.h - the text of a YAML scalar as a number, a truth value or a size in memory.
 *
 * Each function fails with LOOM_ERROR_CONFIG "file:line:column: @what: ...", where @what names
 * the thing for the user ("rate"); it says what was found and what was wanted.  @value changes
 * only on success.  Text in quotes is text: it is refused.  Nothing depends on the locale. */
#pragma once

#include "config/yaml.h"

/* true or false, and nothing else. */
gboolean loom_scalar_bool(const LoomNode *node, const char *what, gboolean *value,
                          GError **error);
/* Decimal digits with an optional sign; no 010, 0x10, 1e3, 1_000, 3.0. */
gboolean loom_scalar_int(const LoomNode *node, const char *what, gint64 *value, GError **error);
/* 3, .5, 2.0e-3; finite. */
gboolean loom_scalar_float(const LoomNode *node, const char *what, double *value,
                           GError **error);
/* "4GiB", "1.5 MiB", "64kB", "512B" or a plain number of bytes: KiB, MiB, GiB, TiB are powers
 * of 1024; kB, MB, GB, TB are powers of 1000.  Upper and lower case count.  With a unit it may
 * stand in quotes. */
gboolean loom_scalar_bytes(const LoomNode *node, const char *what, guint64 *value,
                           GError **error);
