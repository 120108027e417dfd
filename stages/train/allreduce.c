/* allreduce - the mean of the gradients of all ranks, and their vote on the step:
 *   g = (g_0 + g_1 + ... + g_(n-1)) / n, added in the order that the collective fixes
 * The gradients travel in buckets that start while the backward pass still runs, the last
 * layers first.  After the sums every rank says whether its own gradient was finite, and of
 * which cases; the packet goes on, and the step is applied, only where all say yes, so on all
 * ranks or none.  With one rank there is nothing to do.
 * Source: Li et al. 2020, "PyTorch Distributed" (buckets); torchft (a vote a step). */
#include <loom/loom.h>

#include <math.h>
#include <string.h>

typedef struct {
    float *sum;    /* of the collective */
    gint64 count;  /* floats */
    guint weights; /* that belong to it */
    guint ready;   /* of them, in this step */
} Bucket;

typedef struct {
    guint bucket;
    gint64 at; /* in its bucket */
} Slice;

typedef struct {
    LoomInstance *model;
    guint64 bucket;

    const LoomInstance *collective; /* NULL: the run has one rank */
    Bucket *buckets;
    guint n_buckets, next; /* next to start: in order, the same on all ranks */
    Slice *slices;         /* one a weight of the model */
    guint ranks;           /* of this generation */
    double square;         /* of this rank's gradient, this step */
    GError *failure;       /* of a sum that was started from within backward */
    guint members;         /* ranks that the run was begun with */
} Allreduce;

static const LoomParam allreduce_params[] = {
    LOOM_MODEL_ID(Allreduce, model, "whose gradients to average"),
    LOOM_BYTES(Allreduce, bucket, "8MiB", 4096, 1e12, "of gradients that travel together"),
    {0},
};

static const LoomSlot allreduce_slots[] = {
    {"loss", LOOM_F64, "", LOOM_SLOT_OPTIONAL, "this rank's in, the mean of all out"},
    {0},
};

static const LoomCollective *collective_of(const Allreduce *all)
{
    return (const LoomCollective *)all->collective->plugin;
}

static LoomWeight *weights_of(const Allreduce *all, guint *n)
{
    return ((const LoomModel *)all->model->plugin)->weights(all->model->self, n);
}

static const LoomInstance *device_of(const Allreduce *all, const LoomBackend **device)
{
    const LoomInstance *backend =
        ((const LoomModel *)all->model->plugin)->backend(all->model->self);

    *device = (const LoomBackend *)backend->plugin;
    return backend;
}

/* ---- buckets ------------------------------------------------------------------------ */

/* Weights in the order in which a backward pass ends with them, the last first. */
static void buckets_deal(Allreduce *all)
{
    guint n;
    const LoomWeight *weights = weights_of(all, &n);
    const gint64 most = (gint64)(all->bucket / sizeof(float));

    all->slices = g_new0(Slice, n);
    all->buckets = g_new0(Bucket, MAX(n, 1));
    for (guint i = n; i-- > 0;) {
        Bucket *bucket = &all->buckets[all->n_buckets];

        if (bucket->weights && bucket->count + weights[i].count > most) {
            all->n_buckets++;
            bucket++;
        }
        all->slices[i] = (Slice){all->n_buckets, bucket->count};
        bucket->count += weights[i].count;
        bucket->weights++;
    }
    all->n_buckets += all->buckets[all->n_buckets].weights > 0;
}

static gboolean bucket_start(Allreduce *all, GError **error)
{
    Bucket *bucket = &all->buckets[all->next++];

    return collective_of(all)->sum_start(all->collective->self, bucket->sum, bucket->count,
                                         error);
}

/* A weight's gradient is complete: into its bucket, and off with every bucket that is full. */
static void gradient_take(guint weight, gpointer data)
{
    Allreduce *all = data;
    const LoomBackend *device;
    const LoomInstance *backend = device_of(all, &device);
    const Slice *slice = &all->slices[weight];
    Bucket *bucket = &all->buckets[slice->bucket];
    guint n;
    const LoomWeight *one = &weights_of(all, &n)[weight];

    if (all->ranks <= 1 || all->failure)
        return;
    device->array_read(backend->self, one->grad, bucket->sum + slice->at);
    all->square += device->array_norm2(backend->self, one->grad);
    bucket->ready++;
    while (all->next < all->n_buckets && !all->failure
           && all->buckets[all->next].ready == all->buckets[all->next].weights)
        bucket_start(all, &all->failure);
}

