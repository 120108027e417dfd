/* mpi_thread.h - the one thread in which all of MPI happens. */
#pragma once

#include "mpi_world.h"

typedef struct _MpiThread MpiThread;

MpiThread *mpi_thread_new(GError **error);
/* Finalises MPI where it may, waiting for the other ranks, a minute at most. */
void mpi_thread_close(MpiThread *thread);
/* A generation: fails where it is known that MPI cannot have it, and leaves it to the thread to
 * begin it, and MPI, the first time.  So it waits for no other rank, as the ranks do not all
 * join before they hear that one did.  What goes wrong then is told to the first who waits. */
gboolean mpi_thread_join(MpiThread *thread, guint rank, guint size, GError **error);
/* From any thread: until the next join, nothing waits. */
void mpi_thread_abort(MpiThread *thread);
/* Begins @call and returns at once. */
void mpi_thread_start(MpiThread *thread, MpiCall *call);
/* Until @call is done; NULL: all of them.  STOP: aborted, MPI may still be at it. */
LoomFlow mpi_thread_wait(MpiThread *thread, const MpiCall *call, GError **error);
/* Will MPI still read or write @values, of a sum? */
gboolean mpi_thread_holds(MpiThread *thread, const float *values);
/* From any thread; (transfer full); NULL: nothing is under way. */
char *mpi_thread_waiting(MpiThread *thread);
