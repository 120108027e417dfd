/* toy_stages - see toy_stages.h. */
#include "toy_stages.h"

#include "core/lock.h"

#include <loom/loom.h>

#include <string.h>

GArray *toy_seen;
gint toy_finished, toy_flushed, toy_started;
static LoomLock toy_lock = PTHREAD_MUTEX_INITIALIZER; /* guards toy_seen: two lanes may tally */

static const LoomSlot toy_value[] = {
    {"value", LOOM_F32, "C", 0, "one number"},
    {0},
};

/* ---- count: packets 0, 1, 2, ... whose value is their number ------------------------ */

typedef struct {
    gint64 n, fail_at;
    gboolean lie;
    gboolean endless;
} Count;

static const LoomParam count_params[] = {
    LOOM_INT(Count, n, "0", 0, 1e9, "packets", "how many; 0: as long as the run asks"),
    LOOM_INT(Count, fail_at, "-1", -1, 1e9, NULL, "number of the packet that fails; -1: none"),
    LOOM_BOOL(Count, lie, "false", "fail without an error"),
    {0},
};

static LoomFlow count_produce(gpointer self, LoomPacket **packet, LoomContext *ctx,
                              GError **error)
{
    const Count *count = self;
    const gint64 index = loom_context_index(ctx);
    g_autofree char *id = g_strdup_printf("case_%" G_GINT64_FORMAT, index);

    if (count->n && index >= count->n)
        return LOOM_FLOW_STOP;
    if (index == count->fail_at && count->lie)
        return LOOM_FLOW_FAIL;
    if (index == count->fail_at)
        return (LoomFlow)loom_fail(error, LOOM_ERROR_IO, "the source is dry");
    LoomTensor *value = loom_tensor_new(LOOM_F32, "C", (const gint64[]){1}, error);
    if (!value)
        return LOOM_FLOW_FAIL;
    loom_tensor_f32_mut(value)[0] = (float)index;
    *packet = loom_packet_new();
    loom_packet_set(*packet, "value", value);
    loom_packet_set_id(*packet, id);
    return LOOM_FLOW_OK;
}

static const LoomStage count = {
    .base = LOOM_STAGE(Count, "toy_count", "Counts", .params = count_params),
    .writes = toy_value,
    .produce = count_produce,
};

/* ---- jitter: adds a random number, and takes a while that depends on the packet ----- */

typedef struct {
    gint64 fail_at;
} Jitter;

static const LoomParam jitter_params[] = {
    LOOM_INT(Jitter, fail_at, "-1", -1, 1e9, NULL, "number of the packet that fails; -1: none"),
    {0},
};

static gboolean jitter_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Jitter *jitter = self;
    LoomRng rng = loom_context_rng(ctx);
    LoomTensor *value = loom_packet_edit(packet, "value", error);

    if (!value)
        return FALSE;
    if (loom_context_index(ctx) == jitter->fail_at)
        return loom_fail(error, LOOM_ERROR_NUMERIC, "a number too many");
    loom_tensor_f32_mut(value)[0] += (float)loom_rng_uniform(&rng, 0, 0.5);
    g_usleep((gulong)loom_rng_below(&rng, 300));
    return TRUE;
}

static const LoomStage jitter = {
    .base = LOOM_STAGE(Jitter, "toy_jitter", "Adds noise", .params = jitter_params),
    .reads = toy_value,
    .writes = toy_value,
    .flags = LOOM_STAGE_PURE,
    .map = jitter_map,
};

/* ---- split: one becomes `parts`; join: `parts` become one, their sum ---------------- */

typedef struct {
    gint64 parts;
    double sum;
    gint64 n;
} Parts;

static const LoomParam parts_params[] = {
    LOOM_INT(Parts, parts, "2", 1, 100, "packets", "into, or of, how many"),
    {0},
};

static LoomFlow split_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                              GError **error)
{
    const Parts *split = self;
    LoomFlow flow = LOOM_FLOW_OK;

    for (gint64 i = 0; i < split->parts && flow == LOOM_FLOW_OK; i++) {
        g_autoptr(LoomPacket) part = loom_packet_fork(packet);
        LoomTensor *value = loom_packet_edit(part, "value", error);

        if (!value) {
            flow = LOOM_FLOW_FAIL;
            break;
        }
        loom_tensor_f32_mut(value)[0] += 0.001f * (float)i;
        flow = loom_context_push(ctx, g_steal_pointer(&part), error);
    }
    loom_packet_free(packet);
    return flow;
}

static void split_ratio(gpointer self, gint64 *in, gint64 *out)
{
    *in = 1;
    *out = ((const Parts *)self)->parts;
}

static const LoomStage split = {
    .base = LOOM_STAGE(Parts, "toy_split", "One becomes many", .params = parts_params),
    .reads = toy_value,
    .writes = toy_value,
    .flags = LOOM_STAGE_PURE,
    .process = split_process,
    .ratio = split_ratio,
};

static LoomFlow join_push(Parts *join, LoomContext *ctx, GError **error)
{
    LoomTensor *value = loom_tensor_new(LOOM_F32, "C", (const gint64[]){1}, error);
    LoomPacket *packet = loom_packet_new();

    if (!value)
        return LOOM_FLOW_FAIL;
    loom_tensor_f32_mut(value)[0] = (float)join->sum;
    loom_packet_set(packet, "value", value);
    join->sum = 0;
    join->n = 0;
    return loom_context_push(ctx, packet, error);
}

