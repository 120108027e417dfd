/* packet.h - what the engine alone may do with packets and tensors. */
#pragma once

#include <loom/packet.h>

#define LOOM_PACKET_MAX_SLOTS 24 /* a training packet has about ten */

/* Slot number @i, from 0, in the order in which they were made; NULL: there are no more.
 * @tensor: (out) (transfer none): NULL where it was dropped or is opaque. */
const char *loom_packet_slot(const LoomPacket *packet, guint i, const LoomTensor **tensor);
void loom_packet_set_index(LoomPacket *packet, gint64 index);
void loom_packet_set_key(LoomPacket *packet, const char *key);
/* The stage whose result this packet already is; NULL: it goes through all of them. */
void loom_packet_set_past(LoomPacket *packet, gconstpointer hop);
gconstpointer loom_packet_past(const LoomPacket *packet);
/* Does anybody but the asker hold @tensor, or is its memory somebody else's? */
gboolean loom_tensor_shared(LoomTensor *tensor);
