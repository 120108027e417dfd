/* codec - packets as bytes, and back: a GVariant header, and the tensors' own memory. */
#include "codec.h"

#include "core/little_endian.h"
#include "core/packet.h"
#include "core/tensor.h"

#include <loom/network.h>

#include <math.h>
#include <string.h>

#define HEADER_TYPE G_VARIANT_TYPE("(xaym(axads)m(axads)a(sysaxt))")

#define AXES "NCDHWK"
#define GEOMETRY_INTEGERS 7
#define GEOMETRY_DOUBLES 37
G_STATIC_ASSERT(sizeof(((LoomGeometry *)NULL)->affine) == 12 * sizeof(double));
G_STATIC_ASSERT(sizeof(((LoomGeometry *)NULL)->srow) == 12 * sizeof(double));

/* What the header says of one slot; the texts are the header's. */
typedef struct {
    const char *name, *axes;
    LoomDtype dtype;
    gint64 shape[LOOM_MAX_RANK];
    gsize bytes;
} SlotHeader;

static const struct {
    char letter;
    LoomDtype dtype;
} dtypes[] = {{'f', LOOM_F32}, {'u', LOOM_U8}, {'d', LOOM_F64}};

/* ---- geometry ----------------------------------------------------------------------- */

/* Copies the doubles of @geometry to @numbers, or from there, in the order of the struct. */
static void geometry_doubles(LoomGeometry *geometry, double *numbers, gboolean from)
{
    const struct {
        double *at;
        gsize n;
    } parts[] = {
        {geometry->spacing_mm, 3}, {&geometry->affine[0][0], 12}, {geometry->pixdim, 4},
        {geometry->quatern, 3},    {geometry->qoffset, 3},        {&geometry->srow[0][0], 12},
    };

    for (gsize i = 0; i < G_N_ELEMENTS(parts); numbers += parts[i++].n)
        memcpy(from ? parts[i].at : numbers, from ? numbers : parts[i].at,
               parts[i].n * sizeof(double));
}

static GVariant *geometry_pack(const LoomGeometry *geometry)
{
    LoomGeometry copy = *geometry;
    const gint64 integers[GEOMETRY_INTEGERS] = {
        copy.size[0],    copy.size[1],    copy.size[2],    copy.version,
        copy.qform_code, copy.sform_code, copy.xyzt_units,
    };
    double doubles[GEOMETRY_DOUBLES];

    geometry_doubles(&copy, doubles, FALSE);
    return g_variant_new("(@ax@ads)",
                         g_variant_new_fixed_array(G_VARIANT_TYPE_INT64, integers,
                                                   GEOMETRY_INTEGERS, sizeof(gint64)),
                         g_variant_new_fixed_array(G_VARIANT_TYPE_DOUBLE, doubles,
                                                   GEOMETRY_DOUBLES, sizeof(double)),
                         copy.axes);
}

static gboolean geometry_unpack(GVariant *packed, LoomGeometry *geometry, GError **error)
{
    g_autoptr(GVariant) ax = g_variant_get_child_value(packed, 0);
    g_autoptr(GVariant) ad = g_variant_get_child_value(packed, 1);
    gsize n_integers, n_doubles;
    const gint64 *integers = g_variant_get_fixed_array(ax, &n_integers, sizeof(gint64));
    const double *doubles = g_variant_get_fixed_array(ad, &n_doubles, sizeof(double));
    double copy[GEOMETRY_DOUBLES];
    const char *axes;

    g_variant_get_child(packed, 2, "&s", &axes);
    if (n_integers != GEOMETRY_INTEGERS || n_doubles != GEOMETRY_DOUBLES)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "a geometry of %" G_GSIZE_FORMAT " integers and %" G_GSIZE_FORMAT
                         " reals, want %d and %d",
                         n_integers, n_doubles, GEOMETRY_INTEGERS, GEOMETRY_DOUBLES);
    if (strlen(axes) > 3 || strspn(axes, "RLAPSI") != strlen(axes))
        return loom_fail(error, LOOM_ERROR_FORMAT, "a geometry without directions of axes");
    for (guint i = 3; i < GEOMETRY_INTEGERS; i++)
        if (integers[i] < G_MININT32 || integers[i] > G_MAXINT32)
            return loom_fail(error, LOOM_ERROR_FORMAT, "a code of a geometry is out of range");
    memcpy(geometry->size, integers, sizeof geometry->size);
    geometry->version = (gint32)integers[3];
    geometry->qform_code = (gint32)integers[4];
    geometry->sform_code = (gint32)integers[5];
    geometry->xyzt_units = (gint32)integers[6];
    memcpy(copy, doubles, sizeof copy);
    geometry_doubles(geometry, copy, TRUE);
    g_strlcpy(geometry->axes, axes, sizeof geometry->axes);
    for (guint i = 0; i < 3; i++)
        if (geometry->size[i] < 1 || !(geometry->spacing_mm[i] > 0)
            || !isfinite(geometry->spacing_mm[i]))
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "%" G_GINT64_FORMAT " voxels of %g mm along %c", geometry->size[i],
                             geometry->spacing_mm[i], "ijk"[i]);
    return TRUE;
}

