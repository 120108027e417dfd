/* packet.h - what the engine alone may do with packets and tensors. */
#pragma once

#include <loom/packet.h>

void loom_packet_set_index(LoomPacket *packet, gint64 index);
/* Does anybody but the asker hold @tensor? */
gboolean loom_tensor_shared(LoomTensor *tensor);
