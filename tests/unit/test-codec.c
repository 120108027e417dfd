/* Packets and messages as bytes: nothing is lost on the way, nothing is copied without need,
 * and nothing that anybody could send does harm. */
#include "loom_test.h"

#include "core/packet.h"
#include "core/tensor.h"
#include "wire/codec.h"
#include "wire/wire.h"

#include <math.h>
#include <string.h>

#define LIMIT (64u << 20)

#define assert_bytes(a, b, n) g_assert_cmpint(memcmp((a), (b), (n)), ==, 0)

static GPtrArray *body_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

/* Every number of it different, some of them odd. */
static LoomGeometry geometry_odd(void)
{
    LoomGeometry geometry = {.size = {35, 51, 34},
                             .spacing_mm = {0.1, 1.0 / 3.0, 5e-324},
                             .axes = "LPS",
                             .version = 2,
                             .qform_code = -1,
                             .sform_code = 4,
                             .xyzt_units = 10,
                             .pixdim = {-1, -0.0, HUGE_VAL, 3}};

    for (guint i = 0; i < 12; i++) {
        geometry.affine[i / 4][i % 4] = sin(i + 1.0);
        geometry.srow[i / 4][i % 4] = -cos(i + 1.0) * 1e300;
    }
    for (guint i = 0; i < 3; i++) {
        geometry.quatern[i] = 1e-310 * (i + 1); /* denormal */
        geometry.qoffset[i] = i == 1 ? NAN : -90.5 - i;
    }
    return geometry;
}

/* A packet with one tensor of each dtype, an f32 of @side^3 voxels among them. */
static LoomPacket *packet_of(gint64 side)
{
    const LoomGeometry geometry = geometry_odd();
    LoomPacket *packet = loom_packet_new();

    loom_packet_set_index(packet, 4294967297);
    loom_packet_set_id(packet, "hippocampus_001+\xe4\xff_002"); /* bytes, not UTF-8 */
    loom_packet_set_geometry(packet, &geometry);
    if (side == 80) { /* on a grid of its own */
        LoomGeometry other = geometry;

        other.size[1] += 3;
        loom_packet_regrid(packet, &other);
    }
    loom_packet_set(packet, "image",
                    loom_test_random("CDHW", SHAPE(1, side, side, side), 1, -1, 1));
    loom_packet_set(packet, "label",
                    loom_test_random_labels("DHW", SHAPE(side, side, side), 2, 3));
    loom_packet_set(packet, "loss_2", loom_tensor_new_scalar(-1.0 / 3.0));
    loom_packet_set(packet, "gone", loom_tensor_new_scalar(1));
    loom_packet_drop(packet, "gone");
    return packet;
}

static void assert_same_grid(const LoomGeometry *ga, const LoomGeometry *gb)
{
    assert_bytes(ga->size, gb->size, sizeof ga->size);
    assert_bytes(ga->spacing_mm, gb->spacing_mm, sizeof ga->spacing_mm);
    assert_bytes(ga->affine, gb->affine, sizeof ga->affine);
    g_assert_cmpstr(ga->axes, ==, gb->axes);
    g_assert_cmpint(ga->version, ==, gb->version);
    g_assert_cmpint(ga->qform_code, ==, gb->qform_code);
    g_assert_cmpint(ga->sform_code, ==, gb->sform_code);
    g_assert_cmpint(ga->xyzt_units, ==, gb->xyzt_units);
    assert_bytes(ga->pixdim, gb->pixdim, sizeof ga->pixdim);
    assert_bytes(ga->quatern, gb->quatern, sizeof ga->quatern);
    assert_bytes(ga->qoffset, gb->qoffset, sizeof ga->qoffset);
    assert_bytes(ga->srow, gb->srow, sizeof ga->srow);
}

