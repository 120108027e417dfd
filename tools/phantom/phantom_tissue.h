/* phantom_tissue.h - a CT painted around a real label map. */
#pragma once

#include <loom/loom.h>

/* phantom_tissue_paint - intensities for the tissues of a label map
 * @label: u8 (D,H,W), every value below the number of @names
 * @names: of label 0, 1, ...; ends with NULL.  kidney, tumour, tumor, cyst, liver, spleen and
 *   pancreas have CT numbers of their own, others are soft tissue.
 * @id: of the case: same seed and id, same voxels.
 * Returns: (transfer full): f32 (C,D,H,W), C = 1, in HU; NULL with LOOM_ERROR_LIMIT. */
LoomTensor *phantom_tissue_paint(const LoomTensor *label, const LoomGeometry *geometry,
                                 char *const *names, guint64 seed, const char *id,
                                 GError **error);