static void step_begin(Allreduce *all)
{
    all->next = 0;
    all->square = 0;
    g_clear_error(&all->failure);
    for (guint b = 0; b < all->n_buckets; b++)
        all->buckets[b].ready = 0;
}

static void means_store(const Allreduce *all)
{
    const LoomBackend *device;
    const LoomInstance *backend = device_of(all, &device);
    const float share = 1.0f / (float)all->ranks;
    guint n;
    LoomWeight *weights = weights_of(all, &n);

    for (guint b = 0; b < all->n_buckets; b++)
        for (gint64 i = 0; i < all->buckets[b].count; i++)
            all->buckets[b].sum[i] *= share;
    for (guint i = 0; i < n; i++)
        device->array_write(backend->self, weights[i].grad,
                            all->buckets[all->slices[i].bucket].sum + all->slices[i].at);
}

/* ---- the vote ----------------------------------------------------------------------- */

#define VOTE_TYPE "(bbds)" /* finite, wants to halt, loss, cases */

static GBytes *vote_make(const Allreduce *all, const LoomPacket *packet, const LoomContext *ctx)
{
    const LoomTensor *loss = loom_packet_get(packet, "loss");
    g_autoptr(GVariant) vote = g_variant_ref_sink(
        g_variant_new(VOTE_TYPE, isfinite(all->square), loom_context_wants_halt(ctx),
                      loss ? loom_tensor_scalar(loss) : NAN, loom_packet_id(packet)));

    return g_variant_get_data_as_bytes(vote);
}

/* OK: all ranks may apply the step. */
static LoomFlow votes_count(const Allreduce *all, const GPtrArray *votes, LoomPacket *packet,
                            LoomContext *ctx, GError **error)
{
    gboolean halts = FALSE;
    double sum = 0;

    for (guint r = 0; r < votes->len; r++) {
        g_autoptr(GVariant) vote = g_variant_ref_sink(
            g_variant_new_from_bytes(G_VARIANT_TYPE(VOTE_TYPE), votes->pdata[r], FALSE));
        gboolean finite, halt;
        double loss;
        const char *cases;

        g_variant_get(vote, "(bbd&s)", &finite, &halt, &loss, &cases);
        if (!finite)
            return (LoomFlow)loom_fail(
                error, LOOM_ERROR_NUMERIC,
                "rank %u: the gradient of '%s' is not finite: step %" G_GINT64_FORMAT
                " was applied on no rank",
                r, cases, loom_context_step(ctx) + 1);
        halts = halts || halt;
        sum += loss;
    }
    if (halts)
        loom_context_halt(ctx);
    if (loom_packet_get(packet, "loss"))
        loom_packet_set(packet, "loss", loom_tensor_new_scalar(sum / all->ranks));
    return LOOM_FLOW_OK;
}

/* Buckets that backward did not start: a model that cannot tell when a gradient is complete. */
static gboolean rest_start(Allreduce *all, GError **error)
{
    guint n;

    weights_of(all, &n);
    if (!all->next && !((const LoomModel *)all->model->plugin)->watch)
        for (guint i = n; i-- > 0;)
            gradient_take(i, all);
    if (all->failure) {
        g_propagate_error(error, g_steal_pointer(&all->failure));
        return FALSE;
    }
    return all->next == all->n_buckets
           || loom_fail(error, LOOM_ERROR_PLUGIN,
                        "the model told of %u buckets of gradients, want %u", all->next,
                        all->n_buckets);
}