static void assert_same(const LoomPacket *a, const LoomPacket *b)
{
    const char *slots[] = {"image", "label", "loss_2"};

    g_assert_cmpint(loom_packet_index(a), ==, loom_packet_index(b));
    g_assert_cmpstr(loom_packet_id(a), ==, loom_packet_id(b));
    g_assert_null(loom_packet_get(b, "gone"));
    for (guint i = 0; i < G_N_ELEMENTS(slots); i++) {
        const LoomTensor *x = loom_packet_get(a, slots[i]), *y = loom_packet_get(b, slots[i]);

        g_assert_nonnull(y);
        g_assert_cmpint(loom_tensor_dtype(x), ==, loom_tensor_dtype(y));
        g_assert_cmpstr(loom_tensor_axes(x), ==, loom_tensor_axes(y));
        g_assert_cmpuint(loom_tensor_bytes(x), ==, loom_tensor_bytes(y));
        assert_bytes(loom_tensor_memory(x), loom_tensor_memory(y), loom_tensor_bytes(x));
    }
    assert_same_grid(loom_packet_geometry(a), loom_packet_geometry(b));
    assert_same_grid(loom_packet_native(a), loom_packet_native(b));
    g_assert_true((loom_packet_native(a) == loom_packet_geometry(a))
                  == (loom_packet_native(b) == loom_packet_geometry(b)));
}

/* 10: one slice a tensor.  80: 2,048,000 bytes of floats, cut in two. */
static void test_round_trip(gconstpointer side)
{
    g_autoptr(LoomPacket) packet = packet_of(GPOINTER_TO_INT(side)), back = NULL;
    g_autoptr(GPtrArray) body = body_new();
    g_autoptr(GBytes) header = NULL;
    g_autoptr(GError) error = NULL;
    guint64 bytes, promised;
    guint slices;

    /* A fork shares the tensors, so that what was encoded can be compared. */
    bytes = loom_packet_encode(loom_packet_fork(packet), &header, body);
    g_assert_cmpuint(bytes, ==, 5 * (guint64)pow(GPOINTER_TO_INT(side), 3) + 8);
    g_assert_true(loom_packet_header_check(header, LIMIT, &promised, &slices, &error));
    g_assert_cmpuint(promised, ==, bytes);
    g_assert_cmpuint(slices, ==, body->len);
    g_assert_cmpuint(slices, ==, GPOINTER_TO_INT(side) == 80 ? 4 : 3);
    back = loom_packet_decode(header, body, LIMIT, &error);
    g_assert_no_error(error);
    assert_same(packet, back);
}

static void test_no_copies(void)
{
    g_autoptr(LoomPacket) packet = packet_of(80), back = NULL;
    const guint8 *image = loom_tensor_memory(loom_packet_get(packet, "image"));
    const guint8 *label = loom_tensor_memory(loom_packet_get(packet, "label"));
    g_autoptr(GPtrArray) body = body_new();
    g_autoptr(GBytes) header = NULL;
    g_autoptr(GError) error = NULL;

    loom_packet_encode(loom_packet_fork(packet), &header, body);
    g_assert_true(g_bytes_get_data(body->pdata[0], NULL) == image);
    g_assert_true(g_bytes_get_data(body->pdata[1], NULL) == image + LOOM_MESSAGE_MAX_BYTES);
    g_assert_true(g_bytes_get_data(body->pdata[2], NULL) == label);
    back = loom_packet_decode(header, body, LIMIT, &error);
    g_assert_no_error(error);
    g_assert_true(loom_tensor_memory(loom_packet_get(back, "label")) == label);

    /* Two packets look at these bytes: who writes gets bytes of his own first. */
    LoomTensor *edited = loom_packet_edit(back, "label", &error);
    g_assert_no_error(error);
    g_assert_true(loom_tensor_memory(edited) != label);
    loom_tensor_u8_mut(edited)[0] ^= 1;
    g_assert_cmpuint(loom_tensor_u8(edited)[0], !=, label[0]);
}

/* The tensors live as long as a slice of them, and no longer. */
static void test_lifetime(void)
{
    const gint before = loom_tensor_alive();
    g_autoptr(GPtrArray) body = body_new();
    g_autoptr(GBytes) header = NULL;

    loom_packet_encode(packet_of(80), &header, body);
    g_assert_cmpint(loom_tensor_alive(), ==, before + 3);
    g_ptr_array_set_size(body, 1);
    g_assert_cmpint(loom_tensor_alive(), ==, before + 1);
    g_ptr_array_set_size(body, 0);
    g_assert_cmpint(loom_tensor_alive(), ==, before);
}

