/* image_files.h - NIfTI files that a person named: files, folders, channels of a case. */
#pragma once

#include <glib.h>

/* .nii, .nii.gz, or the .hdr of a pair. */
gboolean image_file_is(const char *path);
/* "case_001_0000" of "/data/case_001_0000.nii.gz"; (transfer full). */
char *image_file_stem(const char *path);
/* The files of a folder in the order of their names, or the file itself; appended to @paths
 * (char *, owned).  Fails with LOOM_ERROR_IO when nothing is there, no NIfTI file, or two files
 * of a folder that differ by their endings only. */
gboolean image_files_collect(const char *path, GPtrArray *paths, GError **error);

/* dataset.json in the folder @path (or the one it lies in), or one above; NULL: there is none.
 * (transfer full) */
char *image_files_dataset(const char *path);

typedef struct {
    char *id;
    char **channels; /* paths: one a channel, or one of all; ends with NULL */
    guint volumes;   /* along the fourth axis of the one file; 0: a file a channel */
} ImageCase;

void image_case_free(ImageCase *one);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ImageCase, image_case_free)
/* Groups NAME_0000, NAME_0001, ... by NAME, in the order of the names; of one channel, a file
 * needs no number.  A file with several volumes along its fourth axis is a case by itself.
 * Fails with LOOM_ERROR_CONFIG, naming the case and the channel, where one is missing, twice
 * there or too many. */
GPtrArray *image_cases_group(const GPtrArray *paths, guint n_channels, GError **error);
