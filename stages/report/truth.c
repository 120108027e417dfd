/* truth - see truth.h. */
#include "truth.h"

const LoomTensor *truth_of(const LoomPacket *packet, const char **slot, GError **error)
{
    const LoomTensor *truth = loom_packet_get(packet, "truth");

    *slot = truth ? "truth" : "label";
    if (truth)
        return truth;
    if (loom_packet_native(packet) == loom_packet_geometry(packet))
        return loom_packet_need(packet, "label", error);
    return loom_fail_null(error, LOOM_ERROR_SHAPE,
                          "the image was moved to another grid than the file's, so its label "
                          "does not lie on that of the prediction: want truth: true in "
                          "nifti_load");
}
