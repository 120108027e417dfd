/* events - an event file of TensorBoard: see events.h.  Messages by protobuf-c, from
 * events.proto. Source: TensorFlow, core/util/events_writer.h: the first event names the
 * version, "brain.Event:2"; a name is events.out.tfevents.SECONDS.HOST. */
#include "events.h"

#include "events.pb-c.h"
#include "tfrecord.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#define NAME_BEGIN "events.out.tfevents."

/* ---- events ------------------------------------------------------------------------- */

static void event_append(GByteArray *to, const Segloom__Event *event)
{
    const gsize length = segloom__event__get_packed_size(event);
    g_autofree guint8 *bytes = g_malloc(length + 1);

    segloom__event__pack(event, bytes);
    tfrecord_append(to, bytes, length);
}

void events_version_append(GByteArray *to, double wall_time)
{
    char version[] = "brain.Event:2";
    Segloom__Event event = SEGLOOM__EVENT__INIT;

    event.wall_time = wall_time;
    event.what_case = SEGLOOM__EVENT__WHAT_FILE_VERSION;
    event.file_version = version;
    event_append(to, &event);
}

void events_start_append(GByteArray *to, double wall_time, gint64 step)
{
    Segloom__SessionLog session = SEGLOOM__SESSION_LOG__INIT;
    Segloom__Event event = SEGLOOM__EVENT__INIT;

    session.status = SEGLOOM__SESSION_LOG__STATUS__START;
    event.wall_time = wall_time;
    event.step = step;
    event.what_case = SEGLOOM__EVENT__WHAT_SESSION_LOG;
    event.session_log = &session;
    event_append(to, &event);
}

void events_scalars_append(GByteArray *to, double wall_time, gint64 step, const char *prefix,
                           const LoomField *fields, guint n_fields)
{
    g_autofree Segloom__Value *values = g_new0(Segloom__Value, n_fields + 1);
    g_autofree Segloom__Value **list = g_new0(Segloom__Value *, n_fields + 1);
    g_autoptr(GPtrArray) tags = g_ptr_array_new_with_free_func(g_free);
    Segloom__Summary summary = SEGLOOM__SUMMARY__INIT;
    Segloom__Event event = SEGLOOM__EVENT__INIT;

    for (guint i = 0; i < n_fields; i++) {
        Segloom__Value *value = &values[summary.n_value];

        if (fields[i].text || !isfinite(fields[i].value))
            continue;
        segloom__value__init(value);
        value->tag = g_strdup_printf("%s/%s", prefix, fields[i].name);
        g_ptr_array_add(tags, value->tag);
        value->value_case = SEGLOOM__VALUE__VALUE_SIMPLE_VALUE;
        value->simple_value = (float)fields[i].value;
        list[summary.n_value++] = value;
    }
    if (!summary.n_value)
        return;
    summary.value = list;
    event.wall_time = wall_time;
    event.step = step;
    event.what_case = SEGLOOM__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    event_append(to, &event);
}

/* ---- files -------------------------------------------------------------------------- */

void events_open(Events *events, const char *folder)
{
    events->folder = folder ? g_build_filename(folder, "events", NULL) : NULL;
}

void events_close(Events *events)
{
    if (events->generation)
        close(events->fd);
    g_free(events->folder);
    g_free(events->path);
    g_free(events->seen);
}

static double now(void)
{
    return (double)g_get_real_time() * 1e-6;
}

static gboolean bytes_write(const Events *events, const GByteArray *bytes, GError **error)
{
    for (guint done = 0; done < bytes->len;) {
        const gssize n = write(events->fd, bytes->data + done, bytes->len - done);

        if (n < 0 && errno != EINTR)
            return loom_fail(error, LOOM_ERROR_IO, "'%s': cannot write: %s", events->path,
                             g_strerror(errno));
        done += (guint)MAX(n, 0);
    }
    return TRUE;
}

/* Behind every file that is there: readers go through them in the order of their names. */
static char *name_next(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    gint64 seconds = g_get_real_time() / G_USEC_PER_SEC;
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        if (g_str_has_prefix(name, NAME_BEGIN))
            seconds = MAX(seconds, g_ascii_strtoll(name + strlen(NAME_BEGIN), NULL, 10) + 1);
    g_autofree char *host = g_strdup(g_get_host_name());
    g_strdelimit(host, "/", '_');
    return g_strdup_printf(NAME_BEGIN "%010" G_GINT64_FORMAT ".%s", seconds, host);
}

static gboolean events_begin(Events *events, guint64 generation, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    if (events->generation == generation)
        return TRUE;
    if (events->generation)
        close(events->fd);
    events->generation = 0;
    if (g_mkdir_with_parents(events->folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", events->folder,
                         g_strerror(errno));
    g_autofree char *name = name_next(events->folder);
    g_free(events->path);
    events->path = g_build_filename(events->folder, name, NULL);
    events->fd = open(events->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (events->fd < 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", events->path,
                         g_strerror(errno));
    events->generation = generation;
    events_version_append(bytes, now());
    events_start_append(bytes, now(), events->first);
    return bytes_write(events, bytes, error);
}

void events_step(Events *events, const LoomContext *ctx, gint64 step)
{
    if (events->noted != loom_context_generation(ctx))
        events->first = step;
    events->noted = loom_context_generation(ctx);
}

gboolean events_write(Events *events, const LoomContext *ctx, const char *prefix, gint64 step,
                      const LoomField *fields, guint n_fields, GError **error)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    if (!events->folder || !loom_context_writes(ctx))
        return TRUE;
    if (!events_begin(events, loom_context_generation(ctx), error))
        return FALSE;
    events_scalars_append(bytes, now(), step, prefix, fields, n_fields);
    return bytes_write(events, bytes, error);
}

/* ---- validations -------------------------------------------------------------------- */

/* The numbers of a line of log.jsonl. */
static GArray *fields_of(JsonObject *record)
{
    GArray *fields = g_array_new(FALSE, FALSE, sizeof(LoomField));
    g_autoptr(GList) members = json_object_get_members(record);

    for (const GList *at = members; at; at = at->next) {
        JsonNode *node = json_object_get_member(record, at->data);
        LoomField field = {.name = at->data}; /* lives as long as the record */

        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) == G_TYPE_STRING
            || g_str_equal(field.name, "step"))
            continue;
        field.value = json_node_get_double(node);
        g_array_append_val(fields, field);
    }
    return fields;
}

gboolean events_metrics(Events *events, const LoomContext *ctx, GError **error)
{
    g_autofree char *text = events->folder ? loom_context_latest(ctx, "metrics") : NULL;
    g_autoptr(JsonNode) node = NULL;

    if (!text || g_strcmp0(text, events->seen) == 0)
        return TRUE;
    g_free(events->seen);
    events->seen = g_strdup(text);
    node = json_from_string(text, NULL);
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return TRUE;
    JsonObject *record = json_node_get_object(node);
    g_autoptr(GArray) fields = fields_of(record);
    return events_write(events, ctx, "validate",
                        json_object_get_int_member_with_default(record, "step", 0),
                        (const LoomField *)(const void *)fields->data, fields->len, error);
}

void events_pass(Events *events, const LoomContext *ctx)
{
    g_free(events->seen);
    events->seen = events->folder ? loom_context_latest(ctx, "metrics") : NULL;
}
