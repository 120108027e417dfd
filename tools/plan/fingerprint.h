/* fingerprint.h - what a data set is like: sizes, voxels, classes, foreground intensities. */
#pragma once

#include "histogram.h"
#include "plan_spacing.h"

#include <loom/context.h>

#define FINGERPRINT_LABELS 256

/* One case, axes D, H, W of its image turned to RAS+ (D to the head, H to the front, W to the
 * right). */
typedef struct {
    PlanGrid whole;                    /* as it is in the file */
    gint64 cropped[3];                 /* to the box around voxels that are not 0 everywhere */
    gint64 labels[FINGERPRINT_LABELS]; /* voxels of each class, in the box */
    guint n_channels;
    Histogram *foreground; /* n_channels: where the label is above 0, in the box */
} FingerprintCase;

void fingerprint_case_clear(FingerprintCase *one);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FingerprintCase, fingerprint_case_clear)

/* Scratch memory of one worker. */
typedef struct _FingerprintScratch FingerprintScratch;
FingerprintScratch *fingerprint_scratch_new(void);
void fingerprint_scratch_free(FingerprintScratch *scratch);

/* Sizes from the headers alone. */
gboolean fingerprint_case_grid(const LoomDataset *dataset, const LoomCase *one, PlanGrid *grid,
                               GError **error);
/* fingerprint_case_measure - reads a case
 * Holds all of its channels as float32, and what the reader of NIfTI files holds besides. */
gboolean fingerprint_case_measure(const LoomDataset *dataset, const LoomCase *one,
                                  FingerprintScratch *scratch, FingerprintCase *measured,
                                  GError **error);

/* Measurements on disk: one file a case, known by the path, size and time of each file of it,
 * and by how the data set reads them.
 * Without such a file FALSE; a damaged one is none. */
gboolean fingerprint_cache_read(const char *folder, const LoomDataset *dataset,
                                const LoomCase *one, FingerprintCase *measured);
gboolean fingerprint_cache_write(const char *folder, const LoomDataset *dataset,
                                 const LoomCase *one, const FingerprintCase *measured,
                                 GError **error);

typedef struct {
    guint n_cases, n_channels;
    FingerprintCase *cases;               /* in the order of the data set */
    PlanGrid *grids;                      /* their boxes */
    Histogram *foreground;                /* n_channels: of all cases together */
    double kept;                          /* median share of the voxels that lie in the box */
    gint64 labels[FINGERPRINT_LABELS];    /* voxels of each class, in the boxes */
    guint cases_with[FINGERPRINT_LABELS]; /* cases that have the class */
    guint cached;                         /* cases that were not measured anew */
} Fingerprint;

typedef struct {
    const char *cache; /* folder; NULL: none */
    guint threads;     /* at most */
    guint64 memory;    /* bytes that all threads together may hold */
    /* From any thread; may be NULL. */
    void (*progress)(guint done, guint all, gpointer data);
    gpointer data;
} FingerprintOptions;

/* fingerprint_make - measures every case
 * Returns: (transfer full): NULL with the first error in the order of the cases, the case
 *   named. */
Fingerprint *fingerprint_make(const LoomDataset *dataset, const FingerprintOptions *options,
                              GError **error);
void fingerprint_free(Fingerprint *fingerprint);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Fingerprint, fingerprint_free)
