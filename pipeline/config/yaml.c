/* yaml - libyaml's events become a tree in which every node knows where it stands.
 *
 * libyaml's own document loader shares the nodes of aliases, forgets duplicate keys and has no
 * limits; from its events each refusal is a line or two, made before memory grows.
 * Source: YAML 1.2 (yaml.org/spec/1.2.2), the part that configs need. */
#include "config/yaml.h"
#include "config/yaml_text.h"

#include <string.h>

#include <yaml.h>

typedef struct {
    yaml_parser_t parser;
    const char *text; /* without the byte-order mark */
    const char *file, *folder;
    GHashTable *anchors; /* char * -> const LoomNode *; NULL while the node is being read */
    guint levels, events, n_anchors, expanded;
} Reader;

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(yaml_event_t, yaml_event_delete)

/* ---- what is wrong ------------------------------------------------------------------ */

static gboolean mark_fail(const Reader *reader, const char *name, yaml_mark_t mark,
                          GError **error, const char *format, ...) G_GNUC_PRINTF(5, 6);

static gboolean mark_fail(const Reader *reader, const char *name, yaml_mark_t mark,
                          GError **error, const char *format, ...)
{
    LoomNode place = {
        .file = reader->file, .line = (guint)mark.line + 1, .column = (guint)mark.column + 1};
    g_autofree char *cause = NULL;
    va_list args;

    va_start(args, format);
    cause = g_strdup_vprintf(format, args);
    va_end(args);
    return loom_node_fail_as(&place, name, error, "%s", cause);
}

/* libyaml says what its grammar missed; a person wants to know what to change, and where. */
typedef enum {
    LOOK_HERE,
    LOOK_AT_INDENT,  /* here, unless this line is indented by a tab */
    LOOK_AT_START,   /* where the construct begins, not where libyaml gave up */
    LOOK_AT_BRACKET, /* here; name the line of the bracket as well */
} Look;

static const struct {
    const char *problem, *advice;
    Look look;
} SYNTAX[] = {
    {"did not find expected key", "want a key here: wrong indentation, or text behind a value",
     LOOK_AT_INDENT},
    {"mapping values are not allowed in this context",
     "a ':' cannot stand here: wrong indentation, or text with ': ' that needs quotes",
     LOOK_AT_INDENT},
    {"did not find expected '-' indicator",
     "want '- ' here: wrong indentation, or text behind an item", LOOK_AT_INDENT},
    {"did not find expected ',' or ']'", "want ',' or ']' here", LOOK_AT_BRACKET},
    {"did not find expected ',' or '}'", "want ',' or '}' here", LOOK_AT_BRACKET},
    {"did not find expected node content", "want a value here", LOOK_HERE},
    {"could not find expected ':'", "want ': ' behind this key", LOOK_AT_START},
    {"block sequence entries are not allowed in this context",
     "a list cannot begin here, want its first '- ' on a new line", LOOK_HERE},
    {"found unexpected end of stream", "this quoted text does not end", LOOK_AT_START},
    {"found unexpected document indicator", "this quoted text does not end", LOOK_AT_START},
    {"found unknown escape character",
     "no such escape in double quotes: write \\\\ for a backslash, or use single quotes",
     LOOK_HERE},
};

static const char *letter_at(const Reader *reader, yaml_mark_t mark)
{
    return g_utf8_offset_to_pointer(reader->text, (glong)mark.index);
}

/* The first tab in the indentation of the line of @at; NULL: none. */
static const char *tab_before(const Reader *reader, const char *at)
{
    while (at > reader->text && at[-1] != '\n' && at[-1] != '\r')
        at--;
    at += strspn(at, " ");
    return *at == '\t' ? at : NULL;
}

/* The error that stopped libyaml.  Its marks count letters, which were checked beforehand; line
 * and column are counted anew, because at the end of a file it begins a line that is not there.
 */