/* ---- a packet's bytes --------------------------------------------------------------- */

static void tensor_release(gpointer tensor)
{
    loom_tensor_unref(tensor);
}

static void tensor_slice(const LoomTensor *tensor, GPtrArray *body)
{
    const gsize bytes = loom_tensor_bytes(tensor);
    gpointer held;

    memcpy(&held, &tensor, sizeof held); /* const goes: only the count of holders changes */
    g_autoptr(GBytes) whole = g_bytes_new_with_free_func(loom_tensor_memory(tensor), bytes,
                                                         tensor_release, loom_tensor_ref(held));
    for (gsize at = 0; at < bytes; at += LOOM_MESSAGE_MAX_BYTES)
        g_ptr_array_add(
            body, g_bytes_new_from_bytes(whole, at, MIN(bytes - at, LOOM_MESSAGE_MAX_BYTES)));
}

static void slot_pack(GVariantBuilder *slots, const char *name, const LoomTensor *tensor)
{
    guint8 letter = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(dtypes); i++)
        if (dtypes[i].dtype == loom_tensor_dtype(tensor))
            letter = (guint8)dtypes[i].letter;
    g_variant_builder_add(slots, "(sys@axt)", name, letter, loom_tensor_axes(tensor),
                          g_variant_new_fixed_array(G_VARIANT_TYPE_INT64,
                                                    loom_tensor_shape(tensor),
                                                    loom_tensor_rank(tensor), sizeof(gint64)),
                          (guint64)loom_tensor_bytes(tensor));
}

guint64 loom_packet_encode(LoomPacket *packet, GBytes **header, GPtrArray *body)
{
    g_autoptr(LoomPacket) owned = packet;
    const LoomGeometry *geometry = loom_packet_geometry(owned);
    const LoomGeometry *native = loom_packet_native(owned);
    const char *id = loom_packet_id(owned), *name;
    const LoomTensor *tensor;
    GVariantBuilder slots;
    guint64 bytes = 0;

    g_variant_builder_init(&slots, G_VARIANT_TYPE("a(sysaxt)"));
    for (guint i = 0; (name = loom_packet_slot(owned, i, &tensor)); i++) {
        if (!tensor)
            continue;
        slot_pack(&slots, name, tensor);
        tensor_slice(tensor, body);
        bytes += loom_tensor_bytes(tensor);
    }
    g_autoptr(GVariant) packed = loom_little_endian(g_variant_ref_sink(
        g_variant_new("(x@aym@(axads)m@(axads)a(sysaxt))", loom_packet_index(owned),
                      g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, id, strlen(id), 1),
                      geometry ? geometry_pack(geometry) : NULL,
                      native != geometry ? geometry_pack(native) : NULL, &slots)));
    *header = g_variant_get_data_as_bytes(packed);
    return bytes;
}

gboolean loom_packet_encode_check(const LoomPacket *packet, GError **error)
{
    const char *name;
    const LoomTensor *tensor;

    if (strlen(loom_packet_id(packet)) > LOOM_CODEC_MAX_ID)
        return loom_fail(error, LOOM_ERROR_LIMIT,
                         "the id of a packet has %" G_GSIZE_FORMAT
                         " bytes, at most %u can travel to another process",
                         strlen(loom_packet_id(packet)), LOOM_CODEC_MAX_ID);
    for (guint i = 0; (name = loom_packet_slot(packet, i, &tensor)); i++)
        if (tensor && strlen(name) > LOOM_CODEC_MAX_NAME)
            return loom_fail(error, LOOM_ERROR_LIMIT,
                             "slot '%s' has a name of more than %u letters", name,
                             LOOM_CODEC_MAX_NAME);
    return TRUE;
}

/* ---- bytes of anybody --------------------------------------------------------------- */

