/* zmq_message - bytes out and in without a copy, and the one place where a port waits.
 *
 * Out, a frame holds a reference on its GBytes until libzmq's release callback.  In, a GBytes
 * holds the libzmq message.  Small frames are copied: that is quicker than keeping them, and a
 * small frame would keep the whole buffer of libzmq in which it arrived. */
#include "zmq_port.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include <zmq.h>

#define SMALL 1024
#define LOOK_AT_LINKS 16 /* messages: while they flow, links are looked at once in so many */
#define QUIET_US (60 * G_USEC_PER_SEC)

/* ---- out -------------------------------------------------------------------------------- */

/* What is let go was written before it was sent.  libzmq sees to that as well, but with
 * instructions that ThreadSanitizer does not see. */
static gint fence;

/* In a thread of libzmq. */
static void frame_let_go(G_GNUC_UNUSED void *bytes, void *frame)
{
    g_atomic_int_inc(&fence);
    g_bytes_unref(frame);
}

static gboolean frame_make(zmq_msg_t *message, GBytes *frame)
{
    gsize size;
    gpointer data = (gpointer)(guintptr)g_bytes_get_data(frame, &size);

    g_assert(size <= FRAME_LIMIT);
    if (size < SMALL) {
        if (zmq_msg_init_size(message, size) != 0)
            return FALSE;
        if (size)
            memcpy(zmq_msg_data(message), data, size);
        return TRUE;
    }
    g_bytes_ref(frame);
    g_atomic_int_inc(&fence);
    if (zmq_msg_init_data(message, data, size, frame_let_go, frame) == 0)
        return TRUE;
    g_bytes_unref(frame);
    return FALSE;
}

LoomFlow zmq_port_send(G_GNUC_UNUSED gpointer self, LoomPort *port, guint number,
                       GBytes *const *frames, guint n, GError **error)
{
    g_assert(number < port->links->len && port->links->pdata[number]);
    g_assert(n >= 1 && n <= LOOM_MESSAGE_MAX_FRAMES);
    Link *link = port->links->pdata[number];

    if (link->full || !link->socket) {
        link->full = TRUE;
        return LOOM_FLOW_STOP;
    }
    for (guint i = 0; i < n; i++) {
        const int flags = ZMQ_DONTWAIT | (i + 1 < n ? ZMQ_SNDMORE : 0);
        zmq_msg_t message;

        if (!frame_make(&message, frames[i])) {
            loom_fail(error, LOOM_ERROR_LIMIT, "'%s': no memory for a message",
                      link->address.text);
            return LOOM_FLOW_FAIL;
        }
        if (zmq_msg_send(&message, link->socket, flags) >= 0)
            continue;
        const int cause = zmq_errno();
        zmq_msg_close(&message);
        if (cause == EAGAIN && i == 0) {
            link->full = TRUE;
            return LOOM_FLOW_STOP;
        }
        loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be sent to: %s", link->address.text,
                  zmq_strerror(cause));
        return LOOM_FLOW_FAIL;
    }
    return LOOM_FLOW_OK;
}

/* ---- in --------------------------------------------------------------------------------- */

static void message_free(gpointer message)
{
    zmq_msg_close(message);
    g_free(message);
}

/* (transfer full); NULL: nothing there. */
static zmq_msg_t *frame_receive(void *socket)
{
    zmq_msg_t message;

    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) < 0)
        return NULL;
    zmq_msg_t *kept = g_new(zmq_msg_t, 1);
    zmq_msg_init(kept);
    zmq_msg_move(kept, &message);
    return kept;
}

static GBytes *frame_bytes(zmq_msg_t *message)
{
    const gsize size = zmq_msg_size(message);

    if (size >= SMALL)
        return g_bytes_new_with_free_func(zmq_msg_data(message), size, message_free, message);
    GBytes *bytes = g_bytes_new(zmq_msg_data(message), size);
    message_free(message);
    return bytes;
}

static void oversized_log(LoomPort *port)
{
    const gint64 now = g_get_monotonic_time();

    port->oversized.n++;
    if (port->oversized.told_at && now - port->oversized.told_at < QUIET_US)
        return;
    port->oversized.told_at = now;
    g_warning("'%s' dropped a message of more than %d frames; %" G_GUINT64_FORMAT
              " of them so far",
              port->address, LOOM_MESSAGE_MAX_FRAMES, port->oversized.n);
}

