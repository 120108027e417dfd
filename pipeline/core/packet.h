/* packet.h - what the engine alone may do with packets and tensors. */
#pragma once

#include <loom/packet.h>

#define LOOM_PACKET_MAX_SLOTS 24 /* a training packet has about ten */

/* Slot number @i, from 0, in the order in which they were made; NULL: there are no more.
 * @tensor: (out) (transfer none): NULL where it was dropped or is opaque. */
const char *loom_packet_slot(const LoomPacket *packet, guint i, const LoomTensor **tensor);
void loom_packet_set_index(LoomPacket *packet, gint64 index);
/* Does anybody but the asker hold @tensor, or is its memory somebody else's? */
gboolean loom_tensor_shared(LoomTensor *tensor);
