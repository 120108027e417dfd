/* launch_folder.h - the private folder in which the ranks of one machine meet. */
#pragma once

#include <glib.h>

/* A new folder, for this user alone, with a path short enough for sockets in it; (transfer
 * full). */
char *launch_folder_make(GError **error);
/* With the sockets in it, and nothing else. */
void launch_folder_remove(const char *folder);
