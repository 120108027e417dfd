/* run_folder.h - the folder of a run: what it is called, whether it may be used. */
#pragma once

#include <glib.h>

/* @asked: what -o said; NULL: runs/<name of the config file>.  (transfer full), absolute. */
char *run_folder_path(const char *asked, const char *config);
/* A config or a manifest of an earlier run lies there. */
gboolean run_folder_used(const char *folder);
/* Makes it.  A folder that holds a run is refused with a hint, unless @resume (then it must
 * hold one) or @force, which removes what runs leave, by name, and nothing else.
 * @made: it did not exist before. */
gboolean run_folder_prepare(const char *folder, gboolean resume, gboolean force, gboolean *made,
                            GError **error);
