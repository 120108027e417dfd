/* case_file.h - one packet in one file, to be mapped. */
#pragma once

#include <loom/packet.h>

/* Bytes that case_file_write will write. */
guint64 loom_case_file_bytes(const LoomPacket *packet);
/* Through a temporary file that is synced and renamed. */
gboolean loom_case_file_write(const char *path, const LoomPacket *packet, GError **error);
/* loom_case_file_read - @verify: compute the checksum of all that the file holds; sizes and the
 * header's checksum are always looked at.
 * Returns: (transfer full): NULL with LOOM_ERROR_IO or _FORMAT. */
LoomPacket *loom_case_file_read(const char *path, gboolean verify, GError **error);
