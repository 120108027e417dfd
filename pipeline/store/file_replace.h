/* file_replace.h - a file that is either the old one or the new one, whatever happens. */
#pragma once

#include <loom/plugin.h>

/* A temporary file beside @path, locked while its writer lives. */
typedef struct _LoomReplacement LoomReplacement;

/* Removes temporary files that dead writers of @path left, then makes one of its own. */
LoomReplacement *loom_replacement_begin(const char *path, GError **error);
gboolean loom_replacement_write(LoomReplacement *replacement, gconstpointer bytes, gsize length,
                                GError **error);
/* Syncs, closes, keeps the old file as @previous (may be NULL), renames, syncs the folder. */
gboolean loom_replacement_commit(LoomReplacement *replacement, const char *previous,
                                 GError **error);
/* Without a commit before it: @path stays as it was, the temporary file goes. */
void loom_replacement_free(LoomReplacement *replacement);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomReplacement, loom_replacement_free)
