/* wire - messages of streams as frames, and back; nothing that arrives is believed. */
#include "wire.h"

#include "codec.h"

#include "core/little_endian.h"

#include <string.h>
#include <zlib.h>

#define ENVELOPE_TYPE G_VARIANT_TYPE("(uusuuuay)")
#define WORDS_TYPE G_VARIANT_TYPE("(yaytttttsttttuubuuay)")

static const struct {
    const char *text;
    gboolean final;
} reasons[LOOM_WIRE_REASONS] = {
    [LOOM_WIRE_FITS] = {"it fits", FALSE},
    [LOOM_WIRE_VERSION_DIFFERS] = {"it speaks another version of the stream format", TRUE},
    [LOOM_WIRE_RUN_DIFFERS] = {"it belongs to another run", FALSE},
    [LOOM_WIRE_GRAPH_DIFFERS] = {"it works on another graph: the configurations differ", TRUE},
    [LOOM_WIRE_OLDER] = {"its generation is over there", FALSE},
    [LOOM_WIRE_NOT_BEGUN] = {"its generation has not begun there yet", FALSE},
    [LOOM_WIRE_NO_EDGE] = {"no edge of this name leads there", FALSE},
    [LOOM_WIRE_FENCED] = {"another process has taken its place", TRUE},
    [LOOM_WIRE_GONE] = {"packets that it wants were used before and are gone", TRUE},
    [LOOM_WIRE_UNMET] = {"it did not say hello", FALSE},
};

const char *loom_wire_reason_text(LoomWireReason reason)
{
    return reasons[reason].text;
}

gboolean loom_wire_reason_final(LoomWireReason reason)
{
    return reasons[reason].final;
}

gboolean loom_wire_upstream(LoomWireKind kind)
{
    return kind == LOOM_WIRE_HELLO || kind == LOOM_WIRE_ACK || kind == LOOM_WIRE_NACK
           || kind == LOOM_WIRE_STOP;
}

LoomWireReason loom_wire_judge(const LoomStreamIdentity *self, const LoomWireMessage *message)
{
    if (message->version != LOOM_WIRE_VERSION)
        return LOOM_WIRE_VERSION_DIFFERS;
    if (memcmp(self->run, message->run, sizeof self->run) != 0)
        return LOOM_WIRE_RUN_DIFFERS;
    if (message->kind == LOOM_WIRE_HELLO && !g_str_equal(self->graph, message->graph))
        return LOOM_WIRE_GRAPH_DIFFERS;
    return message->generation < self->generation   ? LOOM_WIRE_OLDER
           : message->generation > self->generation ? LOOM_WIRE_NOT_BEGUN
                                                    : LOOM_WIRE_FITS;
}

void loom_wire_clear(LoomWireMessage *message)
{
    g_clear_pointer(&message->header, g_bytes_unref);
    g_clear_pointer(&message->payload, g_bytes_unref);
    memset(message, 0, sizeof *message);
}

/* ---- integrity ---------------------------------------------------------------------- */

guint32 loom_wire_crc(GBytes *payload)
{
    gsize length;
    const void *bytes = g_bytes_get_data(payload, &length);

    return (guint32)crc32_z(0, bytes, length);
}

/* Over the words, and the envelope around them. */
static guint32 words_crc(const guint8 *words, gsize length, const char *edge, guint32 from,
                         guint32 to)
{
    const guint32 ends[2] = {GUINT32_TO_LE(from), GUINT32_TO_LE(to)};
    uLong crc = crc32_z(0, words, length);

    crc = crc32_z(crc, (const void *)edge, strlen(edge));
    return (guint32)crc32_z(crc, (const void *)ends, sizeof ends);
}

/* ---- out ---------------------------------------------------------------------------- */

static GVariant *bytes_variant(const void *bytes, gsize length)
{
    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, bytes, length, 1);
}

static GVariant *words_pack(const LoomWireMessage *m)
{
    gsize length = 0;
    const void *header = m->header ? g_bytes_get_data(m->header, &length) : NULL;

    return loom_little_endian(g_variant_ref_sink(g_variant_new(
        "(y@aytttttsttttuubuu@ay)", (guint8)m->kind, bytes_variant(m->run, sizeof m->run),
        m->generation, m->sender, m->receiver, m->epoch, m->hello, m->graph, m->sequence,
        m->done, m->received, m->credit, m->chunk, m->chunks, m->ended, (guint32)m->reason,
        m->crc, bytes_variant(header, length))));
}

guint loom_wire_pack(const LoomWireMessage *message, GBytes *frames[2])
{
    g_autoptr(GVariant) words = words_pack(message), envelope = NULL;
    const gsize length = g_variant_get_size(words);
    const guint32 crc =
        words_crc(g_variant_get_data(words), length, message->edge, message->from, message->to);

    envelope = loom_little_endian(g_variant_ref_sink(g_variant_new(
        "(uusuuu@ay)", LOOM_WIRE_MAGIC, message->version, message->edge, message->from,
        message->to, crc, bytes_variant(g_variant_get_data(words), length))));
    frames[0] = g_variant_get_data_as_bytes(envelope);
    frames[1] = message->payload ? g_bytes_ref(message->payload) : NULL;
    return message->payload ? 2 : 1;
}

