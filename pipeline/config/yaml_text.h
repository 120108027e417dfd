/* yaml_text.h - bytes, before any YAML is seen in them. */
#pragma once

#include "config/yaml.h"

/* Fails with that name at line and column of the byte at @offset of @text. */
gboolean loom_yaml_fail_at(const char *text, gsize offset, const char *file, const char *name,
                           GError **error, const char *format, ...) G_GNUC_PRINTF(6, 7);
/* YAML 1.2, 5.1: c-printable, less the byte-order mark, and less the three letters that end a
 * line in YAML 1.1 (libyaml), but neither in YAML 1.2 nor in an editor that counts lines. */
gboolean loom_yaml_printable(gunichar letter);
/* Refuses what is not printable UTF-8, and %TAG directives.  @text has no byte-order mark, and
 * a zero byte behind its end. */
gboolean loom_yaml_check_text(const char *text, gsize length, const char *file, GError **error);
/* Reads a whole file of at most LOOM_YAML_MAX_BYTES; only regular files: nothing that could
 * block.  Returns: (transfer full): with a zero byte behind its end; NULL with LOOM_ERROR_IO or
 * LOOM_ERROR_CONFIG. */
char *loom_yaml_load(const char *path, gsize *length, GError **error);