static LoomFlow join_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                             GError **error)
{
    Parts *join = self;

    join->sum += (double)loom_tensor_f32(loom_packet_get(packet, "value"))[0];
    loom_packet_free(packet);
    return ++join->n < join->parts ? LOOM_FLOW_OK : join_push(join, ctx, error);
}

static LoomFlow join_flush(gpointer self, LoomContext *ctx, GError **error)
{
    return ((Parts *)self)->n ? join_push(self, ctx, error) : LOOM_FLOW_OK;
}

static gboolean join_start(gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                           G_GNUC_UNUSED GError **error)
{
    ((Parts *)self)->sum = 0;
    ((Parts *)self)->n = 0;
    return TRUE;
}

static void join_ratio(gpointer self, gint64 *in, gint64 *out)
{
    *in = ((const Parts *)self)->parts;
    *out = 1;
}

static const LoomStage join = {
    .base = LOOM_STAGE(Parts, "toy_join", "Many become one", .params = parts_params),
    .reads = toy_value,
    .writes = toy_value,
    .process = join_process,
    .start = join_start,
    .flush = join_flush,
    .ratio = join_ratio,
};

/* ---- tally: remembers, counts the steps, may fail, lie or have enough --------------- */

typedef struct {
    gint64 fail_at, enough, resume_at;
    gboolean lie;
} Tally;

static const LoomParam tally_params[] = {
    LOOM_INT(Tally, fail_at, "-1", -1, 1e9, NULL, "number of the packet that fails; -1: none"),
    LOOM_INT(Tally, enough, "0", 0, 1e9, "packets", "says STOP after so many; 0: never"),
    LOOM_INT(Tally, resume_at, "-1", -1, 1e9, "steps", "says that it resumes here; -1: not"),
    LOOM_BOOL(Tally, lie, "false", "set an error but do not fail"),
    {0},
};

static void tally_see(const LoomPacket *packet, gint64 index)
{
    ToySeen seen = {index, (double)loom_tensor_f32(loom_packet_get(packet, "value"))[0], ""};

    g_strlcpy(seen.id, loom_packet_id(packet), sizeof seen.id);
    LOOM_LOCKED(&toy_lock);
    g_array_append_val(toy_seen, seen);
}

static gboolean tally_open(gpointer self, LoomHost *host, GError **error)
{
    const Tally *tally = self;

    return tally->resume_at < 0 || loom_host_resumed_at(host, tally->resume_at, error);
}

static gboolean tally_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Tally *tally = self;

    if (loom_context_index(ctx) == tally->fail_at)
        return loom_fail(error, LOOM_ERROR_NUMERIC, "a number too many");
    if (tally->lie)
        loom_fail(error, LOOM_ERROR_NUMERIC, "not meant");
    tally_see(packet, loom_context_index(ctx));
    return TRUE;
}

static LoomFlow sated_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                              G_GNUC_UNUSED GError **error)
{
    const Tally *tally = self;

    tally_see(packet, loom_context_index(ctx));
    loom_packet_free(packet);
    return tally->enough && loom_context_index(ctx) + 1 >= tally->enough ? LOOM_FLOW_STOP
                                                                         : LOOM_FLOW_OK;
}

static gboolean tally_start(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                            G_GNUC_UNUSED GError **error)
{
    g_atomic_int_inc(&toy_started);
    return TRUE;
}

static LoomFlow tally_flush(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                            G_GNUC_UNUSED GError **error)
{
    g_atomic_int_inc(&toy_flushed);
    return LOOM_FLOW_OK;
}

static gboolean tally_finish(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomContext *ctx,
                             G_GNUC_UNUSED GError **error)
{
    g_atomic_int_inc(&toy_finished);
    return TRUE;
}

static const LoomStage tally = {
    .base = LOOM_STAGE(Tally, "toy_tally", "Remembers and counts steps", .params = tally_params,
                       .open = tally_open),
    .reads = toy_value,
    .flags = LOOM_STAGE_STEP,
    .map = tally_map,
    .start = tally_start,
    .flush = tally_flush,
    .finish = tally_finish,
};

static const LoomStage sated = {
    .base =
        LOOM_STAGE(Tally, "toy_sated", "Remembers until it has enough", .params = tally_params),
    .reads = toy_value,
    .process = sated_process,
    .flush = tally_flush,
    .finish = tally_finish,
};

LoomRegistry *toy_registry(void)
{
    static const LoomPlugin *const plugins[] = {
        &count.base, &jitter.base, &split.base, &join.base, &tally.base, &sated.base, NULL};
    static const LoomModule module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR, "toys", "1", plugins};
    LoomRegistry *registry = loom_registry_new();
    g_autoptr(GError) error = NULL;

    g_clear_pointer(&toy_seen, g_array_unref);
    toy_seen = g_array_new(FALSE, FALSE, sizeof(ToySeen));
    toy_finished = toy_flushed = toy_started = 0;
    loom_registry_load_all(registry, NULL, &error);
    g_assert_no_error(error);
    loom_registry_add(registry, &module, "toys", &error);
    g_assert_no_error(error);
    return registry;
}