/* Sums and votes.  A collective that fails is a rank that was lost: STOP. */
static LoomFlow exchange(Allreduce *all, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    g_autoptr(GPtrArray) votes = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GBytes) vote = vote_make(all, packet, ctx);
    GError *cause = NULL;
    LoomFlow flow = rest_start(all, &cause) ? LOOM_FLOW_OK : LOOM_FLOW_FAIL;

    loom_context_wait(ctx, TRUE);
    if (flow == LOOM_FLOW_OK)
        flow = collective_of(all)->sum_wait(all->collective->self, &cause);
    loom_context_wait(ctx, FALSE);
    if (flow == LOOM_FLOW_FAIL && !g_error_matches(cause, LOOM_ERROR, LOOM_ERROR_PLUGIN))
        return loom_context_lost(ctx, cause, error);
    if (flow == LOOM_FLOW_FAIL)
        g_propagate_error(error, cause);
    if (flow == LOOM_FLOW_OK)
        flow = loom_context_gather(ctx, vote, votes, error);
    return flow == LOOM_FLOW_OK ? votes_count(all, votes, packet, ctx, error) : flow;
}

static LoomFlow allreduce_process(gpointer self, LoomPacket *packet, LoomContext *ctx,
                                  GError **error)
{
    Allreduce *all = self;
    g_autoptr(LoomPacket) mine = packet;

    if (all->ranks > 1) {
        const LoomFlow flow = exchange(all, packet, ctx, error);

        if (flow == LOOM_FLOW_OK)
            means_store(all);
        step_begin(all);
        if (flow != LOOM_FLOW_OK)
            return flow;
    }
    return loom_context_push(ctx, g_steal_pointer(&mine), error);
}

/* ---- open, start, close ------------------------------------------------------------- */

static gboolean allreduce_open(gpointer self, LoomHost *host, GError **error)
{
    Allreduce *all = self;
    const LoomModel *model = (const LoomModel *)all->model->plugin;

    all->collective = loom_host_collective(host);
    all->members = loom_host_ranks(host);
    if (!all->collective)
        return TRUE;
    buckets_deal(all);
    for (guint b = 0; b < all->n_buckets; b++) {
        Bucket *bucket = &all->buckets[b];

        bucket->sum =
            collective_of(all)->buffer_new(all->collective->self, bucket->count, error);
        if (!bucket->sum)
            return FALSE;
    }
    if (model->watch)
        model->watch(all->model->self, gradient_take, all);
    return TRUE;
}

static gboolean allreduce_start(gpointer self, LoomContext *ctx, G_GNUC_UNUSED GError **error)
{
    Allreduce *all = self;

    all->ranks = all->collective ? loom_context_ranks(ctx) : 1;
    step_begin(all);
    return TRUE;
}

static void allreduce_close(gpointer self)
{
    Allreduce *all = self;

    for (guint b = 0; b < all->n_buckets; b++)
        if (all->buckets[b].sum)
            collective_of(all)->buffer_free(all->collective->self, all->buckets[b].sum);
    g_free(all->buckets);
    g_free(all->slices);
    g_clear_error(&all->failure);
}

static gboolean allreduce_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    const Allreduce *all = self;

    for (guint b = 0; b < all->n_buckets; b++)
        plan->bytes += sizeof(float) * (guint64)all->buckets[b].count;
    return TRUE;
}

static void allreduce_ratio(G_GNUC_UNUSED gpointer self, gint64 *in, gint64 *out)
{
    *in = *out = 1;
}

/* Sums of this rank, and of others of this host, which it reads where they lie. */
static gboolean allreduce_need(gpointer self, G_GNUC_UNUSED LoomPacket *sketch, LoomNeed *need,
                               G_GNUC_UNUSED GError **error)
{
    const Allreduce *all = self;

    for (guint b = 0; b < all->n_buckets; b++)
        need->kept += all->members * sizeof(float) * (guint64)all->buckets[b].count;
    return TRUE;
}

static const LoomStage allreduce = {
    .base = LOOM_STAGE(Allreduce, "allreduce", "Mean of the gradients of all ranks, and a vote",
                       .params = allreduce_params, .open = allreduce_open,
                       .close = allreduce_close),
    .reads = allreduce_slots,
    .flags = LOOM_STAGE_SYNC,
    .process = allreduce_process,
    .start = allreduce_start,
    .ratio = allreduce_ratio,
    .plan = allreduce_plan,
    .need = allreduce_need,
};
LOOM_MODULE("stage_allreduce", "0.1", &allreduce.base);
