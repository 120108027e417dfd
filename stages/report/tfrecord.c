/* tfrecord - records with checks of length and bytes: see tfrecord.h. */
#include "tfrecord.h"

guint32 tfrecord_crc(const guint8 *bytes, gsize length)
{
    guint32 crc = 0xffffffff;

    for (gsize i = 0; i < length; i++) { /* bit by bit: a record is a few hundred bytes */
        crc ^= bytes[i];
        for (guint bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    }
    return ~crc;
}

guint32 tfrecord_mask(guint32 crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static void crc_append(GByteArray *to, const guint8 *bytes, gsize length)
{
    const guint32 masked = GUINT32_TO_LE(tfrecord_mask(tfrecord_crc(bytes, length)));

    g_byte_array_append(to, (const guint8 *)&masked, sizeof masked);
}

void tfrecord_append(GByteArray *to, const guint8 *bytes, gsize length)
{
    const guint64 size = GUINT64_TO_LE((guint64)length);

    g_byte_array_append(to, (const guint8 *)&size, sizeof size);
    crc_append(to, (const guint8 *)&size, sizeof size);
    g_byte_array_append(to, bytes, (guint)length);
    crc_append(to, bytes, length);
}
