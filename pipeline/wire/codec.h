/* codec.h - packets as bytes, and back.
 *
 * A packet on the wire is a header, then the bytes of its tensors one behind the other, in the
 * order of the header.  The header is a GVariant in normal form, little-endian, of type
 *   (x ay m(axads) m(axads) a(sysaxt))
 * written out in codec.c: index, id, geometry, native geometry where that is another one, and
 * for each slot its name, dtype ('f' f32, 'u'
 * u8, 'd' f64), axes, sizes and bytes.  Opaque slots do not travel. */
#pragma once

#include <loom/packet.h>

#define LOOM_CODEC_MAX_HEADER (32u << 10) /* bytes */
#define LOOM_CODEC_MAX_ID (16u << 10)     /* bytes: a batch carries the ids of all its cases */
#define LOOM_CODEC_MAX_NAME 64u           /* letters of a slot: a-z, 0-9, _ and . */
#define LOOM_CODEC_MAX_TENSORS 24u        /* of a packet */

/* loom_packet_encode - @packet (transfer full: its tensors are held until the last byte was let
 * go)
 * @header: (out) (transfer full)
 * @body: array of GBytes, appended to: slices of the tensors' own memory of at most
 *   LOOM_MESSAGE_MAX_BYTES, not copied; none of them spans two tensors.
 * Returns: bytes of the body. */
guint64 loom_packet_encode(LoomPacket *packet, GBytes **header, GPtrArray *body);
/* What keeps this packet from travelling, LOOM_ERROR_LIMIT: an id or a name that is too long.
 */
gboolean loom_packet_encode_check(const LoomPacket *packet, GError **error);

/* loom_packet_decode - bytes of anybody -> a packet
 * @body: the slices, in order.  A tensor that lies in one slice, aligned for its dtype, is used
 *   where it is (the tensor holds the slice); others are put together in new memory.
 * @limit: bytes of all tensors together, refused above, before anything is allocated
 * Returns: (transfer full): NULL with LOOM_ERROR_FORMAT or _LIMIT and what was found. */
LoomPacket *loom_packet_decode(GBytes *header, GPtrArray *body, guint64 limit, GError **error);
/* Bytes of the body that a header promises, and the slices that loom_packet_encode cuts it
 * into; checks everything that a header alone can tell. */
gboolean loom_packet_header_check(GBytes *header, guint64 limit, guint64 *bytes, guint *slices,
                                  GError **error);
