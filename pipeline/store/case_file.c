/* case_file - one packet in one file: a preface of fixed size, the header that a packet has on
 * the wire (wire/codec.h), then its tensors, each from a multiple of 64 bytes on, so that they
 * are used where the file is mapped.  Two CRCs: of preface and header, of the tensors. */
#include "case_file.h"

#include "file_replace.h"

#include "core/packet.h"
#include "core/tensor.h"
#include "wire/codec.h"

#include <string.h>
#include <zlib.h>

#define CASE_MAGIC "LOOMCAS1" /* its last letter is the version */
#define CASE_ALIGNMENT 64
#define CASE_CHUNK (G_GUINT64_CONSTANT(1) << 30) /* zlib counts in 32 bits */

G_STATIC_ASSERT(G_BYTE_ORDER == G_LITTLE_ENDIAN); /* numbers go to the file as they are */

typedef struct {
    char magic[8];
    guint32 header_crc; /* of all behind it up to the tensors */
    guint32 body_crc;   /* of the tensors, one behind the other */
    guint32 header_bytes, n_tensors;
    guint64 bytes[LOOM_CODEC_MAX_TENSORS]; /* of each tensor */
} Preface;

static guint64 aligned(guint64 at)
{
    return (at + CASE_ALIGNMENT - 1) / CASE_ALIGNMENT * CASE_ALIGNMENT;
}

static guint32 crc_add(guint32 crc, const guint8 *bytes, guint64 length)
{
    for (guint64 at = 0; at < length; at += CASE_CHUNK)
        crc = (guint32)crc32(crc, bytes + at, (uInt)MIN(length - at, CASE_CHUNK));
    return crc;
}

/* Of the preface behind the CRC itself, and the header. */
static guint32 header_crc(const Preface *preface, const guint8 *header)
{
    const guint8 *from = (const guint8 *)&preface->body_crc;
    const gsize length = sizeof *preface - offsetof(Preface, body_crc);

    return crc_add(crc_add(0, from, length), header, preface->header_bytes);
}

/* ---- writing ------------------------------------------------------------------------ */

/* Sizes and the checksum of the tensors. */
static void preface_fill(Preface *preface, const LoomPacket *packet)
{
    const LoomTensor *tensor;

    *preface = (Preface){0};
    memcpy(preface->magic, CASE_MAGIC, sizeof preface->magic);
    for (guint i = 0; loom_packet_slot(packet, i, &tensor); i++) {
        if (!tensor)
            continue;
        preface->bytes[preface->n_tensors++] = loom_tensor_bytes(tensor);
        preface->body_crc =
            crc_add(preface->body_crc, loom_tensor_memory(tensor), loom_tensor_bytes(tensor));
    }
}

/* As on the wire, where the tensors' slices are not asked for; (transfer full). */
static GBytes *header_make(const LoomPacket *packet)
{
    g_autoptr(GPtrArray) slices = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    GBytes *header;

    loom_packet_encode(loom_packet_fork(packet), &header, slices);
    return header;
}

guint64 loom_case_file_bytes(const LoomPacket *packet)
{
    g_autoptr(GBytes) header = header_make(packet);
    guint64 bytes = sizeof(Preface) + g_bytes_get_size(header);
    const LoomTensor *tensor;

    for (guint i = 0; loom_packet_slot(packet, i, &tensor); i++)
        if (tensor)
            bytes = aligned(bytes) + loom_tensor_bytes(tensor);
    return bytes;
}

/* Zeros up to the next multiple. */
static gboolean align(LoomReplacement *file, guint64 *at, GError **error)
{
    static const guint8 zeros[CASE_ALIGNMENT];
    const gsize missing = (gsize)(aligned(*at) - *at);

    *at += missing;
    return loom_replacement_write(file, zeros, missing, error);
}

