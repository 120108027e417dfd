/* shared_memory.h - memory of one process that others of the same host can read.
 *
 * A memfd: it has no name anywhere, so nothing is left behind however its owner ends.  Others
 * open it as /proc/PID/fd/FD.  Its first page says whose it is, so that a number used again, or
 * the same number in another container, is noticed. */
#pragma once

#include "mesh_message.h"

typedef struct {
    gsize bytes; /* of data */
    guint64 serial;
    int fd;
    void *map;
    void *data; /* zeroed, page-aligned */
} SharedMemory;

/* @bytes: may be 0.  NULL with LOOM_ERROR_LIMIT and the size: there is not so much, or this
 * system has no such memory. */
SharedMemory *shared_memory_new(const guint8 token[MESH_TOKEN], guint64 serial, gsize bytes,
                                GError **error);
void shared_memory_free(SharedMemory *memory);

/* The same from the other side, to read. */
typedef struct {
    gint references;
    guint64 serial;
    gsize bytes;
    const void *map;
    const guint8 *data;
} SharedView;

/* NULL with LOOM_ERROR_FORMAT: not there, or not what it is said to be, which is how memory
 * looks that was given up; with LOOM_ERROR_IO: not allowed, or out of descriptors or memory. */
SharedView *shared_view_new(guint32 pid, guint32 fd, const guint8 token[MESH_TOKEN],
                            guint64 serial, guint64 bytes, GError **error);
SharedView *shared_view_ref(SharedView *view);
void shared_view_unref(SharedView *view);
