/* mpi - sums, gathers and broadcasts by MPI: for a cluster whose fast network only MPI speaks.
 *
 * What MPI cannot do, and this does not pretend:
 *
 *   - survive a lost rank, or take one in: a generation of other processes is refused.
 *   - take back what it began: `abort` releases the callers; what was under way stays with MPI,
 *     and if it does not end within seconds, MPI is not finalised: mpirun then ends all ranks.
 *   - say for which rank it waits.
 *   - keep a secret: between hosts it neither encrypts nor checks who sends. */
#include "mpi_thread.h"

#include <loom/host.h>
#include <loom/loom.h>
#include <loom/network.h>

#include <stdlib.h>
#include <string.h>

#define SPARE_FROM 4 /* ranks: see mpi_move_values */

typedef struct {
    gboolean clear_text;
    MpiThread *thread;
    guint size;
} Mpi;

/* In front of each buffer. */
typedef union {
    struct {
        float *spare; /* as many values again; NULL until a sum needs them */
        gint64 count;
    };
    float aligned[16];
} Head;

static const LoomParam mpi_params[] = {
    LOOM_BOOL(Mpi, clear_text, "false",
              "true: gradients may leave the host as MPI sends them, neither encrypted nor "
              "authenticated, although the run has keys"),
    {0},
};

static gboolean mpi_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    Mpi *mpi = self;

    mpi->thread = mpi_thread_new(error);
    return mpi->thread != NULL;
}

static void mpi_close(gpointer self)
{
    Mpi *mpi = self;

    g_clear_pointer(&mpi->thread, mpi_thread_close);
}

static const char *mpi_address(G_GNUC_UNUSED gpointer self)
{
    return "";
}

static gboolean mpi_join(gpointer self, const LoomGroup *group, GError **error)
{
    Mpi *mpi = self;

    for (guint r = 0; r < group->size && !mpi->clear_text; r++)
        if (group->keys[r] && strcmp(group->hosts[r], group->hosts[group->rank]) != 0)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "this run has keys, but MPI sends clear text to the host of rank "
                             "%u: write 'clear_text: true' where the network can be trusted, "
                             "else use 'direct' or 'ring'",
                             r);
    mpi->size = group->size;
    return mpi_thread_join(mpi->thread, group->rank, group->size, error);
}

static void mpi_abort(gpointer self)
{
    mpi_thread_abort(((Mpi *)self)->thread);
}

static float *mpi_buffer_new(G_GNUC_UNUSED gpointer self, gint64 count, GError **error)
{
    Head *head = (Head *)loom_host_floats((gint64)G_N_ELEMENTS(((Head *)0)->aligned) + count,
                                          "gradients", error);

    if (!head)
        return NULL;
    head->count = count;
    return (float *)(head + 1);
}

/* Memory that MPI may still write to, after an abort, is never given back. */
static void mpi_buffer_free(gpointer self, float *buffer)
{
    Head *head;

    if (!buffer || mpi_thread_holds(((Mpi *)self)->thread, buffer))
        return;
    head = (Head *)buffer - 1;
    free(head->spare);
    free(head);
}

static gboolean mpi_sum_start(gpointer self, float *buffer, gint64 count, GError **error)
{
    Mpi *mpi = self;
    Head *head = (Head *)buffer - 1;
    g_autoptr(MpiCall) call = mpi_call_new(MPI_CALL_SUM, count, 0, error);

    if (!call)
        return FALSE;
    if (mpi->size >= SPARE_FROM && !head->spare) {
        head->spare = loom_host_floats(head->count, "a copy of gradients", error);
        if (!head->spare)
            return FALSE;
    }
    call->values = buffer;
    call->send = head->spare;
    mpi_thread_start(mpi->thread, call);
    return TRUE;
}

static LoomFlow mpi_sum_wait(gpointer self, GError **error)
{
    return mpi_thread_wait(((Mpi *)self)->thread, NULL, error);
}

static LoomFlow mpi_gather(gpointer self, GBytes *mine, GPtrArray *all, GError **error)
{
    Mpi *mpi = self;
    gsize size;
    const void *bytes = g_bytes_get_data(mine, &size);
    g_autoptr(MpiCall) call = NULL;
    LoomFlow flow;

    if (size > MPI_GATHER_MAX)
        return (LoomFlow)loom_fail(error, LOOM_ERROR_LIMIT,
                                   "%" G_GSIZE_FORMAT
                                   " bytes are too many to gather, at most %u",
                                   size, MPI_GATHER_MAX);
    call = mpi_call_new(MPI_CALL_GATHER, (gint64)size, 0, error);
    if (!call)
        return LOOM_FLOW_FAIL;
    if (size > 0)
        memcpy(call->memory, bytes, size);
    mpi_thread_start(mpi->thread, call);
    flow = mpi_thread_wait(mpi->thread, call, error);
    if (flow == LOOM_FLOW_OK)
        mpi_call_gathered(call, all);
    return flow;
}

static LoomFlow mpi_broadcast(gpointer self, float *data, gint64 count, guint root,
                              GError **error)
{
    Mpi *mpi = self;
    g_autoptr(MpiCall) call = mpi_call_new(MPI_CALL_BROADCAST, count, root, error);
    LoomFlow flow;

    if (!call)
        return LOOM_FLOW_FAIL;
    if (count > 0)
        memcpy(call->values, data, (gsize)count * sizeof(float));
    mpi_thread_start(mpi->thread, call);
    flow = mpi_thread_wait(mpi->thread, call, error);
    if (flow == LOOM_FLOW_OK && count > 0)
        memcpy(data, call->values, (gsize)count * sizeof(float));
    return flow;
}

static char *mpi_waiting(gpointer self)
{
    return mpi_thread_waiting(((Mpi *)self)->thread);
}

static const LoomCollective mpi = {
    .base = LOOM_COLLECTIVE(Mpi, "mpi",
                            "MPI_Iallreduce and its kin, under mpirun or srun --mpi: fast "
                            "networks, but the run ends when a rank is lost",
                            .params = mpi_params, .open = mpi_open, .close = mpi_close),
    .address = mpi_address,
    .join = mpi_join,
    .abort = mpi_abort,
    .buffer_new = mpi_buffer_new,
    .buffer_free = mpi_buffer_free,
    .sum_start = mpi_sum_start,
    .sum_wait = mpi_sum_wait,
    .gather = mpi_gather,
    .broadcast = mpi_broadcast,
    .waiting = mpi_waiting,
};
LOOM_MODULE("collective_mpi", "0.1", &mpi.base);