static gboolean body_write(LoomReplacement *file, const LoomPacket *packet, guint64 at,
                           GError **error)
{
    const LoomTensor *tensor;

    for (guint i = 0; loom_packet_slot(packet, i, &tensor); i++) {
        if (!tensor)
            continue;
        if (!align(file, &at, error)
            || !loom_replacement_write(file, loom_tensor_memory(tensor),
                                       loom_tensor_bytes(tensor), error))
            return FALSE;
        at += loom_tensor_bytes(tensor);
    }
    return TRUE;
}

gboolean loom_case_file_write(const char *path, const LoomPacket *packet, GError **error)
{
    g_autoptr(LoomReplacement) file = NULL;
    g_autoptr(GBytes) header = NULL;
    Preface preface;
    gsize length;

    if (!loom_packet_encode_check(packet, error))
        return FALSE;
    header = header_make(packet);
    preface_fill(&preface, packet);
    const guint8 *text = g_bytes_get_data(header, &length);
    preface.header_bytes = (guint32)length;
    preface.header_crc = header_crc(&preface, text);
    file = loom_replacement_begin(path, error);
    return file && loom_replacement_write(file, &preface, sizeof preface, error)
           && loom_replacement_write(file, text, length, error)
           && body_write(file, packet, sizeof preface + length, error)
           && loom_replacement_commit(file, NULL, error);
}

/* ---- reading ------------------------------------------------------------------------ */

static gboolean preface_check(const Preface *preface, gsize length, GError **error)
{
    if (memcmp(preface->magic, CASE_MAGIC, sizeof preface->magic) != 0)
        return loom_fail(error, LOOM_ERROR_FORMAT, "it is no file of version %c of this cache",
                         CASE_MAGIC[7]);
    return (preface->n_tensors <= LOOM_CODEC_MAX_TENSORS
            && preface->header_bytes <= LOOM_CODEC_MAX_HEADER
            && preface->header_bytes <= length - sizeof *preface)
           || loom_fail(error, LOOM_ERROR_FORMAT, "its preface is damaged");
}

/* The tensors' bytes, each a GBytes in the mapped file; NULL: they do not fit it. */
static GPtrArray *body_cut(GBytes *whole, const Preface *preface, gboolean verify,
                           GError **error)
{
    g_autoptr(GPtrArray) body = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    guint64 at = sizeof *preface + preface->header_bytes;
    const guint64 end = g_bytes_get_size(whole);
    guint32 crc = 0;

    for (guint i = 0; i < preface->n_tensors; i++) {
        const guint64 bytes = preface->bytes[i];

        at = aligned(at);
        if (at > end || bytes > end - at)
            return loom_fail_null(error, LOOM_ERROR_FORMAT,
                                  "it ends after %" G_GUINT64_FORMAT " bytes, inside a tensor",
                                  end);
        g_ptr_array_add(body, g_bytes_new_from_bytes(whole, at, bytes));
        if (verify)
            crc = crc_add(crc, g_bytes_get_data(body->pdata[i], NULL), bytes);
        at += bytes;
    }
    if (at != end || (verify && crc != preface->body_crc))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "its tensors are damaged");
    return g_steal_pointer(&body);
}

LoomPacket *loom_case_file_read(const char *path, gboolean verify, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, &cause);
    g_autoptr(GPtrArray) body = NULL;
    g_autoptr(GBytes) whole = NULL, header = NULL;
    Preface preface;

    if (!file)
        return loom_fail_null(error, LOOM_ERROR_IO, "%s", cause->message);
    whole = g_mapped_file_get_bytes(file);
    if (g_bytes_get_size(whole) < sizeof preface)
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "it has %" G_GSIZE_FORMAT " bytes",
                              g_bytes_get_size(whole));
    memcpy(&preface, g_bytes_get_data(whole, NULL), sizeof preface);
    if (!preface_check(&preface, g_bytes_get_size(whole), error))
        return NULL;
    header = g_bytes_new_from_bytes(whole, sizeof preface, preface.header_bytes);
    if (header_crc(&preface, g_bytes_get_data(header, NULL)) != preface.header_crc)
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "its header is damaged");
    body = body_cut(whole, &preface, verify, error);
    return body ? loom_packet_decode(header, body, G_MAXUINT64 / 2, error) : NULL;
}
