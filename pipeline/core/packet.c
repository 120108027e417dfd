/* packet - a small table of slots, forked by shallow copy: fan-out costs a refcount. */
#include "packet.h"

#include "intern.h"

#include <loom/tensor.h>

#include <string.h>

typedef struct {
    const char *name; /* interned */
    LoomTensor *tensor;
    gpointer data, owner;
    LoomPacketFree free_func;
} Slot;

struct _LoomPacket {
    Slot slots[LOOM_PACKET_MAX_SLOTS];
    guint n_slots;
    gint64 index;
    char *id, *key;
    gconstpointer past;
    LoomGeometry *geometry; /* NULL: none */
    LoomGeometry *native;   /* NULL: the same */
};

LoomPacket *loom_packet_new(void)
{
    return g_new0(LoomPacket, 1);
}

static void slot_clear(Slot *slot)
{
    g_clear_pointer(&slot->tensor, loom_tensor_unref);
    if (slot->data)
        slot->free_func(slot->owner, slot->data);
    slot->data = NULL;
}

void loom_packet_free(LoomPacket *packet)
{
    if (!packet)
        return;
    for (guint i = 0; i < packet->n_slots; i++)
        slot_clear(&packet->slots[i]);
    g_free(packet->id);
    g_free(packet->key);
    g_free(packet->geometry);
    g_free(packet->native);
    g_free(packet);
}

LoomPacket *loom_packet_fork(const LoomPacket *packet)
{
    LoomPacket *fork = loom_packet_new();

    for (guint i = 0; i < packet->n_slots; i++)
        if (packet->slots[i].tensor)
            loom_packet_set(fork, packet->slots[i].name,
                            loom_tensor_ref(packet->slots[i].tensor));
    fork->index = packet->index;
    fork->id = g_strdup(packet->id);
    fork->key = g_strdup(packet->key);
    fork->past = packet->past;
    fork->geometry = g_memdup2(packet->geometry, sizeof *packet->geometry);
    fork->native = g_memdup2(packet->native, sizeof *packet->native);
    return fork;
}

/* Position of a slot; n_slots where there is none. */
static guint slot_find(const LoomPacket *packet, const char *name)
{
    guint i = 0;

    while (i < packet->n_slots && !g_str_equal(packet->slots[i].name, name))
        i++;
    return i;
}

/* Clears the slots that say something about @name: it changes. */
static void described_clear(LoomPacket *packet, const char *name)
{
    const gsize length = strlen(name);

    for (guint i = 0; i < packet->n_slots; i++)
        if (strncmp(packet->slots[i].name, name, length) == 0
            && packet->slots[i].name[length] == '.')
            slot_clear(&packet->slots[i]);
}

/* The slot, empty, made if need be. */
static Slot *slot_renew(LoomPacket *packet, const char *name)
{
    const guint at = slot_find(packet, name);

    if (at == packet->n_slots) {
        g_assert(packet->n_slots < LOOM_PACKET_MAX_SLOTS);
        packet->slots[packet->n_slots++].name = loom_intern(name);
    }
    slot_clear(&packet->slots[at]);
    described_clear(packet, name);
    return &packet->slots[at];
}

const char *loom_packet_slot(const LoomPacket *packet, guint i, const LoomTensor **tensor)
{
    if (i >= packet->n_slots)
        return NULL;
    *tensor = packet->slots[i].tensor;
    return packet->slots[i].name;
}

const LoomTensor *loom_packet_get(const LoomPacket *packet, const char *slot)
{
    const guint at = slot_find(packet, slot);

    return at < packet->n_slots ? packet->slots[at].tensor : NULL;
}

const LoomTensor *loom_packet_need(const LoomPacket *packet, const char *slot, GError **error)
{
    const LoomTensor *tensor = loom_packet_get(packet, slot);

    if (!tensor)
        loom_fail(error, LOOM_ERROR_SHAPE, "case '%s' has no '%s'", loom_packet_id(packet),
                  slot);
    return tensor;
}

LoomTensor *loom_packet_edit(LoomPacket *packet, const char *slot, GError **error)
{
    if (!loom_packet_need(packet, slot, error))
        return NULL;
    Slot *found = &packet->slots[slot_find(packet, slot)];
    if (loom_tensor_shared(found->tensor)) {
        LoomTensor *copy = loom_tensor_copy(found->tensor, error);

        if (!copy)
            return NULL;
        loom_tensor_unref(found->tensor);
        found->tensor = copy;
    }
    described_clear(packet, slot);
    return found->tensor;
}

void loom_packet_set(LoomPacket *packet, const char *slot, LoomTensor *tensor)
{
    slot_renew(packet, slot)->tensor = tensor;
}

void loom_packet_drop(LoomPacket *packet, const char *slot)
{
    const guint at = slot_find(packet, slot);

    if (at < packet->n_slots)
        slot_clear(&packet->slots[at]);
    described_clear(packet, slot);
}

void loom_packet_set_opaque(LoomPacket *packet, const char *slot, gpointer data, gpointer owner,
                            LoomPacketFree free_func)
{
    Slot *made = slot_renew(packet, slot);

    made->data = data;
    made->owner = owner;
    made->free_func = free_func;
}

gpointer loom_packet_take_opaque(LoomPacket *packet, const char *slot)
{
    const guint at = slot_find(packet, slot);

    return at < packet->n_slots ? g_steal_pointer(&packet->slots[at].data) : NULL;
}

const char *loom_packet_id(const LoomPacket *packet)
{
    return packet->id ? packet->id : "unnamed";
}

void loom_packet_set_id(LoomPacket *packet, const char *id)
{
    char *copy = g_strdup(id); /* @id may be the packet's own */

    g_free(packet->id);
    packet->id = copy;
}

const LoomGeometry *loom_packet_geometry(const LoomPacket *packet)
{
    return packet->geometry;
}

const LoomGeometry *loom_packet_native(const LoomPacket *packet)
{
    return packet->native ? packet->native : packet->geometry;
}

void loom_packet_set_geometry(LoomPacket *packet, const LoomGeometry *geometry)
{
    LoomGeometry *copy = g_memdup2(geometry, sizeof *geometry);

    g_free(packet->geometry);
    g_clear_pointer(&packet->native, g_free);
    packet->geometry = copy;
}

void loom_packet_regrid(LoomPacket *packet, const LoomGeometry *geometry)
{
    LoomGeometry *copy = g_memdup2(geometry, sizeof *geometry);

    g_assert(packet->geometry); /* a case that lies nowhere cannot be moved */
    if (packet->native)
        g_free(packet->geometry);
    else
        packet->native = packet->geometry;
    packet->geometry = copy;
}

const char *loom_packet_key(const LoomPacket *packet)
{
    return packet->key;
}

void loom_packet_set_key(LoomPacket *packet, const char *key)
{
    g_free(packet->key);
    packet->key = g_strdup(key);
}

void loom_packet_set_past(LoomPacket *packet, gconstpointer hop)
{
    packet->past = hop;
}

gconstpointer loom_packet_past(const LoomPacket *packet)
{
    return packet->past;
}

gint64 loom_packet_index(const LoomPacket *packet)
{
    return packet->index;
}

void loom_packet_set_index(LoomPacket *packet, gint64 index)
{
    packet->index = index;
}