/* ---- in ----------------------------------------------------------------------------- */

static gboolean words_unpack(GVariant *words, LoomWireMessage *m, GError **error)
{
    g_autoptr(GVariant) run = NULL, header = NULL;
    const char *graph;
    const void *bytes;
    gsize length;
    guint8 kind;
    guint32 reason;

    g_variant_get(words, "(y@ayttttt&sttttuubuu@ay)", &kind, &run, &m->generation, &m->sender,
                  &m->receiver, &m->epoch, &m->hello, &graph, &m->sequence, &m->done,
                  &m->received, &m->credit, &m->chunk, &m->chunks, &m->ended, &reason, &m->crc,
                  &header);
    bytes = g_variant_get_fixed_array(run, &length, 1);
    if (kind < LOOM_WIRE_HELLO || kind > LOOM_WIRE_BYE || reason >= LOOM_WIRE_REASONS
        || length != sizeof m->run || strlen(graph) >= sizeof m->graph)
        return loom_fail(error, LOOM_ERROR_FORMAT, "a message of kind %u, reason %u", kind,
                         reason);
    m->kind = (LoomWireKind)kind;
    m->reason = (LoomWireReason)reason;
    memcpy(m->run, bytes, sizeof m->run);
    g_strlcpy(m->graph, graph, sizeof m->graph);
    bytes = g_variant_get_fixed_array(header, &length, 1);
    if (length > LOOM_CODEC_MAX_HEADER)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "a packet's header of %" G_GSIZE_FORMAT " bytes", length);
    if (length)
        m->header = g_bytes_new(bytes, length);
    return TRUE;
}

/* Only DATA carries a payload, and it is the one that its sender saw. */
static gboolean payload_check(GPtrArray *frames, LoomWireMessage *message, GError **error)
{
    if (frames->len == 1)
        return TRUE;
    if (message->kind != LOOM_WIRE_DATA
        || g_bytes_get_size(frames->pdata[1]) > LOOM_MESSAGE_MAX_BYTES)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "a message of kind %d with %" G_GSIZE_FORMAT " bytes behind it",
                         (int)message->kind, g_bytes_get_size(frames->pdata[1]));
    message->payload = g_bytes_ref(frames->pdata[1]);
    if (loom_wire_crc(message->payload) != message->crc)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "packet %" G_GUINT64_FORMAT
                         " on '%s' arrived damaged: its crc differs",
                         message->sequence, message->edge);
    return TRUE;
}

static gboolean envelope_unpack(GVariant *envelope, GPtrArray *frames, LoomWireMessage *message,
                                GError **error)
{
    g_autoptr(GVariant) packed = NULL, words = NULL;
    guint32 magic, crc;
    const char *edge;
    const void *bytes;
    gsize length;

    g_variant_get(envelope, "(uu&suuu@ay)", &magic, &message->version, &edge, &message->from,
                  &message->to, &crc, &packed);
    if (magic != LOOM_WIRE_MAGIC || strlen(edge) > LOOM_WIRE_MAX_EDGE)
        return loom_fail(error, LOOM_ERROR_FORMAT, "a message of something else");
    g_strlcpy(message->edge, edge, sizeof message->edge);
    message->kind = LOOM_WIRE_FOREIGN;
    if (message->version != LOOM_WIRE_VERSION)
        return TRUE;
    bytes = g_variant_get_fixed_array(packed, &length, 1);
    if (words_crc(bytes, length, edge, message->from, message->to) != crc)
        return loom_fail(error, LOOM_ERROR_FORMAT, "a header arrived damaged: its crc differs");
    g_autoptr(GBytes) copy = g_bytes_new(bytes, length); /* aligned, whatever it lay in */
    words = g_variant_ref_sink(g_variant_new_from_bytes(WORDS_TYPE, copy, FALSE));
    if (!g_variant_is_normal_form(words))
        return loom_fail(error, LOOM_ERROR_FORMAT, "a message without words");
    words = loom_little_endian(words);
    return words_unpack(words, message, error) && payload_check(frames, message, error);
}

gboolean loom_wire_unpack(GPtrArray *frames, LoomWireMessage *message, GError **error)
{
    g_autoptr(GVariant) envelope = NULL;

    memset(message, 0, sizeof *message);
    if (frames->len < 1 || frames->len > 2
        || g_bytes_get_size(frames->pdata[0]) > LOOM_WIRE_MAX_HEADER)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "%u frames, want a header of at most %u bytes, and one more",
                         frames->len, LOOM_WIRE_MAX_HEADER);
    envelope =
        g_variant_ref_sink(g_variant_new_from_bytes(ENVELOPE_TYPE, frames->pdata[0], FALSE));
    if (!g_variant_is_normal_form(envelope))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "%" G_GSIZE_FORMAT " bytes that are not the header of a message",
                         g_bytes_get_size(frames->pdata[0]));
    envelope = loom_little_endian(envelope);
    return envelope_unpack(envelope, frames, message, error);
}
