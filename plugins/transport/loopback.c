/* loopback - ports and links inside one process: messages change hands, nothing is copied.
 *
 * Ports stand in a table by their names.  A message waits at the link that sent it, and the
 * port at the other end takes from its links in turn. */
#include <loom/loom.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define SCHEME "loopback://"
#define ROOM 64 /* messages on one link */

typedef enum { LINK_NEW, LINK_UP, LINK_LOST } LinkState;

typedef struct {
    LoomPort *from;
    char *name;     /* of the port at the other end */
    LoomPort *to;   /* NULL: nobody has that name now */
    guint meetings; /* how often `to` was found */
    guint met;      /* meetings that were told */
    LinkState told;
    gboolean full; /* a message was refused and LINK_READY not yet told */
    GQueue messages;
} Link;

struct _LoomPort {
    char *address;    /* with SCHEME */
    GPtrArray *links; /* of Link, by number; NULL: free */
    GPtrArray *in;    /* links of all ports that end here */
    guint next_in, next_link;
    GQueue left; /* messages whose link is gone */
    gboolean woken;
    pthread_cond_t changed; /* there may be an event */
};

typedef struct {
    gint64 none;
} Loopback;

/* Guards the table and all that its ports and their links hold. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static GHashTable *table; /* name -> LoomPort, borrowed; NULL: no port is open */

static void enter(void)
{
    pthread_mutex_lock(&lock);
}

static void leave(void)
{
    pthread_mutex_unlock(&lock);
}

/* ---- links -------------------------------------------------------------------------- */

static void message_free(gpointer message)
{
    g_ptr_array_unref(message);
}

static void link_meet(Link *link, LoomPort *to)
{
    link->to = to;
    link->meetings++;
    g_ptr_array_add(to->in, link);
    pthread_cond_signal(&link->from->changed);
    pthread_cond_signal(&to->changed); /* messages may have waited */
}

static void link_free(Link *link)
{
    if (link->to) {
        LoomPort *to = link->to;

        while (!g_queue_is_empty(&link->messages))
            g_queue_push_tail(&to->left, g_queue_pop_head(&link->messages));
        g_ptr_array_remove_fast(to->in, link);
        pthread_cond_signal(&to->changed);
    }
    g_queue_clear_full(&link->messages, message_free);
    g_free(link->name);
    g_free(link);
}

/* NULL, with the error, where @address is none of ours. */
static const char *name_in(const char *address, GError **error)
{
    if (!g_str_has_prefix(address, SCHEME) || !address[strlen(SCHEME)])
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "'%s' is no address of the transport 'loopback', want %sNAME: it "
                              "stays within one process, 'zmq' leads to others",
                              address, SCHEME);
    return address + strlen(SCHEME);
}

static gboolean loopback_link_open(G_GNUC_UNUSED gpointer self, LoomPort *port,
                                   const char *address, const char *key, guint *link,
                                   GError **error)
{
    const char *name = name_in(address, error);

    if (!name)
        return FALSE;
    if (key)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' has a public key, but nothing is secret within one process",
                         address);
    Link *made = g_new0(Link, 1);

    made->from = port;
    made->name = g_strdup(name);
    enter();
    if (!g_ptr_array_find(port->links, NULL, link)) {
        *link = port->links->len;
        g_ptr_array_add(port->links, NULL);
    }
    port->links->pdata[*link] = made;
    LoomPort *to = g_hash_table_lookup(table, name);
    if (to)
        link_meet(made, to);
    leave();
    return TRUE;
}

static Link *link_at(LoomPort *port, guint link)
{
    g_assert(link < port->links->len && port->links->pdata[link]);
    return port->links->pdata[link];
}

static void loopback_link_close(G_GNUC_UNUSED gpointer self, LoomPort *port, guint link)
{
    enter();
    link_free(link_at(port, link));
    port->links->pdata[link] = NULL;
    leave();
}

/* ---- ports -------------------------------------------------------------------------- */

