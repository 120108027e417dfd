/* run_folder - the folder of a run: what it is called, whether it may be used. */
#include "run_folder.h"

#include <loom/plugin.h>

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

/* What a run leaves; --force removes these and nothing else. */
static const char *const left_files[] = {"config.yaml", "manifest.json", "log.jsonl",
                                         "metrics.csv", "steps.csv",     "cluster.json",
                                         "timing.json", "report.html",   NULL};
static const char *const left_folders[] = {"model", "checkpoint", "overlays", "events", NULL};
static const char *const left_in_folders[] = {
    "*.safetensors", "model.json", "*.png", "overlays.json", "events.out.tfevents.*", NULL};

char *run_folder_path(const char *asked, const char *config)
{
    g_autofree char *name = g_path_get_basename(config);
    char *dot = strrchr(name, '.');

    if (dot && dot != name)
        *dot = '\0';
    g_autofree char *relative = asked ? g_strdup(asked) : g_build_filename("runs", name, NULL);
    return g_canonicalize_filename(relative, NULL);
}

gboolean run_folder_used(const char *folder)
{
    for (const char *const *name = left_files; *name; name++) {
        g_autofree char *path = g_build_filename(folder, *name, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS))
            return TRUE;
    }
    return FALSE;
}

/* What a run puts into one of its folders, then the folder, if nothing else is there. */
static void folder_remove(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    if (!dir)
        return;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);

        for (const char *const *pattern = left_in_folders; *pattern; pattern++)
            if (g_pattern_match_simple(*pattern, name)) {
                g_unlink(file);
                break;
            }
    }
    g_rmdir(path);
}

static void run_remove(const char *folder)
{
    for (const char *const *name = left_files; *name; name++) {
        g_autofree char *path = g_build_filename(folder, *name, NULL);
        g_unlink(path);
    }
    for (const char *const *name = left_folders; *name; name++) {
        g_autofree char *path = g_build_filename(folder, *name, NULL);
        folder_remove(path);
    }
}

gboolean run_folder_prepare(const char *folder, gboolean resume, gboolean force, gboolean *made,
                            GError **error)
{
    const gboolean used = run_folder_used(folder);

    *made = !g_file_test(folder, G_FILE_TEST_EXISTS);
    if (resume && !used)
        return loom_fail(error, LOOM_ERROR_CONFIG, "--resume: '%s' holds no run", folder);
    if (used && !resume && !force)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' holds a run already: go on with it by --resume, start anew by "
                         "--force, or name another folder with -o",
                         folder);
    if (used && force)
        run_remove(folder);
    if (g_mkdir_with_parents(folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", folder,
                         g_strerror(errno));
    return TRUE;
}
