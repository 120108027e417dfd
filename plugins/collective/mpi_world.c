/* mpi_world - what MPI is asked for: to begin, to compare and move the bytes of calls, to end.
 *
 * First, ranks compare tickets of what they call, on a communicator of its own: one that does
 * something else is named, where bare MPI would hang or add garbage.  Then the bytes move, on a
 * second one; there, too, all ranks begin in the order of the calls, as MPI wants it.
 *
 * Order of the sums: MPI-3.1, 5.9.1 recommends, strongly, the same result for the same values
 * in the same places.  Open MPI keeps to it: its MPI_Iallreduce (coll/libnbc, nbc_iallreduce.c)
 * chooses the tree by nothing but the number of ranks and of values, and no round of it adds
 * before the one below is complete. */
#include "mpi_world.h"

#include <loom/host.h>

#include <mpi.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHUNK (1 << 24) /* values of one MPI call, whose counts are int: 64 MiB */
#define BLOCK 64        /* bytes: gathers count blocks, to reach beyond 2 GiB in all */

struct _MpiMoves {
    enum { NEW, COMPARED, MOVING } phase;
    guint n_ranks, n;
    MPI_Request comparing, *moving; /* one; n of them */
    MpiTicket *tickets;             /* of all ranks */
    int *counts, *places;           /* gather: of all ranks, in blocks */
    guint8 *gathered;               /* for free() */
};

struct _MpiWorld {
    guint rank, size;
    gboolean began, ours; /* MPI; and nobody else began it */
    gboolean broken;
    guint idle; /* pauses since something happened */
    MPI_Comm compare, move;
    MPI_Datatype block;
};

/* ---- calls -------------------------------------------------------------------------- */

static gint64 mpi_blocks(guint64 bytes)
{
    return (gint64)((bytes + BLOCK - 1) / BLOCK);
}

MpiCall *mpi_call_new(MpiCallKind kind, gint64 count, guint root, GError **error)
{
    g_autoptr(MpiCall) call = g_new0(MpiCall, 1);

    call->holders = 1;
    call->ticket = (MpiTicket){.kind = kind, .count = (guint64)count, .root = root};
    call->moves = g_new0(struct _MpiMoves, 1);
    if (kind == MPI_CALL_BROADCAST)
        call->memory = call->values = loom_host_floats(count, "a broadcast", error);
    else if (kind == MPI_CALL_GATHER)
        call->memory =
            loom_host_floats(mpi_blocks((guint64)count) * BLOCK / 4, "a gather", error);
    return kind == MPI_CALL_SUM || call->memory ? g_steal_pointer(&call) : NULL;
}

MpiCall *mpi_call_ref(MpiCall *call)
{
    g_atomic_int_inc(&call->holders);
    return call;
}

void mpi_call_unref(MpiCall *call)
{
    if (!g_atomic_int_dec_and_test(&call->holders))
        return;
    g_free(call->moves->moving);
    g_free(call->moves->tickets);
    g_free(call->moves->counts);
    g_free(call->moves->places);
    free(call->moves->gathered);
    g_free(call->moves);
    free(call->memory);
    g_free(call);
}

static char *mpi_ticket_text(const MpiTicket *ticket)
{
    static const char *const name[] = {"nothing", "sum", "gather", "broadcast"};

    if (ticket->kind == 0 || ticket->kind >= G_N_ELEMENTS(name))
        return g_strdup("unknown call");
    if (ticket->kind == MPI_CALL_BROADCAST)
        return g_strdup_printf("broadcast of %" G_GUINT64_FORMAT
                               " values from rank %" G_GUINT64_FORMAT
                               " as call %" G_GUINT64_FORMAT,
                               ticket->count, ticket->root, ticket->number);
    return g_strdup_printf(
        "%s of %" G_GUINT64_FORMAT " %s as call %" G_GUINT64_FORMAT, name[ticket->kind],
        ticket->count, ticket->kind == MPI_CALL_GATHER ? "bytes" : "values", ticket->number);
}

char *mpi_call_text(const MpiCall *call)
{
    return mpi_ticket_text(&call->ticket);
}

void mpi_call_gathered(const MpiCall *call, GPtrArray *all)
{
    const struct _MpiMoves *moves = call->moves;

    for (guint r = 0; r < moves->n_ranks; r++)
        g_ptr_array_add(all, g_bytes_new(moves->gathered + (gint64)moves->places[r] * BLOCK,
                                         moves->tickets[r].count));
}

/* ---- compare, then move ------------------------------------------------------------- */

static gboolean mpi_check(int code, const char *what, GError **error)
{
    char text[MPI_MAX_ERROR_STRING] = "no text";
    int length;

    if (code == MPI_SUCCESS)
        return TRUE;
    MPI_Error_string(code, text, &length);
    return loom_fail(error, LOOM_ERROR_IO, "%s failed: %s", what, text);
}

