/* queue.h - a bounded FIFO of packets between two lanes, with end and stop.
 *
 *   state                      push                  take
 *   open                       waits for room        waits for a packet
 *   ended (by the producer)    a bug, asserted       what is left, then ENDED
 *   stopped (by the consumer)  FALSE at once         STOPPED at once; leftovers are released */
#pragma once

#include <loom/packet.h>

typedef struct _LoomQueue LoomQueue;

typedef enum { LOOM_TAKEN, LOOM_TAKE_ENDED, LOOM_TAKE_STOPPED } LoomTake;

LoomQueue *loom_queue_new(guint capacity);
void loom_queue_free(LoomQueue *queue);
/* Open and empty again: before a graph runs once more. */
void loom_queue_reset(LoomQueue *queue);
/* @packet: (transfer full), also when it returns FALSE: stopped. */
gboolean loom_queue_push(LoomQueue *queue, LoomPacket *packet);
/* @ticket: how many were taken before this one; may be NULL. */
LoomTake loom_queue_take(LoomQueue *queue, LoomPacket **packet, gint64 *ticket);
void loom_queue_end(LoomQueue *queue);
void loom_queue_stop(LoomQueue *queue);
guint loom_queue_level(LoomQueue *queue);
