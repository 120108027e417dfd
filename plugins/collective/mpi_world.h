/* mpi_world.h - what MPI is asked for, by one thread; its callers are in mpi_thread.h. */
#pragma once

#include <loom/plugin.h>

#define MPI_GATHER_MAX (1u << 26) /* bytes of one rank */
#define NO_SURVIVAL                                                                            \
    "MPI can neither lose nor take in a rank; with 'direct' or 'ring' ranks come and go"

typedef enum { MPI_CALL_SUM = 1, MPI_CALL_GATHER, MPI_CALL_BROADCAST } MpiCallKind;

/* What ranks compare before each call. */
typedef struct {
    guint64 kind, number, count, root;
} MpiTicket;

/* Held by its caller and by the thread.  Where MPI reads and writes belongs to it, so that a
 * caller who was released by an abort may free what is his; for a sum, see mpi_thread_holds. */
typedef struct {
    gint holders;
    MpiTicket ticket;
    float *values;           /* sum: the caller's; broadcast: in `memory` */
    float *send;             /* sum: room for as many values, for a copy; NULL: sums in place */
    gpointer memory;         /* broadcast, gather: mine; for free() */
    struct _MpiMoves *moves; /* the thread's */
} MpiCall;

/* @count: values, or bytes of a gather; @root: of a broadcast.
 * Returns: NULL with LOOM_ERROR_LIMIT: no memory for what it brings. */
MpiCall *mpi_call_new(MpiCallKind kind, gint64 count, guint root, GError **error);
MpiCall *mpi_call_ref(MpiCall *call);
void mpi_call_unref(MpiCall *call);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MpiCall, mpi_call_unref)
/* For messages: "sum of 8192 values as call 3"; (transfer full). */
char *mpi_call_text(const MpiCall *call);
/* What a gather that is done gathered, appended as GBytes. */
void mpi_call_gathered(const MpiCall *call, GPtrArray *all);

typedef struct _MpiWorld MpiWorld;

MpiWorld *mpi_world_new(void);
/* Not while MPI may still write to it: see mpi_world_broken. */
void mpi_world_free(MpiWorld *world);
/* Can a generation begin as rank @rank of @size?  What is known without asking others. */
gboolean mpi_world_fits(const MpiWorld *world, guint rank, guint size, GError **error);
/* Begins it, and MPI, the first time; with all others.  Ends, failing, once *@aborts is not
 * @before any more. */
gboolean mpi_world_join(MpiWorld *world, guint rank, guint size, gint before, gint *aborts,
                        GError **error);
/* Finalises MPI; not where it is broken: that would wait for ranks that do not come. */
void mpi_world_end(MpiWorld *world);
/* Brings @call as far as it goes now.  @turn: all calls before it move; it is set to whether
 * this one does.  Returns: STOP: it is done. */
LoomFlow mpi_world_advance(MpiWorld *world, MpiCall *call, gboolean *turn, GError **error);
/* Calls are under way that will not end: MPI is not to be asked for anything again. */
void mpi_world_break(MpiWorld *world);
gboolean mpi_world_broken(const MpiWorld *world);
/* Between two polls.  Short at first, a small sum takes microseconds; but no core is burnt
 * while the other ranks still compute. */
void mpi_world_pause(MpiWorld *world);