static gboolean syntax_fail(const Reader *reader, GError **error)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem ? parser->problem : "out of memory";
    const char *advice = problem, *at;
    Look look = LOOK_HERE;
    gsize offset;

    for (guint i = 0; i < G_N_ELEMENTS(SYNTAX); i++) {
        if (g_str_equal(problem, SYNTAX[i].problem)) {
            advice = SYNTAX[i].advice;
            look = SYNTAX[i].look;
        }
    }
    at = letter_at(reader, look == LOOK_AT_START ? parser->context_mark : parser->problem_mark);
    if (look == LOOK_AT_INDENT && tab_before(reader, at))
        at = tab_before(reader, at);
    offset = (gsize)(at - reader->text);
    if (*at == '\t')
        return loom_yaml_fail_at(reader->text, offset, reader->file, "E-YAML-SYNTAX", error,
                                 "a tab cannot stand here, want spaces");
    if (g_str_equal(problem, "found character that cannot start any token"))
        return loom_yaml_fail_at(reader->text, offset, reader->file, "E-YAML-SYNTAX", error,
                                 "text cannot begin with '%c', want it in quotes", *at);
    if (look == LOOK_AT_BRACKET)
        return loom_yaml_fail_at(reader->text, offset, reader->file, "E-YAML-SYNTAX", error,
                                 "%s; the bracket opens at line %u", advice,
                                 (guint)parser->context_mark.line + 1);
    return loom_yaml_fail_at(reader->text, offset, reader->file, "E-YAML-SYNTAX", error, "%s",
                             advice);
}

static gboolean next_event(Reader *reader, yaml_event_t *event, GError **error)
{
    if (!yaml_parser_parse(&reader->parser, event))
        return syntax_fail(reader, error);
    if (++reader->events > LOOM_YAML_MAX_EVENTS)
        return mark_fail(reader, "E-YAML-SIZE", event->start_mark, error,
                         "too long: more than %d YAML events up to here", LOOM_YAML_MAX_EVENTS);
    return TRUE;
}

static gboolean check_tag(const Reader *reader, const yaml_event_t *event, const guchar *tag,
                          GError **error)
{
    const char *name = (const char *)tag;
    const char *core = "";

    if (!tag)
        return TRUE;
    if (g_str_has_prefix(name, "tag:yaml.org,2002:")) {
        name += strlen("tag:yaml.org,2002:");
        core = "!!";
    }
    return mark_fail(reader, "E-YAML-TAG", event->start_mark, error,
                     "tag '%s%s' is refused, want YAML without tags", core, name);
}

/* ---- anchors and aliases ------------------------------------------------------------ */

/* From here on @anchor means @node; NULL: a node that is not read to its end. */
static gboolean anchor_set(Reader *reader, const yaml_event_t *event, const guchar *anchor,
                           LoomNode *node, GError **error)
{
    if (!anchor)
        return TRUE;
    if (!node && ++reader->n_anchors > LOOM_YAML_MAX_ANCHORS)
        return mark_fail(reader, "E-YAML-ALIAS", event->start_mark, error,
                         "more than %d anchors up to here", LOOM_YAML_MAX_ANCHORS);
    g_hash_table_insert(reader->anchors, g_strdup((const char *)anchor), node);
    return TRUE;
}

static guint count_nodes(const LoomNode *node)
{
    guint n = 1;

    for (guint i = 0; node->items && i < node->items->len; i++)
        n += count_nodes(node->items->pdata[i]) + (node->keys ? 1 : 0);
    return n;
}

static LoomNode *read_alias(Reader *reader, const yaml_event_t *event, GError **error)
{
    const char *anchor = (const char *)event->data.alias.anchor;
    gpointer node = NULL;

    if (!g_hash_table_lookup_extended(reader->anchors, anchor, NULL, &node)) {
        mark_fail(reader, "E-YAML-ALIAS", event->start_mark, error,
                  "alias '*%s' has no anchor '&%s' above it", anchor, anchor);
        return NULL;
    }
    if (!node) {
        mark_fail(reader, "E-YAML-ALIAS", event->start_mark, error,
                  "alias '*%s' stands inside its own anchor", anchor);
        return NULL;
    }
    reader->expanded += count_nodes(node);
    if (reader->expanded > LOOM_YAML_MAX_EXPANDED) {
        mark_fail(reader, "E-YAML-ALIAS", event->start_mark, error,
                  "aliases up to here stand for more than %d nodes", LOOM_YAML_MAX_EXPANDED);
        return NULL;
    }
    if (reader->levels + loom_node_height(node) > LOOM_YAML_MAX_LEVELS) {
        mark_fail(reader, "E-YAML-ALIAS", event->start_mark, error,
                  "alias '*%s' makes more than %d levels", anchor, LOOM_YAML_MAX_LEVELS);
        return NULL;
    }
    return loom_node_copy(node);
}