/* A name of no other port; (transfer full). */
static char *name_free(void)
{
    static guint64 last;
    char *name = NULL;

    do {
        g_free(name);
        name = g_strdup_printf("%" G_GUINT64_FORMAT, ++last);
    } while (g_hash_table_contains(table, name));
    return name;
}

/* Links of all ports that waited for this one. */
static void port_meet(LoomPort *port, const char *name)
{
    GHashTableIter iter;
    gpointer other;

    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, NULL, &other)) {
        const GPtrArray *links = ((LoomPort *)other)->links;

        for (guint i = 0; i < links->len; i++) {
            Link *link = links->pdata[i];

            if (link && g_str_equal(link->name, name))
                link_meet(link, port);
        }
    }
}

static LoomPort *port_new(void)
{
    LoomPort *port = g_new0(LoomPort, 1);
    pthread_condattr_t clock;

    port->links = g_ptr_array_new();
    port->in = g_ptr_array_new();
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&port->changed, &clock);
    pthread_condattr_destroy(&clock);
    return port;
}

static void port_free(LoomPort *port)
{
    g_queue_clear_full(&port->left, message_free);
    g_ptr_array_unref(port->links);
    g_ptr_array_unref(port->in);
    pthread_cond_destroy(&port->changed);
    g_free(port->address);
    g_free(port);
}

static LoomPort *loopback_port_open(G_GNUC_UNUSED gpointer self, const char *address,
                                    GError **error)
{
    const char *name = name_in(address, error);

    if (!name)
        return NULL;
    LoomPort *port = port_new();

    enter();
    if (!table)
        table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    char *taken = g_str_equal(name, "*") ? name_free() : g_strdup(name);
    const gboolean twice = g_hash_table_contains(table, taken);
    if (twice) {
        g_free(taken);
    } else {
        port->address = g_strconcat(SCHEME, taken, NULL);
        g_hash_table_insert(table, taken, port);
        port_meet(port, taken);
    }
    leave();
    if (!twice)
        return port;
    port_free(port);
    return loom_fail_null(error, LOOM_ERROR_IO, "'%s' is in use", address);
}

static const char *loopback_port_address(G_GNUC_UNUSED gpointer self, const LoomPort *port)
{
    return port->address;
}

static void loopback_port_close(G_GNUC_UNUSED gpointer self, LoomPort *port)
{
    enter();
    g_hash_table_remove(table, port->address + strlen(SCHEME));
    for (guint i = 0; i < port->in->len; i++) {
        Link *link = port->in->pdata[i];

        link->to = NULL;
        pthread_cond_signal(&link->from->changed);
    }
    g_ptr_array_set_size(port->in, 0);
    for (guint i = 0; i < port->links->len; i++)
        if (port->links->pdata[i])
            link_free(port->links->pdata[i]);
    if (g_hash_table_size(table) == 0)
        g_clear_pointer(&table, g_hash_table_unref);
    leave();
    port_free(port);
}

static void loopback_port_wake(G_GNUC_UNUSED gpointer self, LoomPort *port)
{
    enter();
    port->woken = TRUE;
    pthread_cond_signal(&port->changed);
    leave();
}

/* ---- messages ----------------------------------------------------------------------- */

static LoomFlow loopback_send(G_GNUC_UNUSED gpointer self, LoomPort *port, guint number,
                              GBytes *const *frames, guint n, G_GNUC_UNUSED GError **error)
{
    GPtrArray *message = g_ptr_array_new_full(n, (GDestroyNotify)g_bytes_unref);

    g_assert(n >= 1 && n <= LOOM_MESSAGE_MAX_FRAMES);
    for (guint i = 0; i < n; i++)
        g_ptr_array_add(message, g_bytes_ref(frames[i]));
    enter();
    Link *link = link_at(port, number);
    const gboolean taken = !link->full && g_queue_get_length(&link->messages) < ROOM;
    if (taken)
        g_queue_push_tail(&link->messages, message);
    if (taken && link->to)
        pthread_cond_signal(&link->to->changed);
    link->full = !taken;
    leave();
    if (!taken)
        g_ptr_array_unref(message);
    return taken ? LOOM_FLOW_OK : LOOM_FLOW_STOP;
}

