/* stage_check - what every stage promises: tables that fit its calls; and a pure one with
 * `map`: the same packet gives the same bytes, in every copy of the stage, and what others hold
 * stays. */
#include "check.h"

#include "graph/state.h"

#include <loom/packet.h>
#include <loom/tensor.h>

#include <string.h>

static gboolean slots_check(const LoomSlot *slots, GError **error)
{
    for (const LoomSlot *slot = slots; slot && slot->name; slot++) {
        if (slot->dtype == LOOM_F64 && (!slot->axes || *slot->axes))
            return loom_fail(error, LOOM_ERROR_PLUGIN, "slot '%s' is f64, and no scalar",
                             slot->name);
        for (const LoomSlot *other = slots; other != slot; other++)
            if (g_str_equal(other->name, slot->name))
                return loom_fail(error, LOOM_ERROR_PLUGIN, "two slots are called '%s'",
                                 slot->name);
    }
    return TRUE;
}

static guint slots_count(const LoomSlot *slots)
{
    guint n = 0;

    while (slots && slots[n].name)
        n++;
    return n;
}

static gboolean check_slots(const LoomInstance *instance, GString *found, GError **error)
{
    const LoomStage *stage = (const LoomStage *)instance->plugin;

    if (stage->produce && stage->flags & LOOM_STAGE_PURE)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "a source is not pure: it has no packet");
    if (stage->produce && stage->reads)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "a source reads nothing");
    if (stage->ratio && !stage->process)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "only a stage with 'process' has a ratio");
    if (!slots_check(stage->reads, error) || !slots_check(stage->writes, error))
        return FALSE;
    g_string_append_printf(found, "%s; reads %u, writes %u",
                           stage->map       ? "map"
                           : stage->process ? "process"
                                            : "produce",
                           slots_count(stage->reads), slots_count(stage->writes));
    return TRUE;
}

/* ---- a pure map --------------------------------------------------------------------- */

/* Sizes by axis letter: all different, none a multiple of 8. */
static LoomTensor *slot_tensor(const LoomSlot *slot)
{
    static const char letters[] = "NCDHWK";
    static const gint64 sizes[] = {2, 3, 5, 6, 7, 4};
    const LoomDtype dtype = slot->dtype == LOOM_U8 ? LOOM_U8 : LOOM_F32;
    gint64 shape[LOOM_MAX_RANK];
    LoomRng rng = loom_rng(14, slot->name, 0);

    if (slot->dtype == LOOM_F64)
        return loom_tensor_new_scalar(0.5);
    for (guint i = 0; slot->axes[i]; i++)
        shape[i] = sizes[strchr(letters, slot->axes[i]) - letters];
    LoomTensor *tensor = loom_tensor_new(dtype, slot->axes, shape, NULL);
    g_assert_nonnull(tensor);
    for (gint64 i = 0; i < loom_tensor_count(tensor); i++)
        if (dtype == LOOM_U8)
            loom_tensor_u8_mut(tensor)[i] = (guint8)loom_rng_below(&rng, 3);
        else
            loom_tensor_f32_mut(tensor)[i] = (float)loom_rng_uniform(&rng, -1, 1);
    return tensor;
}

static LoomPacket *packet_for(const LoomStage *stage)
{
    LoomPacket *packet = loom_packet_new();

    for (const LoomSlot *slot = stage->reads; slot && slot->name; slot++)
        if (slot->axes)
            loom_packet_set(packet, slot->name, slot_tensor(slot));
    loom_packet_set_id(packet, "case");
    return packet;
}

static gboolean tensors_equal(const LoomTensor *a, const LoomTensor *b)
{
    if (!a || !b)
        return !a && !b;
    if (loom_tensor_dtype(a) != loom_tensor_dtype(b)
        || loom_tensor_bytes(a) != loom_tensor_bytes(b)
        || !g_str_equal(loom_tensor_axes(a), loom_tensor_axes(b)))
        return FALSE;
    if (loom_tensor_dtype(a) == LOOM_F64)
        return loom_tensor_scalar(a) == loom_tensor_scalar(b);
    const void *x =
        loom_tensor_dtype(a) == LOOM_U8 ? (const void *)loom_tensor_u8(a) : loom_tensor_f32(a);
    const void *y =
        loom_tensor_dtype(b) == LOOM_U8 ? (const void *)loom_tensor_u8(b) : loom_tensor_f32(b);
    return memcmp(x, y, loom_tensor_bytes(a)) == 0;
}

static gboolean packets_equal(const LoomSlot *slots, const LoomPacket *a, const LoomPacket *b,
                              const char *fault, GError **error)
{
    for (const LoomSlot *slot = slots; slot && slot->name; slot++)
        if (!tensors_equal(loom_packet_get(a, slot->name), loom_packet_get(b, slot->name)))
            return loom_fail(error, LOOM_ERROR_PLUGIN, "slot '%s' %s", slot->name, fault);
    return TRUE;
}

/* One call, as packet number @index of a stage 'it' in a graph 'test' with seed 1. */
static gboolean call_map(const LoomInstance *instance, LoomPacket *packet, gint64 index,
                         GError **error)
{
    const LoomStage *stage = (const LoomStage *)instance->plugin;
    LoomGraph graph = {.id = "test"};
    LoomHop hop = {.graph = &graph, .id = "it", .stage = stage};
    LoomRun run = {.seed = 1, .pool = loom_pool_new(2), .resumed_at = -1};
    LoomContext ctx = {.run = &run, .hop = &hop, .index = index};
    g_autoptr(GError) cause = NULL;
    const gboolean done = stage->map(instance->self, packet, &ctx, &cause);
    const gboolean honest = loom_instance_honest(instance, !done, "map", &cause);

    loom_pool_free(run.pool);
    if (done && honest)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&cause));
    return FALSE;
}

static gboolean check_pure(const LoomInstance *instance, GString *found, GError **error)
{
    const LoomStage *stage = (const LoomStage *)instance->plugin;
    const gint64 packets = 8; /* so that what happens by chance does */

    if (!(stage->flags & LOOM_STAGE_PURE) || !stage->map) {
        g_string_append(found, stage->flags & LOOM_STAGE_PURE
                                   ? "not tried: packets of 'process' need a graph around it"
                                   : "not claimed: the stage has no LOOM_STAGE_PURE");
        return TRUE;
    }
    for (gint64 i = 0; i < packets; i++) {
        g_autoptr(LoomPacket) held = packet_for(stage), untouched = packet_for(stage);
        g_autoptr(LoomPacket) first = loom_packet_fork(held), again = packet_for(stage);
        g_autoptr(LoomPacket) between = packet_for(stage);

        if (!call_map(instance, first, i, error)
            || !call_map(instance, between, i + packets, error)
            || !call_map(instance, again, i, error)
            || !packets_equal(stage->reads, held, untouched,
                              "was changed for others who hold it: use loom_packet_edit", error)
            || !packets_equal(stage->writes, first, again,
                              "is another one when the same packet comes again", error))
            return FALSE;
    }
    g_string_append_printf(found, "%d packets twice: same bytes; what others hold stays",
                           (int)packets);
    return TRUE;
}

const LoomCheck *loom_stage_checks(void)
{
    static const LoomCheck checks[] = {
        {"slots", check_slots, TRUE}, {"pure", check_pure, FALSE}, {0}};

    return checks;
}
