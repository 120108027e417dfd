/* stream - what both ends of a stream have alike. */
#include "stream.h"

#include <string.h>

#define WEIGHT_OF_PACKET 512u /* what a packet costs besides its bytes; chunks 16 each */
#define WEIGHT_OF_CHUNK 16u

guint64 loom_stream_weight(gsize header, guint64 body, guint32 chunks)
{
    return WEIGHT_OF_PACKET + header + body + (guint64)WEIGHT_OF_CHUNK * chunks;
}

void loom_stream_address(const LoomStreamEnd *end, LoomWireMessage *message, LoomWireKind kind)
{
    memset(message, 0, sizeof *message);
    message->version = LOOM_WIRE_VERSION;
    message->kind = kind;
    message->from = end->self.rank;
    message->to = end->peer;
    message->generation = end->self.generation;
    message->sender = end->self.incarnation;
    memcpy(message->run, end->self.run, sizeof message->run);
    g_strlcpy(message->edge, end->edge, sizeof message->edge);
}

char *loom_stream_title(const LoomStreamEnd *end, gboolean out)
{
    return g_strdup_printf("edge '%s' %s rank %u at %s", end->edge, out ? "to" : "from",
                           end->peer, end->address);
}
