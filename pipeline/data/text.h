/* text.h - small text files that people write: dataset.json, lists of cases. */
#pragma once

#include <loom/plugin.h>

/* The whole file as UTF-8, (transfer full), without a byte order mark.  Refused: what is no
 * regular file, more than 16 MiB, NUL bytes, bytes that are not UTF-8.  The message begins with
 * the path. */
char *loom_text_read(const char *path, GError **error);