/* The checks that need no more than the slot's own words. */
static gboolean slot_unpack(GVariant *packed, SlotHeader *slot, GError **error)
{
    g_autoptr(GVariant) ax = NULL;
    const gint64 *sizes;
    guint64 bytes;
    guint8 letter;
    gsize rank, found = 0;

    g_variant_get(packed, "(&sy&s@axt)", &slot->name, &letter, &slot->axes, &ax, &bytes);
    sizes = g_variant_get_fixed_array(ax, &rank, sizeof(gint64));
    if (!*slot->name || strlen(slot->name) > LOOM_CODEC_MAX_NAME
        || strspn(slot->name, "abcdefghijklmnopqrstuvwxyz_0123456789.") != strlen(slot->name))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "a slot whose name is none: want a to z, 0 to 9 and _");
    if (rank > LOOM_MAX_RANK || strlen(slot->axes) != rank || strspn(slot->axes, AXES) != rank)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "'%s' has %" G_GSIZE_FORMAT " sizes and %" G_GSIZE_FORMAT
                         " axes, want as many, at most %d, out of " AXES,
                         slot->name, rank, strlen(slot->axes), LOOM_MAX_RANK);
    while (found < G_N_ELEMENTS(dtypes) && dtypes[found].letter != (char)letter)
        found++;
    if (found == G_N_ELEMENTS(dtypes))
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' has dtype %u, want f, u or d",
                         slot->name, letter);
    slot->dtype = dtypes[found].dtype;
    if (rank)
        memcpy(slot->shape, sizes, rank * sizeof *sizes);
    if (!loom_tensor_measure(slot->dtype, slot->axes, slot->shape, &slot->bytes, error)) {
        g_prefix_error(error, "'%s': ", slot->name);
        return FALSE;
    }
    if (slot->bytes != bytes)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "'%s' is said to have %" G_GUINT64_FORMAT
                         " bytes, its sizes make %" G_GSIZE_FORMAT,
                         slot->name, bytes, slot->bytes);
    return TRUE;
}

/* All slots, each under a name of its own, together no more than @limit. */
static gboolean slots_unpack(GVariant *packed, guint64 limit, SlotHeader *slots, guint *n,
                             guint64 *bytes, GError **error)
{
    *n = (guint)MIN(g_variant_n_children(packed), G_MAXUINT);
    *bytes = 0;
    if (*n > LOOM_PACKET_MAX_SLOTS)
        return loom_fail(error, LOOM_ERROR_FORMAT, "a packet of %u slots, want at most %d", *n,
                         LOOM_PACKET_MAX_SLOTS);
    for (guint i = 0; i < *n; i++) {
        /* The texts stay where they are: in the header's bytes, which the parent holds. */
        g_autoptr(GVariant) one = g_variant_get_child_value(packed, i);

        if (!slot_unpack(one, &slots[i], error))
            return FALSE;
        for (guint j = 0; j < i; j++)
            if (g_str_equal(slots[i].name, slots[j].name))
                return loom_fail(error, LOOM_ERROR_FORMAT, "slot '%s' twice", slots[i].name);
        if (slots[i].bytes > limit || *bytes > limit - slots[i].bytes)
            return loom_fail(error, LOOM_ERROR_LIMIT,
                             "a packet of more than %" G_GUINT64_FORMAT " bytes", limit);
        *bytes += slots[i].bytes;
    }
    return TRUE;
}

static GVariant *header_open(GBytes *header, GError **error)
{
    g_autoptr(GVariant) packed = NULL;

    if (g_bytes_get_size(header) > LOOM_CODEC_MAX_HEADER)
        return loom_fail_null(error, LOOM_ERROR_LIMIT,
                              "a packet's header of %" G_GSIZE_FORMAT " bytes, want at most %u",
                              g_bytes_get_size(header), LOOM_CODEC_MAX_HEADER);
    packed = g_variant_ref_sink(g_variant_new_from_bytes(HEADER_TYPE, header, FALSE));
    if (!g_variant_is_normal_form(packed))
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "%" G_GSIZE_FORMAT " bytes that are not the header of a packet",
                              g_bytes_get_size(header));
    return loom_little_endian(g_steal_pointer(&packed));
}

/* Child @i of the header, where it is there, into @geometry; @found: (out). */
static gboolean grid_unpack(GVariant *packed, gsize i, LoomGeometry *geometry, gboolean *found,
                            GError **error)
{
    g_autoptr(GVariant) maybe = g_variant_get_child_value(packed, i);
    g_autoptr(GVariant) grid = g_variant_get_maybe(maybe);

    *found = grid != NULL;
    return !grid || geometry_unpack(grid, geometry, error);
}

/* The grid of the file comes second, and only beside another one. */
static gboolean grids_unpack(GVariant *packed, LoomPacket *packet, GError **error)
{
    LoomGeometry current = {0}, native = {0};
    gboolean placed, moved;

    if (!grid_unpack(packed, 2, &current, &placed, error)
        || !grid_unpack(packed, 3, &native, &moved, error))
        return FALSE;
    if (moved && !placed)
        return loom_fail(error, LOOM_ERROR_FORMAT, "the grid of a file without one of voxels");
    if (placed)
        loom_packet_set_geometry(packet, moved ? &native : &current);
    if (moved)
        loom_packet_regrid(packet, &current);
    return TRUE;
}