/* Slices that lie askew in memory, as those of a socket may. */
static void test_misaligned(void)
{
    g_autoptr(LoomPacket) packet = packet_of(10), back = NULL;
    g_autoptr(GPtrArray) body = body_new(), askew = body_new();
    g_autoptr(GBytes) header = NULL;
    g_autoptr(GError) error = NULL;

    loom_packet_encode(loom_packet_fork(packet), &header, body);
    for (guint i = 0; i < body->len; i++) {
        gsize length;
        const guint8 *data = g_bytes_get_data(body->pdata[i], &length);
        g_autofree guint8 *moved = g_malloc(length + 1);

        memcpy(moved + 1, data, length);
        g_autoptr(GBytes) all = g_bytes_new(moved, length + 1);
        g_ptr_array_add(askew, g_bytes_new_from_bytes(all, 1, length));
    }
    back = loom_packet_decode(header, askew, LIMIT, &error);
    g_assert_no_error(error);
    assert_same(packet, back);
}

/* ---- hostile ------------------------------------------------------------------------ */

#define NO_GEOMETRY "@m(axads) nothing, @m(axads) nothing"

/* A header as somebody writes it who means no good. */
static void assert_refused(const char *slots, LoomErrorCode code, const char *text)
{
    g_autofree char *words =
        g_strdup_printf("(@x 0, @ay [], " NO_GEOMETRY ", @a(sysaxt) [%s])", slots);
    g_autoptr(GVariant) packed = g_variant_parse(
        G_VARIANT_TYPE("(xaym(axads)m(axads)a(sysaxt))"), words, NULL, NULL, NULL);
    g_autoptr(GPtrArray) body = body_new();
    g_autoptr(GError) error = NULL;
    const gint before = loom_tensor_alive();

    g_assert_nonnull(packed);
    g_autoptr(GBytes) header = g_variant_get_data_as_bytes(packed);
    loom_assert_failed(loom_packet_decode(header, body, LIMIT, &error), error, LOOM_ERROR, code,
                       text);
    g_assert_cmpint(loom_tensor_alive(), ==, before);
}

static void test_lies(void)
{
    g_autoptr(GString) many = g_string_new(NULL);

    /* 102 is 'f'. */
    assert_refused("('image', 102, 'W', [9223372036854775807], 4)", LOOM_ERROR_LIMIT,
                   "the product of the sizes along W overflows");
    assert_refused("('image', 102, 'NCDHW', [65536, 65536, 65536, 65536, 4], 0)",
                   LOOM_ERROR_LIMIT, "overflows");
    assert_refused("('image', 102, 'W', [16777217], 67108868)", LOOM_ERROR_LIMIT,
                   "a packet of more than 67108864 bytes");
    assert_refused(
        "('a', 102, 'W', [12582912], 50331648), ('b', 102, 'W', [12582912], 50331648)",
        LOOM_ERROR_LIMIT, "a packet of more than 67108864 bytes");
    assert_refused("('image', 102, 'W', [10], 40)", LOOM_ERROR_FORMAT,
                   "0 bytes of tensors, the header promised 40");
    assert_refused("('image', 102, 'W', [10], 44)", LOOM_ERROR_FORMAT,
                   "'image' is said to have 44 bytes, its sizes make 40");
    assert_refused("('image', 102, 'W', [0], 0)", LOOM_ERROR_SHAPE, "size 0 along W");
    assert_refused("('image', 102, 'W', [-1], 0)", LOOM_ERROR_SHAPE, "size -1 along W");
    assert_refused("('image', 102, 'DHW', [2, 2], 16)", LOOM_ERROR_FORMAT,
                   "2 sizes and 3 axes");
    assert_refused("('image', 102, 'NCDHWK', [1, 1, 1, 1, 1, 1], 4)", LOOM_ERROR_FORMAT,
                   "6 sizes and 6 axes");
    assert_refused("('image', 102, '%n', [1, 1], 4)", LOOM_ERROR_FORMAT, "2 sizes and 2 axes");
    assert_refused("('image', 120, 'W', [1], 4)", LOOM_ERROR_FORMAT, "'image' has dtype 120");
    assert_refused("('../etc', 102, 'W', [1], 4)", LOOM_ERROR_FORMAT,
                   "a slot whose name is none");
    assert_refused("('', 102, 'W', [1], 4)", LOOM_ERROR_FORMAT, "a slot whose name is none");
    assert_refused("('a', 102, '', [], 4), ('a', 102, '', [], 4)", LOOM_ERROR_FORMAT,
                   "slot 'a' twice");
    for (guint i = 0; i <= LOOM_PACKET_MAX_SLOTS; i++)
        g_string_append_printf(many, "%s('s%u', 102, '', [], 4)", i ? ", " : "", i);
    assert_refused(many->str, LOOM_ERROR_FORMAT, "a packet of 25 slots, want at most 24");
}

