/* json_members.h - members of JSON of which nothing is certain: a run left it, perhaps half. */
#pragma once

#include <json-glib/json-glib.h>

/* Members of any type and at any depth may be missing: NULL, NaN.  @object: may be NULL. */
JsonObject *json_child(JsonObject *object, const char *name);
JsonArray *json_list(JsonObject *object, const char *name);
const char *json_text(JsonObject *object, const char *name);
double json_value(JsonObject *object, const char *name);
/* Objects of a list that are none are NULL. */
JsonObject *json_item(JsonArray *list, guint i);
JsonObject *json_last_item(JsonArray *list); /* NULL: the list is empty, or NULL */
guint json_length(JsonArray *list);          /* 0 for NULL */

/* The object that a text is, or a file holds; (transfer full), NULL: none. */
JsonObject *json_object_parse(const char *text);
JsonObject *json_object_read(const char *path);