static gboolean mpi_compare_start(MpiWorld *world, MpiCall *call, GError **error)
{
    const int n = sizeof(MpiTicket) / sizeof(guint64);
    struct _MpiMoves *moves = call->moves;

    moves->n_ranks = world->size;
    moves->tickets = g_new0(MpiTicket, world->size);
    return mpi_check(MPI_Iallgather(&call->ticket, n, MPI_UINT64_T, moves->tickets, n,
                                    MPI_UINT64_T, world->compare, &moves->comparing),
                     "MPI_Iallgather", error);
}

/* Only lengths of gathers may differ. */
static gboolean mpi_compare_end(const MpiWorld *world, const MpiCall *call, GError **error)
{
    const MpiTicket *mine = &call->ticket;

    for (guint r = 0; r < world->size; r++) {
        const MpiTicket *theirs = &call->moves->tickets[r];
        const gboolean fits = mine->kind == MPI_CALL_GATHER ? theirs->count <= MPI_GATHER_MAX
                                                            : theirs->count == mine->count;
        g_autofree char *they = NULL, *we = NULL;

        if (fits && theirs->kind == mine->kind && theirs->number == mine->number
            && theirs->root == mine->root)
            continue;
        they = mpi_ticket_text(theirs);
        we = mpi_ticket_text(mine);
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "rank %u has a %s, rank %u a %s: all ranks have to call the same in "
                         "the same order",
                         r, they, world->rank, we);
    }
    return TRUE;
}

/* The chunks of a sum or of a broadcast.  Open MPI's MPI_Iallreduce sends whole sums up and
 * down a tree when it works in place; with a second buffer, from 4 ranks on, it sends parts. */
static gboolean mpi_move_values(MpiWorld *world, MpiCall *call, GError **error)
{
    const gboolean sum = call->ticket.kind == MPI_CALL_SUM;
    const gint64 count = (gint64)call->ticket.count;
    struct _MpiMoves *moves = call->moves;

    if (call->send)
        memcpy(call->send, call->values, (gsize)count * sizeof(float));
    moves->n = (guint)((count + CHUNK - 1) / CHUNK);
    moves->moving = g_new(MPI_Request, moves->n);
    for (guint i = 0; i < moves->n; i++)
        moves->moving[i] = MPI_REQUEST_NULL;
    for (guint i = 0; i < moves->n; i++) {
        const gint64 at = (gint64)i * CHUNK;
        const int n = (int)MIN(count - at, CHUNK);
        int code;

        if (sum)
            code =
                MPI_Iallreduce(call->send ? call->send + at : MPI_IN_PLACE, call->values + at,
                               n, MPI_FLOAT, MPI_SUM, world->move, &moves->moving[i]);
        else
            code = MPI_Ibcast(call->values + at, n, MPI_FLOAT, (int)call->ticket.root,
                              world->move, &moves->moving[i]);
        if (!mpi_check(code, sum ? "MPI_Iallreduce" : "MPI_Ibcast", error))
            return FALSE;
    }
    return TRUE;
}

static gboolean mpi_move_bytes(MpiWorld *world, MpiCall *call, GError **error)
{
    struct _MpiMoves *moves = call->moves;
    gint64 blocks = 0;

    moves->counts = g_new(int, world->size);
    moves->places = g_new(int, world->size);
    for (guint r = 0; r < world->size; r++) {
        moves->counts[r] = (int)mpi_blocks(moves->tickets[r].count);
        moves->places[r] = (int)blocks;
        blocks += moves->counts[r];
        if (blocks > G_MAXINT)
            return loom_fail(error, LOOM_ERROR_LIMIT, "the ranks gather more than 128 GiB");
    }
    moves->gathered = (guint8 *)loom_host_floats(blocks * BLOCK / 4, "a gather", error);
    if (!moves->gathered)
        return FALSE;
    moves->n = 1;
    moves->moving = g_new(MPI_Request, 1);
    moves->moving[0] = MPI_REQUEST_NULL;
    return mpi_check(MPI_Iallgatherv(call->memory, moves->counts[world->rank], world->block,
                                     moves->gathered, moves->counts, moves->places,
                                     world->block, world->move, moves->moving),
                     "MPI_Iallgatherv", error);
}

LoomFlow mpi_world_advance(MpiWorld *world, MpiCall *call, gboolean *turn, GError **error)
{
    const gboolean turned = *turn, gathers = call->ticket.kind == MPI_CALL_GATHER;
    struct _MpiMoves *moves = call->moves;
    int done = 0;

    *turn = turned && moves->phase == MOVING;
    switch (moves->phase) {
    case NEW:
        moves->phase = COMPARED;
        world->idle = 0;
        return (LoomFlow)mpi_compare_start(world, call, error);
    case COMPARED:
        if (!turned)
            return LOOM_FLOW_OK;
        if (!mpi_check(MPI_Test(&moves->comparing, &done, MPI_STATUS_IGNORE), "MPI_Iallgather",
                       error))
            return LOOM_FLOW_FAIL;
        if (!done)
            return LOOM_FLOW_OK;
        moves->phase = MOVING;
        *turn = TRUE;
        world->idle = 0;
        return (LoomFlow)(mpi_compare_end(world, call, error)
                          && (gathers ? mpi_move_bytes(world, call, error)
                                      : mpi_move_values(world, call, error)));
    default:
        if (!mpi_check(MPI_Testall((int)moves->n, moves->moving, &done, MPI_STATUSES_IGNORE),
                       "MPI_Testall", error))
            return LOOM_FLOW_FAIL;
        world->idle = done ? 0 : world->idle;
        return done ? LOOM_FLOW_STOP : LOOM_FLOW_OK;
    }
}

