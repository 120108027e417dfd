/* csv_rows.h - a table in a text file. */
#pragma once

#include <loom/plugin.h>

typedef struct {
    guint line;   /* in the file, from 1 */
    char **cells; /* end with NULL */
} LoomCsvRow;

/* loom_csv_read - rows of cells, RFC 4180: "a, ""b""" is one cell; blank lines are passed over
 * Cells outside quotes lose the blanks around them; a byte order mark and \r are no matter.
 * Returns: (transfer full): LoomCsvRow, the first is the header, each as long as that; NULL
 * with LOOM_ERROR_FORMAT "PATH:LINE: ...", and the errors of loom_text_read. */
GArray *loom_csv_read(const char *path, GError **error);
