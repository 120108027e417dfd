/* yaml.h - a YAML file as a tree in which every node knows where it stands. */
#pragma once

#include <loom/plugin.h>

typedef enum { LOOM_NODE_SCALAR, LOOM_NODE_SEQUENCE, LOOM_NODE_MAPPING } LoomNodeType;

/* Children are owned; aliases are expanded into copies.  All strings are UTF-8. */
typedef struct _LoomNode LoomNode;
struct _LoomNode {
    LoomNodeType type;
    char *text;         /* scalar */
    gboolean quoted;    /* scalar: "300" in quotes is text, not a number */
    GPtrArray *items;   /* sequence: items; mapping: values */
    GPtrArray *keys;    /* mapping: scalar nodes, parallel to items */
    const char *file;   /* interned: "configs/a.yaml", or "--set" */
    const char *folder; /* interned, absolute: what relative paths in this node start from */
    guint line, column; /* from 1; a mapping's is that of its first key */
};

void loom_node_free(LoomNode *node);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomNode, loom_node_free)
LoomNode *loom_node_copy(const LoomNode *node);
/* An empty node: text "" or no children.  @file and @folder need not live on. */
LoomNode *loom_node_new(LoomNodeType type, const char *file, const char *folder, guint line,
                        guint column);
/* Appends to a mapping; takes @key, a scalar, and @value over. */
void loom_node_put(LoomNode *mapping, LoomNode *key, LoomNode *value);
/* Levels of sequences and mappings: 0 for a scalar, 1 for a list of scalars. */
guint loom_node_height(const LoomNode *node);

#define LOOM_YAML_MAX_BYTES (1u << 20)
#define LOOM_YAML_MAX_LEVELS 64
#define LOOM_YAML_MAX_EVENTS 50000
#define LOOM_YAML_MAX_ANCHORS 64
#define LOOM_YAML_MAX_EXPANDED 10000 /* nodes that aliases add */

/* Reads one document.  Refused with "file:line:column: cause": more than 1 MiB, 64 levels,
 * 50,000 events, 64 anchors or 10,000 nodes added by aliases; duplicate keys, keys that are not
 * scalars, merge keys, aliases to themselves, tags, several documents, a document without
 * content, bytes that are not UTF-8.  LOOM_ERROR_IO where the file cannot be read. */
LoomNode *loom_yaml_read(const char *path, GError **error);
/* The same from memory; @file is the name for messages, @folder what paths start from. */
LoomNode *loom_yaml_parse(const char *text, gsize length, const char *file, const char *folder,
                          GError **error);
/* Applies "a.b.c=value" (value in YAML); "a.2.c" steps into a sequence.  A missing last key is
 * added, a missing parent is an error.  Paths in the value start from @folder. */
gboolean loom_yaml_set(LoomNode *root, const char *assignment, const char *folder,
                       GError **error);
/* The tree as YAML that reads back to an equal tree: the same texts, and what is a number, a
 * truth value or null stays one, what is text stays text. */
char *loom_yaml_write(const LoomNode *root);
/* The tree as JSON on one line.  Scalars without quotes that YAML 1.2's core schema calls
 * numbers, truth values or null become JSON's; all others, and what JSON lacks (.inf), strings.
 */
char *loom_yaml_json(const LoomNode *root);

/* Value of a key; NULL where there is none, or @mapping is NULL or no mapping. */
LoomNode *loom_node_get(const LoomNode *mapping, const char *key);
/* The scalar node of the key itself, for messages about the key. */
LoomNode *loom_node_key(const LoomNode *mapping, const char *key);
/* Fails with LOOM_ERROR_CONFIG "file:line:column: ...". */
gboolean loom_node_fail(const LoomNode *node, GError **error, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/* The same with a name, see loom_fail_as. */
gboolean loom_node_fail_as(const LoomNode *node, const char *name, GError **error,
                           const char *format, ...) G_GNUC_PRINTF(4, 5);
/* "file:line:column", (transfer full). */
char *loom_node_place(const LoomNode *node);
/* ", did you mean 'queue'?" for the known word nearest to @word (edit distance at most 1 in 3
 * letters, 1 at least), else ""; (transfer full).  @known ends with NULL. */
char *loom_did_you_mean(const char *word, const char *const *known);
