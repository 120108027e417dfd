/* mesh_message - headers of mesh_message.h as bytes, and back. */
#include "mesh_message.h"

#include <string.h>

const char *mesh_header_read(MeshHeader *header, GBytes *frame)
{
    gsize size;
    const void *bytes = g_bytes_get_data(frame, &size);

    if (size != sizeof *header)
        return "size of the header";
    memcpy(header, bytes, sizeof *header);
    if (header->magic != MESH_MAGIC)
        return "magic number";
    if (header->version != MESH_VERSION)
        return "version";
    if (header->kind < MESH_HELLO || header->kind > MESH_FINISHED)
        return "kind";
    if (header->from >= MESH_MAX_RANKS || header->to >= MESH_MAX_RANKS)
        return "rank";
    if (header->flags > 1)
        return "flags";
    return NULL;
}

GBytes *mesh_header_frame(const MeshHeader *header)
{
    MeshHeader complete = *header;

    complete.magic = MESH_MAGIC;
    complete.version = MESH_VERSION;
    return g_bytes_new(&complete, sizeof complete);
}
