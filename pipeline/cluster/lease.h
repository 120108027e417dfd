/* lease.h - what the ranks of a run leave for each other in its folder: where the coordinator
 * is to be found, and which side of a broken network goes on. */
#pragma once

#include "view.h"

/* What `cluster.json` says. */
typedef struct {
    guint8 run[16];
    guint64 generation; /* the last that its coordinator proposed */
    guint coordinator;  /* seat */
    char *address;      /* of the coordinator's control port */
    char *key;          /* NULL: clear text */
    gint64 time;        /* when it was written, seconds since 1970: for people */
} LoomLease;

void loom_lease_free(LoomLease *lease);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomLease, loom_lease_free)
/* NULL with LOOM_ERROR_IO: there is none, or it cannot be read; LOOM_ERROR_FORMAT: it is no
 * lease. */
LoomLease *loom_lease_read(const char *folder, GError **error);
/* By the coordinator of @view: replaces the file, whatever stood there. */
gboolean loom_lease_write(const char *folder, const LoomView *view, GError **error);
/* Does the lease in this folder belong to @run?  Asks again for @wait_ms: a file that another
 * host wrote may be seen late. */
gboolean loom_lease_seen(const char *folder, const guint8 run[16], gint64 wait_ms);
/* Removes the lease, and all claims, if the coordinator at @address wrote it. */
void loom_lease_remove(const char *folder, const char *address);

/* A claim is how a side that is no majority takes the run over: a file that only one can make.
 * Who claims makes the file, then looks at the lease; who is a majority writes the lease, then
 * looks for claims: so of two sides at least one sees the other, and gives way.  For that a
 * claim outlives the beginning of its generation, until a further one has begun.
 *
 * loom_lease_claim - @self (its seat and incarnation) claims @generation
 * @begun: the last generation that it was in; claims up to it are settled
 * @known: the last that was proposed to it; a lease of a later one shows that others went on
 *   without it
 * FALSE with LOOM_ERROR_IO: others went on, or another one claims, or the folder cannot be
 * written. */
gboolean loom_lease_claim(const char *folder, guint64 generation, guint64 begun, guint64 known,
                          const LoomMember *self, GError **error);
/* Does a process that is not in @view claim a generation after @begun?  One that was started
 * anew in a seat of @view is another process.  @seat: (out): which one; G_MAXUINT: not known.
 */
gboolean loom_lease_rival(const char *folder, const LoomView *view, guint64 begun, guint *seat);
/* Claims up to @generation are settled. */
void loom_lease_settle(const char *folder, guint64 generation);