/* ---- begin and end ------------------------------------------------------------------ */

MpiWorld *mpi_world_new(void)
{
    return g_new0(MpiWorld, 1);
}

void mpi_world_free(MpiWorld *world)
{
    g_free(world);
}

void mpi_world_break(MpiWorld *world)
{
    world->broken = TRUE;
}

gboolean mpi_world_broken(const MpiWorld *world)
{
    return world->broken;
}

void mpi_world_pause(MpiWorld *world)
{
    if (world->idle++ < 200)
        sched_yield();
    else
        nanosleep(&(struct timespec){.tv_nsec = world->idle < 4000 ? 20000 : 200000}, NULL);
}

static gboolean mpi_world_begin(MpiWorld *world, GError **error)
{
    int begun, ended, level = MPI_THREAD_SINGLE;

    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (ended)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "MPI was finalised in this process, and begins only once in each");
    if (begun)
        MPI_Query_thread(&level);
    else if (!mpi_check(MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &level),
                        "MPI_Init_thread", error))
        return FALSE;
    world->ours = !begun;
    /* With FUNNELED, the thread that began MPI may use it, and that is this one. */
    if (level < (begun ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED))
        return loom_fail(error, LOOM_ERROR_CONFIG, "this MPI cannot be used in a thread");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    world->compare = world->move = MPI_COMM_NULL;
    world->began = TRUE;
    return mpi_check(MPI_Type_contiguous(BLOCK, MPI_BYTE, &world->block), "MPI_Type_contiguous",
                     error)
           && mpi_check(MPI_Type_commit(&world->block), "MPI_Type_commit", error);
}

/* Are the processes of MPI those of the generation? */
static gboolean mpi_world_is_group(const MpiWorld *world, GError **error)
{
    int rank = -1, size = 0;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rank == (int)world->rank && size == (int)world->size)
        return TRUE;
    if (size == 1)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "MPI knows of this process only, the run has %u ranks: start it with "
                         "'mpirun -n %u segloom ...' or 'srun --mpi=pmix segloom ...'",
                         world->size, world->size);
    return loom_fail(
        error, LOOM_ERROR_CONFIG,
        "for MPI this process is rank %d of %d, for the run it is %u of %u: all of "
        "MPI's processes have to train, in MPI's order",
        rank, size, world->rank, world->size);
}

/* New communicators: what the generation before left cannot get into them. */
static gboolean mpi_world_communicate(MpiWorld *world, gint before, gint *aborts,
                                      GError **error)
{
    MPI_Comm *const comms[] = {&world->compare, &world->move};

    for (guint i = 0; i < G_N_ELEMENTS(comms); i++) {
        MPI_Request request = MPI_REQUEST_NULL;
        int done = 0;

        if (*comms[i] != MPI_COMM_NULL)
            MPI_Comm_free(comms[i]);
        world->broken = TRUE; /* until all have come */
        world->idle = 0;
        if (!mpi_check(MPI_Comm_idup(MPI_COMM_WORLD, comms[i], &request), "MPI_Comm_idup",
                       error))
            return FALSE;
        while (!done) {
            if (!mpi_check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Comm_idup",
                           error))
                return FALSE;
            if (!done && g_atomic_int_get(aborts) != before)
                return loom_fail(error, LOOM_ERROR_IO, "not all ranks came: " NO_SURVIVAL);
            mpi_world_pause(world);
        }
        MPI_Comm_set_errhandler(*comms[i], MPI_ERRORS_RETURN);
        world->broken = FALSE;
    }
    return TRUE;
}

gboolean mpi_world_fits(const MpiWorld *world, guint rank, guint size, GError **error)
{
    if (world->broken)
        return loom_fail(error, LOOM_ERROR_IO,
                         "MPI is still at calls that not all ranks made: " NO_SURVIVAL);
    return !world->began || (rank == world->rank && size == world->size)
           || loom_fail(error, LOOM_ERROR_IO,
                        "MPI began with %u ranks and cannot go on with %u: " NO_SURVIVAL,
                        world->size, size);
}

gboolean mpi_world_join(MpiWorld *world, guint rank, guint size, gint before, gint *aborts,
                        GError **error)
{
    world->rank = rank;
    world->size = size;
    return (world->began || mpi_world_begin(world, error)) && mpi_world_is_group(world, error)
           && mpi_world_communicate(world, before, aborts, error);
}

void mpi_world_end(MpiWorld *world)
{
    if (!world->began || world->broken)
        return;
    if (world->compare != MPI_COMM_NULL)
        MPI_Comm_free(&world->compare);
    if (world->move != MPI_COMM_NULL)
        MPI_Comm_free(&world->move);
    MPI_Type_free(&world->block);
    if (world->ours)
        MPI_Finalize();
}
