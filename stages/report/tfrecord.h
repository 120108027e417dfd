/* tfrecord.h - records one behind the other, each with checks of its length and of its bytes:
 *   length (u64), masked CRC-32C of these 8 bytes (u32), bytes, masked CRC-32C of them (u32),
 * all little-endian.  Source: TensorFlow, core/lib/io/record_writer.h. */
#pragma once

#include <glib.h>

/* CRC-32C, polynomial 0x1edc6f41 (reflected 0x82f63b78).  Source: RFC 3720, appendix B.4. */
guint32 tfrecord_crc(const guint8 *bytes, gsize length);
/* Turned by 15 bits, plus a constant: a CRC of bytes that hold CRCs is a weak one. */
guint32 tfrecord_mask(guint32 crc);
void tfrecord_append(GByteArray *to, const guint8 *bytes, gsize length);
