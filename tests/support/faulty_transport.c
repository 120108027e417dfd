/* faulty - another transport whose messages get lost, doubled, late or out of turn: for tests.
 *
 * What is to be late waits here, and goes out from within the next calls of `send` and
 * `receive`.  The same seed spoils the same messages. */
#include <loom/loom.h>

#include <string.h>
#include <sys/stat.h>

#define LATE_MS 20 /* of a message out of turn: those of the meantime overtake it */
#define MOST_HELD 256

typedef struct {
    LoomInstance *over;
    gint64 drop, twice, reorder, delay_ms, seed;
    char *cut, *only;
    gint ports; /* opened so far; atomic */
} Faulty;

typedef struct {
    guint link, n;
    gint64 due; /* microseconds of the monotonic clock */
    GBytes *frames[LOOM_MESSAGE_MAX_FRAMES];
} Held;

struct _LoomPort {
    LoomPort *inner;
    LoomRng rng;
    GQueue held;     /* of Held, the first due first */
    gboolean spoilt; /* what it sends */
    gint woken;      /* atomic: the inner port's NOTHING does not say why */
};

static const LoomParam faulty_params[] = {
    LOOM_USE(Faulty, over, NULL, "transport", "the one to spoil"),
    LOOM_INT(Faulty, drop, "0", 0, 100, "percent", "messages that never arrive"),
    {"double", LOOM_PARAM_INT, LOOM_MEMBER(Faulty, twice, gint64), "0", 0, 100, NULL, "percent",
     "messages that arrive twice"}, /* C has that word for itself */
    LOOM_INT(Faulty, reorder, "0", 0, 100, "percent", "messages that others overtake"),
    LOOM_INT(Faulty, delay_ms, "0", 0, 10000, "ms", "every message is late by that"),
    LOOM_INT(Faulty, seed, "1", 0, 1e9, NULL, "another seed, other messages"),
    LOOM_STRING(Faulty, only, "", "ports with this in their addresses; empty: all"),
    LOOM_PATH(Faulty, cut, "", "while that file exists nothing comes or goes"),
    {0},
};

static const LoomTransport *inner_of(const Faulty *faulty)
{
    return (const LoomTransport *)faulty->over->plugin;
}

static gboolean is_cut(const Faulty *faulty)
{
    struct stat found;

    return faulty->cut && stat(faulty->cut, &found) == 0;
}

/* ---- what waits here -------------------------------------------------------------------- */

static void held_free(gpointer pointer)
{
    Held *held = pointer;

    for (guint i = 0; i < held->n; i++)
        g_bytes_unref(held->frames[i]);
    g_free(held);
}

static gint held_compare(gconstpointer a, gconstpointer b, G_GNUC_UNUSED gpointer unused)
{
    const gint64 x = ((const Held *)a)->due, y = ((const Held *)b)->due;

    return (x > y) - (x < y);
}

static void hold(LoomPort *port, guint link, GBytes *const *frames, guint n, gint64 late_ms)
{
    Held *held = g_new0(Held, 1);

    held->link = link;
    held->n = n;
    held->due = g_get_monotonic_time() + late_ms * 1000;
    for (guint i = 0; i < n; i++)
        held->frames[i] = g_bytes_ref(frames[i]);
    /* Behind those of the same time: equal delays keep the order. */
    GList *at = port->held.tail;
    while (at && held_compare(at->data, held, NULL) > 0)
        at = at->prev;
    g_queue_insert_after(&port->held, at, held);
}

/* Sends what is due, or too much.  A full link keeps its own for the next time. */
static gboolean held_send(Faulty *faulty, LoomPort *port, GError **error)
{
    const gint64 now = g_get_monotonic_time();

    while (!g_queue_is_empty(&port->held)) {
        Held *held = g_queue_peek_head(&port->held);

        if (held->due > now && g_queue_get_length(&port->held) < MOST_HELD)
            return TRUE;
        const LoomFlow flow = inner_of(faulty)->send(faulty->over->self, port->inner,
                                                     held->link, held->frames, held->n, error);
        if (flow == LOOM_FLOW_FAIL)
            return FALSE;
        if (flow == LOOM_FLOW_STOP)
            return TRUE;
        held_free(g_queue_pop_head(&port->held));
    }
    return TRUE;
}

/* ---- the contract ----------------------------------------------------------------------- */

static LoomPort *faulty_port_open(gpointer self, const char *address, GError **error)
{
    Faulty *faulty = self;
    LoomPort *inner = inner_of(faulty)->port_open(faulty->over->self, address, error);

    if (!inner)
        return NULL;
    LoomPort *port = g_new0(LoomPort, 1);
    port->inner = inner;
    port->spoilt = !faulty->only || strstr(address, faulty->only);
    port->rng =
        loom_rng((guint64)faulty->seed, "faulty", (guint64)g_atomic_int_add(&faulty->ports, 1));
    return port;
}

