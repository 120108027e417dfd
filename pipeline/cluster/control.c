/* control - a port, and a link to every address that the machine writes to, opened when it
 * first does and closed when it has not for a minute.
 *
 * What cannot be sent is dropped: the machine repeats what matters. */
#include "control.h"

#define LINK_IDLE_MS 60000
#define LINKS_MAX 4096 /* strangers name addresses too */
#define DRAIN_MAX 256  /* messages between two ticks */

typedef struct {
    guint number; /* in the port */
    gint64 used;  /* when something was sent last */
    char *key;    /* NULL: clear text */
} Link;

struct _LoomControl {
    const LoomTransport *transport;
    gpointer self; /* of the transport */
    LoomPort *port;
    LoomMachine *machine;
    GHashTable *links; /* address -> Link * */
    GQueue lost;       /* addresses whose link could not be opened, the machine does not know */
};

static void link_free(gpointer data)
{
    Link *link = data;

    g_free(link->key);
    g_free(link);
}

LoomControl *loom_control_new(const LoomInstance *transport, const char *address,
                              GError **error)
{
    g_autoptr(LoomControl) control = g_new0(LoomControl, 1);

    control->transport = (const LoomTransport *)transport->plugin;
    control->self = transport->self;
    control->links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, link_free);
    g_queue_init(&control->lost);
    control->port = control->transport->port_open(control->self, address, error);
    return control->port ? g_steal_pointer(&control) : NULL;
}

void loom_control_free(LoomControl *control)
{
    if (!control)
        return;
    if (control->port)
        control->transport->port_close(control->self, control->port);
    loom_machine_free(control->machine);
    g_hash_table_unref(control->links);
    g_queue_clear_full(&control->lost, g_free);
    g_free(control);
}

const char *loom_control_address(const LoomControl *control)
{
    return control->transport->port_address(control->self, control->port);
}

void loom_control_begin(LoomControl *control, LoomMachine *machine)
{
    g_assert(!control->machine);
    control->machine = machine;
}

LoomMachine *loom_control_machine(LoomControl *control)
{
    return control->machine;
}

gint64 loom_control_now(void)
{
    return g_get_monotonic_time() / 1000;
}

/* ---- links -------------------------------------------------------------------------- */

static void link_drop(LoomControl *control, const char *address)
{
    const Link *link = g_hash_table_lookup(control->links, address);

    control->transport->link_close(control->self, control->port, link->number);
    g_hash_table_remove(control->links, address);
}

/* Closes those not used since @before. */
static void links_expire(LoomControl *control, gint64 before)
{
    GHashTableIter iter;
    gpointer link;

    g_hash_table_iter_init(&iter, control->links);
    while (g_hash_table_iter_next(&iter, NULL, &link))
        if (((Link *)link)->used < before) {
            control->transport->link_close(control->self, control->port,
                                           ((Link *)link)->number);
            g_hash_table_iter_remove(&iter);
        }
}

/* NULL: there is none, and none can be opened. */
static Link *link_to(LoomControl *control, const char *address, const char *key, GError **error)
{
    Link *link = g_hash_table_lookup(control->links, address);

    if (link && g_strcmp0(link->key, key) == 0)
        return link;
    if (link) /* another process took the address over */
        link_drop(control, address);
    if (g_hash_table_size(control->links) >= LINKS_MAX)
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "more than %d addresses to answer to",
                              LINKS_MAX);
    link = g_new0(Link, 1);
    link->key = g_strdup(key);
    if (!control->transport->link_open(control->self, control->port, address, key,
                                       &link->number, error)) {
        link_free(link);
        return NULL;
    }
    g_hash_table_insert(control->links, g_strdup(address), link);
    return link;
}

static const char *link_address(const LoomControl *control, guint number)
{
    GHashTableIter iter;
    gpointer address, link;

    g_hash_table_iter_init(&iter, control->links);
    while (g_hash_table_iter_next(&iter, &address, &link))
        if (((Link *)link)->number == number)
            return address;
    return NULL;
}

static void send_message(LoomControl *control, const LoomAct *act)
{
    g_autoptr(GError) error = NULL;
    GBytes *const frames[] = {act->message};
    Link *link = link_to(control, act->address, act->key, &error);

    if (link) {
        link->used = loom_control_now();
        if (control->transport->send(control->self, control->port, link->number, frames, 1,
                                     &error)
            != LOOM_FLOW_FAIL)
            return;
    }
    g_debug("no message to '%s': %s", act->address, error->message);
    g_queue_push_tail(&control->lost, g_strdup(act->address));
}

/* ---- events and acts ---------------------------------------------------------------- */

static void take_event(LoomControl *control, const LoomPortEvent *event)
{
    const char *address;

    if (event->kind == LOOM_PORT_MESSAGE && event->frames->len == 1)
        loom_machine_receive(control->machine, g_ptr_array_index(event->frames, 0),
                             loom_control_now());
    else if (event->kind == LOOM_PORT_LINK_LOST
             && (address = link_address(control, event->link)))
        loom_machine_lost(control->machine, address, loom_control_now());
}

/* @taken: FALSE: nothing was there. */
static gboolean receive_one(LoomControl *control, gint timeout_ms, gboolean *taken,
                            GError **error)
{
    LoomPortEvent event = {0};

    if (!control->transport->receive(control->self, control->port, timeout_ms, &event, error))
        return FALSE;
    take_event(control, &event);
    g_clear_pointer(&event.frames, g_ptr_array_unref);
    *taken = event.kind != LOOM_PORT_NOTHING;
    return TRUE;
}

gboolean loom_control_step(LoomControl *control, gint64 timeout_ms, GError **error)
{
    const gint64 due = loom_machine_due(control->machine, loom_control_now());
    gint64 timeout = CLAMP(due, 0, MAX(0, timeout_ms));
    gboolean taken = TRUE;

    for (guint n = g_queue_get_length(&control->lost); n > 0; n--, timeout = 0) {
        g_autofree char *address = g_queue_pop_head(&control->lost);
        loom_machine_lost(control->machine, address, loom_control_now());
    }
    for (guint i = 0; taken && i < DRAIN_MAX; i++, timeout = 0)
        if (!receive_one(control, (gint)timeout, &taken, error))
            return FALSE;
    const gint64 now = loom_control_now();
    loom_machine_tick(control->machine, now);
    links_expire(control, now - LINK_IDLE_MS);
    return TRUE;
}

LoomAct *loom_control_next(LoomControl *control)
{
    for (;;) {
        g_autoptr(LoomAct) act = loom_machine_next(control->machine);

        if (act && act->kind != LOOM_ACT_SEND)
            return g_steal_pointer(&act);
        if (!act)
            return NULL;
        send_message(control, act);
    }
}

void loom_control_wake(LoomControl *control)
{
    control->transport->port_wake(control->self, control->port);
}