/* FALSE: no message waits, or it was dropped. */
static gboolean message_take(LoomPort *port, LoomPortEvent *event)
{
    zmq_msg_t *message = frame_receive(port->socket);

    if (!message)
        return FALSE;
    g_autoptr(GPtrArray) frames = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    guint n = 0;
    gboolean more = TRUE;
    while (message) {
        more = zmq_msg_more(message);
        if (n++ < LOOM_MESSAGE_MAX_FRAMES)
            g_ptr_array_add(frames, frame_bytes(message));
        else
            message_free(message);
        message = more ? frame_receive(port->socket) : NULL;
    }
    if (n > LOOM_MESSAGE_MAX_FRAMES || more) {
        oversized_log(port);
        return FALSE; /* the next one after a look at all else */
    }
    event->kind = LOOM_PORT_MESSAGE;
    event->frames = g_steal_pointer(&frames);
    return TRUE;
}

/* ---- strangers -------------------------------------------------------------------------- */

static Stranger stranger_of(guint event, guint value)
{
    if (event != ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        return STRANGER_SILENT;
    if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return STRANGER_CLEAR;
    return value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC ? STRANGER_KEY : STRANGER_FORM;
}

static void strangers_look(LoomPort *port)
{
    const char *texts[N_STRANGERS] = {
        [STRANGER_SILENT] = "broken off before the handshake was done",
        [STRANGER_CLEAR] =
            *port->zmq->keys.public ? "refused: clear text, without a key"
            : port->password ? "refused: it does not say the password of this user's processes"
                             : "refused: encrypted, but this end has no secret",
        [STRANGER_KEY] = "refused: encrypted for another key than that of this end",
        [STRANGER_FORM] = "refused: not a handshake of ZeroMQ",
    };
    const gint64 now = g_get_monotonic_time();
    guint event, value;

    while (zmq_watch_read(port->monitor, &event, &value)) {
        const Stranger kind = stranger_of(event, value);

        if (event == ZMQ_EVENT_CLOSED)
            continue;
        port->strangers[kind].n++;
        if (port->strangers[kind].told_at && now - port->strangers[kind].told_at < QUIET_US)
            continue;
        port->strangers[kind].told_at = now;
        /* who breaks off may simply have died */
        g_log(G_LOG_DOMAIN, kind == STRANGER_SILENT ? G_LOG_LEVEL_INFO : G_LOG_LEVEL_WARNING,
              "a connection to '%s' was %s; %" G_GUINT64_FORMAT " of them so far",
              port->address, texts[kind], port->strangers[kind].n);
    }
}

/* ---- waiting ---------------------------------------------------------------------------- */

static void items_add(GArray *items, void *socket, int fd, short events)
{
    const zmq_pollitem_t item = {socket, fd, events, 0};

    g_array_append_val(items, item);
}

/* Until something happens, or @until.  FALSE with the error. */
static gboolean port_wait(LoomPort *port, gint64 until, GError **error)
{
    const gint64 left = MIN(until, zmq_links_due(port));
    GArray *items = port->items;
    eventfd_t n;
    long wait_ms = -1;

    if (left != G_MAXINT64)
        wait_ms = (long)MAX((left - g_get_monotonic_time() + 999) / 1000, 0);
    g_array_set_size(items, 0);
    items_add(items, NULL, port->wake, ZMQ_POLLIN);
    items_add(items, port->socket, 0, ZMQ_POLLIN);
    items_add(items, port->monitor, 0, ZMQ_POLLIN);
    for (guint i = 0; i < port->links->len; i++) {
        const Link *link = port->links->pdata[i];

        if (link && link->monitor)
            items_add(items, link->monitor, 0, ZMQ_POLLIN);
        if (link && link->monitor && link->full)
            items_add(items, link->socket, 0, ZMQ_POLLOUT);
    }
    if (zmq_poll((zmq_pollitem_t *)(gpointer)items->data, (int)items->len, wait_ms) < 0
        && zmq_errno() != EINTR)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be waited on: %s", port->address,
                         zmq_strerror(zmq_errno()));
    if (g_array_index(items, zmq_pollitem_t, 0).revents)
        eventfd_read(port->wake, &n);
    if (g_array_index(items, zmq_pollitem_t, 2).revents)
        strangers_look(port);
    return TRUE;
}

gboolean zmq_port_receive(G_GNUC_UNUSED gpointer self, LoomPort *port, gint timeout_ms,
                          LoomPortEvent *event, GError **error)
{
    const gint64 until =
        timeout_ms < 0 ? G_MAXINT64 : g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    gboolean last = FALSE;

    *event = (LoomPortEvent){LOOM_PORT_NOTHING, 0, NULL};
    while (TRUE) {
        if (g_atomic_int_compare_and_exchange(&port->woken, TRUE, FALSE))
            return TRUE;
        if (port->calls++ % LOOK_AT_LINKS == 0) {
            strangers_look(port);
            if (zmq_links_look(port, event))
                return TRUE;
        }
        if (message_take(port, event) || zmq_links_look(port, event) || last)
            return TRUE;
        if (!port_wait(port, until, error))
            return FALSE;
        last = g_get_monotonic_time() >= until;
    }
}