static void test_too_long(void)
{
    g_autofree char *id = g_strnfill(LOOM_CODEC_MAX_ID + 1, 'x');
    g_autoptr(LoomPacket) packet = loom_packet_new();
    g_autoptr(GError) error = NULL;

    loom_packet_set_id(packet, id);
    loom_assert_failed(loom_packet_encode_check(packet, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "the id of a packet has 16385 bytes, at most 16384");
}

/* Cuts it, or changes some of its bytes; in memory of its own, so that ASan sees the edge. */
static GBytes *bytes_damaged(GBytes *from, GRand *dice)
{
    gsize length;
    const void *data = g_bytes_get_data(from, &length);
    guint8 *copy = g_memdup2(data, length);
    const gsize kept =
        g_rand_boolean(dice) ? length : (gsize)g_rand_int_range(dice, 0, (gint)length);

    for (gint n = g_rand_int_range(dice, kept == length ? 1 : 0, 6); n > 0 && kept; n--)
        copy[g_rand_int_range(dice, 0, (gint)kept)] = (guint8)g_rand_int(dice);
    return g_bytes_new_take(g_realloc(copy, MAX(kept, 1)), kept);
}

static void test_damaged_packets(void)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(7);
    g_autoptr(GPtrArray) body = body_new();
    g_autoptr(GBytes) header = NULL;
    const gint before = loom_tensor_alive();
    guint refused = 0;

    loom_packet_encode(packet_of(4), &header, body);
    for (guint i = 0; i < 5000; i++) {
        g_autoptr(GBytes) damaged = bytes_damaged(header, dice);
        g_autoptr(GError) error = NULL;
        g_autoptr(LoomPacket) packet = loom_packet_decode(damaged, body, LIMIT, &error);

        /* A changed id or voxel size may pass; what does is as large as it was. */
        g_assert_true(!packet == !!error);
        refused += !packet;
        for (guint s = 0; packet; s++) {
            const LoomTensor *tensor;

            if (!loom_packet_slot(packet, s, &tensor))
                break;
            g_assert_cmpuint(loom_tensor_bytes(tensor), <=, 4 * 4 * 4 * 4);
        }
    }
    g_assert_cmpuint(refused, >, 2500); /* every cut among them */
    g_ptr_array_set_size(body, 0);
    g_assert_cmpint(loom_tensor_alive(), ==, before);
}

static LoomWireMessage message_full(void)
{
    LoomWireMessage message = {.version = LOOM_WIRE_VERSION,
                               .edge = "batch",
                               .from = 3,
                               .to = 1,
                               .kind = LOOM_WIRE_DATA,
                               .run = "0123456789abcde",
                               .generation = 7,
                               .sender = G_MAXUINT64,
                               .receiver = 5,
                               .epoch = 6,
                               .hello = 8,
                               .graph = "77",
                               .sequence = 1ull << 40,
                               .done = 9,
                               .received = 10,
                               .credit = 11,
                               .chunk = 0,
                               .chunks = 2,
                               .ended = TRUE,
                               .reason = LOOM_WIRE_GONE};

    message.header = g_bytes_new_static("header", 6);
    message.payload = g_bytes_new_static("payload", 7);
    message.crc = loom_wire_crc(message.payload);
    return message;
}

static GPtrArray *message_frames(const LoomWireMessage *message)
{
    GPtrArray *frames = body_new();
    GBytes *packed[2];
    const guint n = loom_wire_pack(message, packed);

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(frames, packed[i]);
    return frames;
}

