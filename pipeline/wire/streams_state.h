/* streams_state.h - what the threads of streams.c and the one of streams_pump.c share. */
#pragma once

#include "stream.h"

#include "core/lock.h"

/* One way to one peer; all streams with it use it. */
typedef struct {
    char *address, *key;
    guint number; /* of the port */
    gboolean open, full, unused;
    GError *error; /* it could not be opened */
} StreamLink;

typedef struct {
    LoomStreamEnd end;
    LoomStreamOut *out; /* or */
    LoomStreamIn *in;
    StreamLink *link; /* borrowed */
    GBytes *held[2];  /* packed, and not taken by a link that was full */
    guint n_held;
    gint64 noted; /* when the last refusal was put down for people; 0: never */
    GError *failed;
} Stream;

struct _LoomStreams {
    const LoomTransport *transport;
    gpointer self;
    LoomPort *port; /* the pump's, but for port_wake */
    char *address;
    LoomStreamOptions options;
    pthread_t pump;

    LoomLock lock; /* guards all below */
    LoomSignal changed;
    LoomStreamIdentity identity;
    gboolean begun, stopped, quit;
    GPtrArray *streams; /* Stream */
    GPtrArray *links;   /* StreamLink */
    GError *broken;     /* the port failed: nothing works any more */
    guint64 strangers;  /* messages that belong to no stream */
    gint64 noted;       /* when the last of them was put down */
};

gint64 loom_streams_now(void); /* milliseconds */
void *loom_streams_pump(gpointer streams);
