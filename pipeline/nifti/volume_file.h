/* volume_file.h - one NIfTI file opened: header checked, voxels handed out chunk by chunk, the
 * end looked at. */
#pragma once

#include "header.h"

#define VOLUME_LIMIT ((guint64)8 << 30) /* bytes, where the policy says nothing */
#define VOLUME_LIMIT_OF(policy) ((policy)->limit ? (policy)->limit : VOLUME_LIMIT)

typedef struct {
    LoomNiftiLook look;
    LoomNiftiHeader header;
    LoomStream *stream; /* behind the header; of a pair: the .img from its start */
    char *image;        /* name of the second file of a pair; NULL: a single file */
} LoomVolumeFile;

void loom_volume_file_clear(LoomVolumeFile *file);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LoomVolumeFile, loom_volume_file_clear)

/* Opens and checks all but the voxels; messages do not name the path.  @file starts as {0};
 * @path and @policy must outlive it.  @limit 0: none. */
gboolean loom_volume_file_open(LoomVolumeFile *file, const char *path,
                               const LoomVolumePolicy *policy, LoomFindings *findings,
                               guint64 limit, GError **error);

/* Takes voxels @first to @first + @n - 1, scaled. */
typedef gboolean (*LoomVoxelSink)(const LoomNiftiHeader *header, gint64 first,
                                  const float *values, gint64 n, gpointer to, GError **error);
/* Every voxel, front to back; then to the end of the file: the last CRC, and what is there too
 * much. */
gboolean loom_volume_file_each(LoomVolumeFile *file, LoomVoxelSink sink, gpointer to,
                               GError **error);
/* "i,j,k = 3,4,5", and the channel where there are several; (transfer full). */
char *loom_voxel_place(const LoomNiftiHeader *header, gint64 v);
/* The class that a value means.  FALSE: it is no whole number from 0 to 255, within 1e-3. */
gboolean loom_voxel_label(float value, guint8 *label);
/* Puts the path in front of a message, and that of the .img where it is at fault. */
void loom_volume_file_blame(const LoomVolumeFile *file, GError **error);