/* ---- nodes -------------------------------------------------------------------------- */

static LoomNode *read_node(Reader *reader, const yaml_event_t *event, GError **error);

static LoomNode *node_at(const Reader *reader, const yaml_event_t *event, LoomNodeType type)
{
    return loom_node_new(type, reader->file, reader->folder, (guint)event->start_mark.line + 1,
                         (guint)event->start_mark.column + 1);
}

static LoomNode *read_scalar(Reader *reader, const yaml_event_t *event, GError **error)
{
    g_autoptr(LoomNode) node = node_at(reader, event, LOOM_NODE_SCALAR);
    const char *value = (const char *)event->data.scalar.value;

    if (!check_tag(reader, event, event->data.scalar.tag, error)
        || !anchor_set(reader, event, event->data.scalar.anchor, NULL, error))
        return NULL;
    if (strlen(value) != event->data.scalar.length) {
        mark_fail(reader, "E-YAML-TEXT", event->start_mark, error, "text holds a zero byte");
        return NULL;
    }
    g_free(node->text);
    node->text = g_strdup(value);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    anchor_set(reader, event, event->data.scalar.anchor, node, NULL);
    return g_steal_pointer(&node);
}

static gboolean read_items(Reader *reader, LoomNode *node, GError **error)
{
    for (;;) {
        g_auto(yaml_event_t) event = {0};
        LoomNode *item;

        if (!next_event(reader, &event, error))
            return FALSE;
        if (event.type == YAML_SEQUENCE_END_EVENT)
            return TRUE;
        if (!(item = read_node(reader, &event, error)))
            return FALSE;
        g_ptr_array_add(node->items, item);
    }
}

/* @seen: char * -> const LoomNode *, the keys so far. */
static LoomNode *read_key(Reader *reader, const yaml_event_t *event, GHashTable *seen,
                          GError **error)
{
    g_autoptr(LoomNode) key = NULL;
    const LoomNode *first;

    if (event->type != YAML_SCALAR_EVENT) {
        mark_fail(reader, "E-YAML-SYNTAX", event->start_mark, error,
                  "a key must be text, not %s",
                  event->type == YAML_ALIAS_EVENT           ? "an alias"
                  : event->type == YAML_MAPPING_START_EVENT ? "a mapping"
                                                            : "a list");
        return NULL;
    }
    if (!(key = read_scalar(reader, event, error)))
        return NULL;
    if (!*key->text) {
        loom_node_fail_as(key, "E-YAML-SYNTAX", error, "a key is missing here");
        return NULL;
    }
    if (!key->quoted && g_str_equal(key->text, "<<")) {
        loom_node_fail_as(key, "E-YAML-SYNTAX", error,
                          "merge key '<<' is refused, want the keys written out, "
                          "or an alias for the whole mapping");
        return NULL;
    }
    if ((first = g_hash_table_lookup(seen, key->text))) {
        loom_node_fail_as(key, "E-YAML-KEY-TWICE", error, "key '%s' stands at line %u already",
                          key->text, first->line);
        return NULL;
    }
    g_hash_table_insert(seen, key->text, key);
    return g_steal_pointer(&key);
}

static gboolean read_pairs(Reader *reader, LoomNode *node, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (;;) {
        g_auto(yaml_event_t) key_event = {0};
        g_auto(yaml_event_t) event = {0};
        g_autoptr(LoomNode) key = NULL;
        LoomNode *value;

        if (!next_event(reader, &key_event, error))
            return FALSE;
        if (key_event.type == YAML_MAPPING_END_EVENT)
            return TRUE;
        if (!(key = read_key(reader, &key_event, seen, error))
            || !next_event(reader, &event, error)
            || !(value = read_node(reader, &event, error)))
            return FALSE;
        if (node->keys->len == 0) {
            node->line = key->line;
            node->column = key->column;
        }
        loom_node_put(node, g_steal_pointer(&key), value);
    }
}

