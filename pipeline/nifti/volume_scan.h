/* volume_scan.h - what is in a file, voxel by voxel, without keeping it: everything that is
 * wrong with it is found in one pass. */
#pragma once

#include <loom/data.h>

/* An image, of all its volumes. */
typedef struct {
    gint64 finite;    /* voxels that are neither NaN nor infinite */
    double low, high; /* of those */
    double mean, sd;
    /* A bit a voxel of the first volume, set where it is not 0; made where NULL, else bits are
     * added, so that channels add up.  The caller's to g_free. */
    guint8 *nonzero;
    gint64 nonzero_bits;
} LoomImageScan;

/* Voxels of one value in a label map. */
typedef struct {
    gint64 n, first; /* how many; number of the first, in file order */
} LoomLabelCount;

typedef struct {
    LoomLabelCount of[256]; /* of each label */
    gint64 on_image;        /* voxels above 0 whose bit in `nonzero` is set */
} LoomLabelScan;

/* Both: reads all voxels, CRCs and what lies behind them by @policy; every problem, warning and
 * note goes to @findings.  FALSE: there was an error.  @header: filled in where the header
 * could be read (its spacing is 0 where not). */
gboolean loom_image_scan(const char *path, const LoomVolumePolicy *policy,
                         LoomFindings *findings, LoomVolumeHeader *header, LoomImageScan *scan);
/* @nonzero: bits of the image, (size of the label map); NULL: none. */
gboolean loom_label_scan(const char *path, const LoomVolumePolicy *policy,
                         LoomFindings *findings, LoomVolumeHeader *header,
                         const guint8 *nonzero, gint64 nonzero_bits, LoomLabelScan *scan);
/* The header alone, and that the file can hold what it promises. */
gboolean loom_header_scan(const char *path, const LoomVolumePolicy *policy,
                          LoomFindings *findings, LoomVolumeHeader *header);