/* The id and the grids go into a new packet. */
static LoomPacket *packet_begin(GVariant *packed, GError **error)
{
    g_autoptr(LoomPacket) packet = loom_packet_new();
    g_autoptr(GVariant) ay = g_variant_get_child_value(packed, 1);
    gint64 index;
    gsize length;
    const char *bytes = g_variant_get_fixed_array(ay, &length, 1);

    g_variant_get_child(packed, 0, "x", &index);
    if (index < 0 || length > LOOM_CODEC_MAX_ID || (length && memchr(bytes, 0, length)))
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "packet number %" G_GINT64_FORMAT
                              " with an id of %" G_GSIZE_FORMAT
                              " bytes, want a number from 0 and text",
                              index, length);
    g_autofree char *id = g_strndup(length ? bytes : "", length);
    loom_packet_set_index(packet, index);
    loom_packet_set_id(packet, id);
    if (!grids_unpack(packed, packet, error))
        return NULL;
    return g_steal_pointer(&packet);
}

gboolean loom_packet_header_check(GBytes *header, guint64 limit, guint64 *bytes, guint *slices,
                                  GError **error)
{
    SlotHeader slots[LOOM_PACKET_MAX_SLOTS];
    g_autoptr(GVariant) packed = header_open(header, error);
    g_autoptr(GVariant) all = NULL;
    g_autoptr(LoomPacket) packet = NULL;
    guint n;

    if (!packed || !(packet = packet_begin(packed, error)))
        return FALSE;
    all = g_variant_get_child_value(packed, 4);
    if (!slots_unpack(all, limit, slots, &n, bytes, error))
        return FALSE;
    *slices = 0;
    for (guint i = 0; i < n; i++)
        *slices +=
            (guint)((slots[i].bytes + LOOM_MESSAGE_MAX_BYTES - 1) / LOOM_MESSAGE_MAX_BYTES);
    return TRUE;
}

static void slice_release(gpointer slice)
{
    g_bytes_unref(slice);
}

/* The slices from *@at on that make this slot. */
static LoomTensor *slot_tensor(const SlotHeader *slot, GPtrArray *body, guint *at,
                               GError **error)
{
    GBytes *first = *at < body->len ? body->pdata[*at] : NULL;
    gsize length = 0, filled = 0;
    const void *memory = first ? g_bytes_get_data(first, &length) : NULL;
    LoomTensor *tensor;

    if (length == slot->bytes && (guintptr)memory % loom_dtype_bytes(slot->dtype) == 0) {
        (*at)++;
        return loom_tensor_new_over(slot->dtype, slot->axes, slot->shape, memory, slice_release,
                                    g_bytes_ref(first), error);
    }
    if (!(tensor = loom_tensor_new(slot->dtype, slot->axes, slot->shape, error)))
        return NULL;
    guint8 *into = loom_tensor_memory_mut(tensor);
    for (; filled < slot->bytes && *at < body->len; (*at)++, filled += length) {
        memory = g_bytes_get_data(body->pdata[*at], &length);
        if (length > slot->bytes - filled)
            break;
        memcpy(into + filled, memory, length);
    }
    if (filled == slot->bytes)
        return tensor;
    loom_tensor_unref(tensor);
    return loom_fail_null(error, LOOM_ERROR_FORMAT,
                          "'%s' of %" G_GSIZE_FORMAT " bytes does not lie in the slices",
                          slot->name, slot->bytes);
}

LoomPacket *loom_packet_decode(GBytes *header, GPtrArray *body, guint64 limit, GError **error)
{
    SlotHeader slots[LOOM_PACKET_MAX_SLOTS];
    g_autoptr(GVariant) packed = header_open(header, error);
    g_autoptr(GVariant) all = NULL;
    g_autoptr(LoomPacket) packet = NULL;
    guint64 bytes, found = 0;
    guint n, at = 0;

    if (!packed || !(packet = packet_begin(packed, error)))
        return NULL;
    all = g_variant_get_child_value(packed, 4);
    if (!slots_unpack(all, limit, slots, &n, &bytes, error))
        return NULL;
    for (guint i = 0; i < body->len; i++)
        found += g_bytes_get_size(body->pdata[i]);
    if (found != bytes)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "%" G_GUINT64_FORMAT " bytes of tensors, the header promised "
                              "%" G_GUINT64_FORMAT,
                              found, bytes);
    for (guint i = 0; i < n; i++) {
        LoomTensor *tensor = slot_tensor(&slots[i], body, &at, error);

        if (!tensor)
            return NULL;
        loom_packet_set(packet, slots[i].name, tensor);
    }
    return g_steal_pointer(&packet);
}
