/* zmq_guard - the ZAP handler of one context: lets in the keys of the allow-list, or who has
 * the password of the port, no others.
 *
 * libzmq asks with the frames version, request, domain, address, identity, mechanism, then for
 * CURVE the key, once a client has proven that it has its secret, for PLAIN user and password.
 * Source: ZeroMQ RFC 27/ZAP. */
#include "zmq_guard.h"

#include "zmq_pass.h"

#include <loom/plugin.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <zmq.h>

#define ADDRESS "inproc://zeromq.zap.01"
#define QUIET_US (60 * G_USEC_PER_SEC) /* a peer is named once in that time */
#define MOST_NAMED 64                  /* peers in that time: strangers have keys without end */
#define FRAMES 8                       /* at most */
#define LARGEST 256

struct _Guard {
    void *socket;
    AllowList allowed;
    char *secret;      /* NULL: nobody has a password */
    GHashTable *named; /* "address key" of those refused since `quiet_since` */
    gint64 quiet_since;
    int stop; /* eventfd */
    pthread_t thread;
    gboolean running;
};

typedef struct {
    char bytes[FRAMES][LARGEST + 1]; /* a zero behind each */
    gsize size[FRAMES];
    guint n;
} Request;

/* FALSE: nothing that libzmq would ask. */
static gboolean request_read(void *socket, Request *request)
{
    gboolean more = TRUE, right = TRUE;
    gsize size = sizeof(int);
    int flag;

    memset(request, 0, sizeof *request);
    while (more) {
        const guint i = MIN(request->n, FRAMES - 1);
        const int got = zmq_recv(socket, request->bytes[i], LARGEST, 0);

        right = right && request->n < FRAMES && got >= 0 && got <= LARGEST;
        if (got < 0)
            return FALSE;
        request->size[i] = (gsize)MIN(got, LARGEST);
        request->bytes[i][request->size[i]] = 0;
        request->n++;
        more = zmq_getsockopt(socket, ZMQ_RCVMORE, &flag, &size) == 0 && flag;
    }
    if (!right || request->n != (g_str_equal(request->bytes[5], "PLAIN") ? 8 : 7))
        return FALSE;
    return g_str_equal(request->bytes[0], "1.0")
           && (g_str_equal(request->bytes[5], "PLAIN")
               || (g_str_equal(request->bytes[5], "CURVE") && request->size[6] == 32));
}

static void reply(void *socket, const Request *request, const char *status, const char *text)
{
    zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    zmq_send(socket, request->bytes[1], request->size[1], ZMQ_SNDMORE);
    zmq_send(socket, status, 3, ZMQ_SNDMORE);
    zmq_send(socket, text, strlen(text), ZMQ_SNDMORE);
    zmq_send(socket, "", 0, ZMQ_SNDMORE); /* user */
    zmq_send(socket, "", 0, 0);           /* metadata */
}

/* @key: NULL: a password was wrong. */
static void refusal_log(Guard *guard, const char *address, const char *key)
{
    const gint64 now = g_get_monotonic_time();
    g_autofree char *peer = g_strdup_printf("%s %s", address, key ? key : "-");

    if (now - guard->quiet_since >= QUIET_US) {
        g_hash_table_remove_all(guard->named);
        guard->quiet_since = now;
    }
    if (g_hash_table_size(guard->named) >= MOST_NAMED
        || !g_hash_table_add(guard->named, g_steal_pointer(&peer)))
        return;
    if (key)
        g_warning("refused '%s' with the public key '%s': the key is not on the list of "
                  "allowed keys",
                  address, key);
    else
        g_warning("refused '%s': it does not have the password of this user's processes",
                  address);
    if (g_hash_table_size(guard->named) == MOST_NAMED)
        g_warning("refused %u keys within a minute; more of them will not be named",
                  MOST_NAMED);
}

/* In the same time, whatever is wrong. */
static gboolean texts_equal(const char *a, const char *b)
{
    const gsize length = strlen(a);
    guint differ = strlen(b) != length;

    for (gsize i = 0; !differ && i < length; i++)
        differ |= (guint)(guint8)a[i] ^ (guint)(guint8)b[i];
    return !differ;
}

static gboolean password_right(const Guard *guard, const Request *request)
{
    guint64 port;

    if (!guard->secret
        || !g_ascii_string_to_unsigned(request->bytes[2], 10, 1, G_MAXUINT16, &port, NULL))
        return FALSE;
    g_autofree char *word = zmq_pass_word(guard->secret, (guint)port);
    return texts_equal(word, request->bytes[7]);
}

static void answer(Guard *guard)
{
    Request request;
    char key[KEY_SIZE] = "";
    gboolean plain, right;

    if (!request_read(guard->socket, &request)) {
        reply(guard->socket, &request, "500", "not understood");
        return;
    }
    plain = g_str_equal(request.bytes[5], "PLAIN");
    if (plain) {
        right = password_right(guard, &request);
    } else {
        zmq_z85_encode(key, (const guint8 *)request.bytes[6], 32);
        right = zmq_allow_has(&guard->allowed, key);
    }
    if (right) {
        reply(guard->socket, &request, "200", "");
        return;
    }
    reply(guard->socket, &request, "400", plain ? "wrong password" : "key not allowed");
    /* sockets are of IPv6, in which an address of IPv4 has that in front */
    refusal_log(guard,
                request.bytes[3] + (g_str_has_prefix(request.bytes[3], "::ffff:") ? 7 : 0),
                plain ? NULL : key);
}

static void *guard_main(void *argument)
{
    Guard *guard = argument;
    zmq_pollitem_t items[] = {{guard->socket, 0, ZMQ_POLLIN, 0},
                              {NULL, guard->stop, ZMQ_POLLIN, 0}};

    while (zmq_poll(items, 2, -1) >= 0 || errno == EINTR) {
        if (items[1].revents)
            break;
        if (items[0].revents)
            answer(guard);
    }
    return NULL;
}

Guard *zmq_guard_new(void *context, const char *allowed, const char *own, const char *secret,
                     GError **error)
{
    Guard *guard = g_new0(Guard, 1);
    const int no_wait = 0;

    guard->stop = eventfd(0, EFD_CLOEXEC);
    guard->secret = g_strdup(secret);
    guard->named = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guard->quiet_since = g_get_monotonic_time();
    guard->socket = zmq_socket(context, ZMQ_REP);
    if (!zmq_allow_open(&guard->allowed, allowed, own, error)) {
        zmq_guard_free(guard);
        return NULL;
    }
    guard->running = guard->stop >= 0 && guard->socket
                     && zmq_setsockopt(guard->socket, ZMQ_LINGER, &no_wait, sizeof no_wait) == 0
                     && zmq_bind(guard->socket, ADDRESS) == 0
                     && pthread_create(&guard->thread, NULL, guard_main, guard) == 0;
    if (guard->running)
        return guard;
    zmq_guard_free(guard);
    return loom_fail_null(error, LOOM_ERROR_IO, "no thread for the list of allowed keys: %s",
                          zmq_strerror(zmq_errno()));
}

void zmq_guard_free(Guard *guard)
{
    if (!guard)
        return;
    if (guard->running) {
        eventfd_write(guard->stop, 1);
        pthread_join(guard->thread, NULL);
    }
    if (guard->socket)
        zmq_close(guard->socket);
    if (guard->stop >= 0)
        close(guard->stop);
    zmq_allow_clear(&guard->allowed);
    g_free(guard->secret);
    g_hash_table_unref(guard->named);
    g_free(guard);
}