static LoomNode *read_collection(Reader *reader, const yaml_event_t *event, GError **error)
{
    gboolean mapping = event->type == YAML_MAPPING_START_EVENT;
    const guchar *tag =
        mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    const guchar *anchor =
        mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    g_autoptr(LoomNode) node =
        node_at(reader, event, mapping ? LOOM_NODE_MAPPING : LOOM_NODE_SEQUENCE);

    if (!check_tag(reader, event, tag, error)
        || !anchor_set(reader, event, anchor, NULL, error))
        return NULL;
    if (++reader->levels > LOOM_YAML_MAX_LEVELS) {
        loom_node_fail_as(node, "E-YAML-DEPTH", error,
                          "more than %d levels of lists and mappings", LOOM_YAML_MAX_LEVELS);
        return NULL;
    }
    if (!(mapping ? read_pairs : read_items)(reader, node, error))
        return NULL;
    reader->levels--;
    anchor_set(reader, event, anchor, node, NULL);
    return g_steal_pointer(&node);
}

static LoomNode *read_node(Reader *reader, const yaml_event_t *event, GError **error)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(reader, event, error);
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, event, error);
    default:
        return read_collection(reader, event, error);
    }
}

/* ---- the document ------------------------------------------------------------------- */

/* Refuses all but comments from the document's end on.  libyaml is not asked: it would first
 * read all directives of a second document. */
static gboolean check_end(const Reader *reader, yaml_mark_t end, GError **error)
{
    const char *rest = letter_at(reader, end);

    for (;;) {
        rest += strspn(rest, " \t\r\n");
        if (*rest == '#')
            rest += strcspn(rest, "\r\n");
        else if (g_str_has_prefix(rest, "..."))
            rest += 3;
        else
            break;
    }
    if (!*rest)
        return TRUE;
    return loom_yaml_fail_at(reader->text, (gsize)(rest - reader->text), reader->file,
                             "E-YAML-DOCUMENTS", error,
                             *rest == '%' || g_str_has_prefix(rest, "---")
                                 ? "a second document begins here, want one document"
                                 : "text behind the end of the document");
}

static LoomNode *read_document(Reader *reader, GError **error)
{
    g_autoptr(LoomNode) root = NULL;
    g_auto(yaml_event_t) stream = {0}, start = {0}, first = {0}, end = {0};

    if (!next_event(reader, &stream, error) || !next_event(reader, &start, error))
        return NULL;
    if (start.type == YAML_DOCUMENT_START_EVENT) {
        if (!next_event(reader, &first, error) || !(root = read_node(reader, &first, error))
            || !next_event(reader, &end, error) || !check_end(reader, end.end_mark, error))
            return NULL;
    }
    if (!root || (root->type == LOOM_NODE_SCALAR && !root->quoted && !*root->text)) {
        loom_yaml_fail_at(reader->text, 0, reader->file, "E-YAML-DOCUMENTS", error,
                          "empty document, want a value");
        return NULL;
    }
    return g_steal_pointer(&root);
}

LoomNode *loom_yaml_parse(const char *text, gsize length, const char *file, const char *folder,
                          GError **error)
{
    g_autofree char *copy = NULL; /* ends with a zero byte */
    gsize mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    Reader reader = {.file = file, .folder = folder};
    LoomNode *root = NULL;

    if (length > LOOM_YAML_MAX_BYTES) {
        loom_yaml_fail_at(text, 0, file, "E-YAML-SIZE", error,
                          "%" G_GSIZE_FORMAT " bytes, want at most %u", length,
                          LOOM_YAML_MAX_BYTES);
        return NULL;
    }
    length -= mark;
    copy = g_malloc(length + 1);
    if (length > 0) /* @text may be NULL then */
        memcpy(copy, text + mark, length);
    copy[length] = '\0';
    if (!loom_yaml_check_text(copy, length, file, error))
        return NULL;
    reader.text = copy;
    reader.anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    if (!yaml_parser_initialize(&reader.parser))
        g_error("libyaml: out of memory");
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, (const guchar *)copy, length);
    root = read_document(&reader, error);
    yaml_parser_delete(&reader.parser);
    g_hash_table_unref(reader.anchors);
    return root;
}

LoomNode *loom_yaml_read(const char *path, GError **error)
{
    gsize length = 0;
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    g_autofree char *folder = g_path_get_dirname(absolute);
    g_autofree char *text = loom_yaml_load(path, &length, error);

    return text ? loom_yaml_parse(text, length, path, folder, error) : NULL;
}
