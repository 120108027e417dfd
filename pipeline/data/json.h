/* json.h - JSON files that people write: bounded, checked, never trusted. */
#pragma once

#include <loom/plugin.h>

#include <json-glib/json-glib.h>

/* The parsed file, (transfer full), with a root; NULL with an error that begins with the path:
 * those of loom_text_read, LOOM_ERROR_LIMIT where brackets nest deeper than 32. */
JsonParser *loom_json_read(const char *path, GError **error);
/* A text, borrowed; NULL: @node is none. */
const char *loom_json_text(JsonNode *node);