/* What is new about a link, one thing at a time. */
static gboolean link_event(Link *link, LoomPortEventKind *kind)
{
    if (link->told == LINK_UP && (!link->to || link->met != link->meetings)) {
        link->told = LINK_LOST;
        *kind = LOOM_PORT_LINK_LOST;
    } else if (link->told != LINK_UP && link->to) {
        link->told = LINK_UP;
        link->met = link->meetings;
        *kind = LOOM_PORT_LINK_UP;
    } else if (link->told == LINK_NEW) {
        link->told = LINK_LOST;
        *kind = LOOM_PORT_LINK_LOST;
    } else if (link->full && g_queue_get_length(&link->messages) < ROOM) {
        link->full = FALSE;
        *kind = LOOM_PORT_LINK_READY;
    } else {
        return FALSE;
    }
    return TRUE;
}

static gboolean links_look(LoomPort *port, LoomPortEvent *event)
{
    for (guint i = 0; i < port->links->len; i++) {
        const guint k = (port->next_link + i) % port->links->len;

        if (port->links->pdata[k] && link_event(port->links->pdata[k], &event->kind)) {
            event->link = k;
            port->next_link = k + 1;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean message_take(LoomPort *port, LoomPortEvent *event)
{
    event->frames = g_queue_pop_head(&port->left);
    for (guint i = 0; !event->frames && i < port->in->len; i++) {
        Link *link = port->in->pdata[port->next_in++ % port->in->len];

        event->frames = g_queue_pop_head(&link->messages);
        if (event->frames && link->full)
            pthread_cond_signal(&link->from->changed);
    }
    event->kind = event->frames ? LOOM_PORT_MESSAGE : LOOM_PORT_NOTHING;
    return event->frames != NULL;
}

/* FALSE: the time is over.  @until: microseconds of the monotonic clock. */
static gboolean port_wait(LoomPort *port, gint64 until)
{
    const struct timespec at = {.tv_sec = until / G_USEC_PER_SEC,
                                .tv_nsec = until % G_USEC_PER_SEC * 1000};

    if (until == G_MAXINT64)
        return pthread_cond_wait(&port->changed, &lock) == 0;
    return pthread_cond_timedwait(&port->changed, &lock, &at) != ETIMEDOUT;
}

static gboolean loopback_receive(G_GNUC_UNUSED gpointer self, LoomPort *port, gint timeout_ms,
                                 LoomPortEvent *event, G_GNUC_UNUSED GError **error)
{
    const gint64 until =
        timeout_ms < 0 ? G_MAXINT64 : g_get_monotonic_time() + (gint64)timeout_ms * 1000;

    *event = (LoomPortEvent){LOOM_PORT_NOTHING, 0, NULL};
    enter();
    gboolean waiting = TRUE;
    while (!port->woken && !links_look(port, event) && !message_take(port, event) && waiting)
        waiting = port_wait(port, until);
    if (port->woken && event->kind == LOOM_PORT_NOTHING)
        port->woken = FALSE;
    leave();
    return TRUE;
}

static const char *loopback_key(G_GNUC_UNUSED gpointer self)
{
    return NULL;
}

static const LoomTransport loopback = {
    .base = LOOM_TRANSPORT(Loopback, "loopback", "Messages within one process", .params = NULL),
    .port_open = loopback_port_open,
    .port_address = loopback_port_address,
    .port_close = loopback_port_close,
    .port_wake = loopback_port_wake,
    .link_open = loopback_link_open,
    .link_close = loopback_link_close,
    .send = loopback_send,
    .receive = loopback_receive,
    .key = loopback_key,
};
LOOM_MODULE("transport_loopback", "0.1", &loopback.base);