static const char *faulty_port_address(gpointer self, const LoomPort *port)
{
    const Faulty *faulty = self;

    return inner_of(faulty)->port_address(faulty->over->self, port->inner);
}

static void faulty_port_close(gpointer self, LoomPort *port)
{
    Faulty *faulty = self;

    inner_of(faulty)->port_close(faulty->over->self, port->inner);
    g_queue_clear_full(&port->held, held_free);
    g_free(port);
}

static void faulty_port_wake(gpointer self, LoomPort *port)
{
    Faulty *faulty = self;

    g_atomic_int_set(&port->woken, TRUE);
    inner_of(faulty)->port_wake(faulty->over->self, port->inner);
}

static gboolean faulty_link_open(gpointer self, LoomPort *port, const char *address,
                                 const char *key, guint *link, GError **error)
{
    Faulty *faulty = self;

    return inner_of(faulty)->link_open(faulty->over->self, port->inner, address, key, link,
                                       error);
}

static void faulty_link_close(gpointer self, LoomPort *port, guint link)
{
    Faulty *faulty = self;

    for (GList *at = port->held.head, *next; at; at = next) {
        next = at->next;
        if (((Held *)at->data)->link == link) {
            held_free(at->data);
            g_queue_delete_link(&port->held, at);
        }
    }
    inner_of(faulty)->link_close(faulty->over->self, port->inner, link);
}

static gboolean happens(LoomPort *port, gint64 percent)
{
    return loom_rng_below(&port->rng, 100) < percent;
}

static LoomFlow faulty_send(gpointer self, LoomPort *port, guint link, GBytes *const *frames,
                            guint n, GError **error)
{
    Faulty *faulty = self;
    /* always all three: the same seed, the same messages */
    const gboolean dropped = happens(port, faulty->drop) && port->spoilt;
    const gboolean twice = happens(port, faulty->twice) && port->spoilt;
    const gboolean late = happens(port, faulty->reorder) && port->spoilt;

    if (!held_send(faulty, port, error))
        return LOOM_FLOW_FAIL;
    if (dropped || is_cut(faulty))
        return LOOM_FLOW_OK;
    if (g_queue_get_length(&port->held) >= MOST_HELD || (!late && faulty->delay_ms == 0)) {
        const LoomFlow flow =
            inner_of(faulty)->send(faulty->over->self, port->inner, link, frames, n, error);
        if (flow != LOOM_FLOW_OK)
            return flow;
    } else {
        hold(port, link, frames, n, faulty->delay_ms + (late ? LATE_MS : 0));
    }
    if (twice)
        hold(port, link, frames, n, faulty->delay_ms);
    return LOOM_FLOW_OK;
}

/* Milliseconds until something is due, at most @timeout_ms (-1: for ever). */
static gint time_left(const LoomPort *port, gint timeout_ms)
{
    const Held *first = port->held.head ? port->held.head->data : NULL;

    if (!first)
        return timeout_ms;
    const gint64 left = MAX((first->due - g_get_monotonic_time() + 999) / 1000, 1);
    return timeout_ms < 0 ? (gint)left : (gint)MIN(left, timeout_ms);
}

static gboolean faulty_receive(gpointer self, LoomPort *port, gint timeout_ms,
                               LoomPortEvent *event, GError **error)
{
    const gint64 until =
        timeout_ms < 0 ? G_MAXINT64 : g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    Faulty *faulty = self;

    while (TRUE) {
        const gint64 now = g_get_monotonic_time();
        const gint left = timeout_ms < 0 ? -1 : (gint)MAX((until - now + 999) / 1000, 0);

        if (!held_send(faulty, port, error))
            return FALSE;
        const gint wait = time_left(port, left);
        if (!inner_of(faulty)->receive(faulty->over->self, port->inner, wait, event, error))
            return FALSE;
        if (event->kind == LOOM_PORT_MESSAGE && is_cut(faulty)) {
            g_clear_pointer(&event->frames, g_ptr_array_unref);
            event->kind = LOOM_PORT_NOTHING;
        } else if (event->kind != LOOM_PORT_NOTHING) {
            return TRUE;
        }
        if (g_atomic_int_compare_and_exchange(&port->woken, TRUE, FALSE)
            || g_get_monotonic_time() >= until)
            return TRUE;
    }
}

static const char *faulty_key(gpointer self)
{
    const Faulty *faulty = self;

    return inner_of(faulty)->key(faulty->over->self);
}

static const LoomTransport faulty = {
    .base =
        LOOM_TRANSPORT(Faulty, "faulty", "Another transport, spoiled", .params = faulty_params),
    .port_open = faulty_port_open,
    .port_address = faulty_port_address,
    .port_close = faulty_port_close,
    .port_wake = faulty_port_wake,
    .link_open = faulty_link_open,
    .link_close = faulty_link_close,
    .send = faulty_send,
    .receive = faulty_receive,
    .key = faulty_key,
};
LOOM_MODULE("transport_faulty", "0.1", &faulty.base);
