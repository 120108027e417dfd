/* launch_folder - the private folder in which the ranks of one machine meet. */
#include "launch_folder.h"

#include <loom/plugin.h>

#include <glib/gstdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define NAME "segloom-launch-XXXXXX"
#define ROOM 40 /* bytes for the names of sockets in it */

char *launch_folder_make(GError **error)
{
    const gsize most = sizeof((struct sockaddr_un *)NULL)->sun_path - ROOM;
    const char *places[] = {g_get_user_runtime_dir(), g_get_tmp_dir(), "/tmp"};

    for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
        g_autofree char *folder = g_build_filename(places[i], NAME, NULL);

        if (g_path_is_absolute(folder) && strlen(folder) < most && g_mkdtemp_full(folder, 0700))
            return g_steal_pointer(&folder);
    }
    return loom_fail_null(error, LOOM_ERROR_IO,
                          "no folder for sockets can be made, neither in '%s' nor in '%s' nor "
                          "in '%s'; is TMPDIR right?",
                          places[0], places[1], places[2]);
}

void launch_folder_remove(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        GStatBuf status;

        if (g_lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
            g_unlink(path);
    }
    g_rmdir(folder);
}