static void test_message(void)
{
    g_auto(LoomWireMessage) message = message_full(), back = {0};
    g_autoptr(GPtrArray) frames = message_frames(&message);
    g_autoptr(GError) error = NULL;

    /* The check value of CRC-32 (ISO 3309), so that another program can speak to this one. */
    g_autoptr(GBytes) digits = g_bytes_new_static("123456789", 9);
    g_assert_cmphex(loom_wire_crc(digits), ==, 0xcbf43926);

    g_assert_true(loom_wire_unpack(frames, &back, &error));
    g_assert_true(g_bytes_equal(back.header, message.header));
    g_assert_true(back.payload == message.payload); /* not a copy */
    LoomWireMessage plain = back; /* what is left is plain numbers and texts */
    plain.header = message.header;
    g_assert_cmpstr(plain.edge, ==, message.edge);
    assert_bytes(plain.run, message.run, 16);
    g_assert_cmpuint(plain.from, ==, 3);
    g_assert_cmpuint(plain.to, ==, 1);
    g_assert_cmpint(plain.kind, ==, LOOM_WIRE_DATA);
    g_assert_cmpuint(plain.generation, ==, 7);
    g_assert_cmpuint(plain.sender, ==, G_MAXUINT64);
    g_assert_cmpuint(plain.receiver, ==, 5);
    g_assert_cmpuint(plain.epoch, ==, 6);
    g_assert_cmpuint(plain.hello, ==, 8);
    g_assert_cmpstr(plain.graph, ==, "77");
    g_assert_cmpuint(plain.sequence, ==, 1ull << 40);
    g_assert_cmpuint(plain.done, ==, 9);
    g_assert_cmpuint(plain.received, ==, 10);
    g_assert_cmpuint(plain.credit, ==, 11);
    g_assert_cmpuint(plain.chunks, ==, 2);
    g_assert_true(plain.ended);
    g_assert_cmpint(plain.reason, ==, LOOM_WIRE_GONE);
}

static void test_damaged_messages(void)
{
    g_autoptr(GRand) dice = g_rand_new_with_seed(8);
    g_auto(LoomWireMessage) message = message_full();
    g_autoptr(GPtrArray) frames = message_frames(&message);

    for (guint i = 0; i < 5000; i++) {
        g_autoptr(GPtrArray) damaged = body_new();
        g_auto(LoomWireMessage) back = {0};
        g_autoptr(GError) error = NULL;

        g_ptr_array_add(damaged, bytes_damaged(frames->pdata[0], dice));
        g_ptr_array_add(damaged, g_bytes_ref(frames->pdata[1]));
        if (g_bytes_equal(damaged->pdata[0], frames->pdata[0]))
            continue; /* a byte became what it was */
        /* Only the version may change unseen: then nothing else counts. */
        if (loom_wire_unpack(damaged, &back, &error))
            g_assert_true(back.kind == LOOM_WIRE_FOREIGN && back.version != LOOM_WIRE_VERSION);
        else
            g_assert_nonnull(error);
    }
}

static void test_damaged_payload(void)
{
    g_auto(LoomWireMessage) message = message_full(), back = {0};
    g_autoptr(GPtrArray) frames = message_frames(&message);
    g_autoptr(GError) error = NULL;

    g_bytes_unref(frames->pdata[1]);
    frames->pdata[1] = g_bytes_new_static("paxload", 7);
    loom_assert_failed(loom_wire_unpack(frames, &back, &error), error, LOOM_ERROR,
                       LOOM_ERROR_FORMAT, "on 'batch' arrived damaged: its crc differs");
    loom_wire_clear(&back);
    g_clear_error(&error);

    g_ptr_array_add(frames, g_bytes_new_static("", 0));
    loom_assert_failed(loom_wire_unpack(frames, &back, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "3 frames");
    g_clear_error(&error);

    g_ptr_array_set_size(frames, 0);
    g_ptr_array_add(frames, g_bytes_new_take(g_malloc0(LOOM_WIRE_MAX_HEADER + 1),
                                             LOOM_WIRE_MAX_HEADER + 1));
    loom_assert_failed(loom_wire_unpack(frames, &back, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "want a header of at most 65536 bytes");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/codec/round-trip", GINT_TO_POINTER(10), test_round_trip);
    g_test_add_data_func("/codec/round-trip-cut", GINT_TO_POINTER(80), test_round_trip);
    g_test_add_func("/codec/no-copies", test_no_copies);
    g_test_add_func("/codec/lifetime", test_lifetime);
    g_test_add_func("/codec/misaligned", test_misaligned);
    g_test_add_func("/codec/lies", test_lies);
    g_test_add_func("/codec/too-long", test_too_long);
    g_test_add_func("/codec/damaged-packets", test_damaged_packets);
    g_test_add_func("/codec/message", test_message);
    g_test_add_func("/codec/damaged-messages", test_damaged_messages);
    g_test_add_func("/codec/damaged-payload", test_damaged_payload);
    return loom_test_run();
}
