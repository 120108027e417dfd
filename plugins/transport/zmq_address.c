/* zmq_address - see zmq_address.h. */
#include "zmq_address.h"

#include <loom/plugin.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define TCP "tcp://"
#define IPC "ipc://"

/* ---- as written ------------------------------------------------------------------------- */

static gboolean tcp_parse(Address *address, gboolean listening, GError **error)
{
    const char *host = address->text + strlen(TCP);
    const char *colon = strrchr(host, ':');
    guint64 port = 0;

    if (!colon || colon == host || (*host == '[' && colon[-1] != ']')
        || (*host != '[' && memchr(host, ':', (gsize)(colon - host))))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' is no address, want tcp://HOST:PORT or tcp://[IPV6]:PORT",
                         address->text);
    if (!(listening && g_str_equal(colon, ":*"))
        && !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL))
        return loom_fail(error, LOOM_ERROR_CONFIG, "'%s': '%s' is no port, want 1 to 65535%s",
                         address->text, colon + 1, listening ? " or *" : "");
    address->port = (guint)port;
    address->host = *host == '[' ? g_strndup(host + 1, (gsize)(colon - host - 2))
                                 : g_strndup(host, (gsize)(colon - host));
    return TRUE;
}

static gboolean ipc_parse(Address *address, GError **error)
{
    const struct sockaddr_un *limit = NULL;

    address->path = address->text + strlen(IPC);
    if (*address->path != '/')
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' is no address, want ipc:// and an absolute path", address->text);
    if (strlen(address->path) >= sizeof limit->sun_path)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s': the path has %" G_GSIZE_FORMAT " characters, the system allows "
                         "%" G_GSIZE_FORMAT,
                         address->text, strlen(address->path), sizeof limit->sun_path - 1);
    return TRUE;
}

gboolean zmq_address_parse(const char *text, gboolean listening, Address *address,
                           GError **error)
{
    *address = (Address){.text = g_strdup(text)};
    const gboolean right =
        g_str_has_prefix(text, TCP) ? tcp_parse(address, listening, error)
        : g_str_has_prefix(text, IPC)
            ? ipc_parse(address, error)
            : loom_fail(error, LOOM_ERROR_CONFIG,
                        "'%s' is no address, want tcp://... or ipc://...", text);
    if (!right)
        zmq_address_clear(address);
    return right;
}

void zmq_address_clear(Address *address)
{
    g_free(address->text);
    g_free(address->host);
    *address = (Address){0};
}

const char *zmq_address_number(const Address *address)
{
    struct in6_addr six;
    struct in_addr four;

    if (g_ascii_strcasecmp(address->host, "localhost") == 0)
        return "127.0.0.1";
    return inet_pton(AF_INET, address->host, &four) == 1
                   || inet_pton(AF_INET6, address->host, &six) == 1
               ? address->host
               : NULL;
}

gboolean zmq_address_stays(const Address *address)
{
    struct in6_addr six;
    struct in_addr four;
    const char *number = address->host ? zmq_address_number(address) : NULL;

    if (!address->host)
        return TRUE;
    if (number && inet_pton(AF_INET, number, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127;
    return number && inet_pton(AF_INET6, number, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

char *zmq_address_endpoint(const Address *address, const char *number, guint port)
{
    if (!address->host)
        return g_strdup(address->text);
    return strchr(number, ':') ? g_strdup_printf(TCP "[%s]:%u", number, port)
                               : g_strdup_printf(TCP "%s:%u", number, port);
}

/* ---- a place for a socket of ipc -------------------------------------------------------- */

static gboolean folder_ready(const char *folder, const char *text, GError **error)
{
    struct stat found;

    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': folder '%s' cannot be made: %s", text,
                         folder, g_strerror(errno));
    if (lstat(folder, &found) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': folder '%s': %s", text, folder,
                         g_strerror(errno));
    if (!S_ISDIR(found.st_mode) || found.st_uid != geteuid() || found.st_mode & 0077)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s': '%s' belongs to user %u and has mode %04o, want a folder of "
                         "user %u with mode 0700: others must not reach the socket",
                         text, folder, (guint)found.st_uid, (guint)(found.st_mode & 07777),
                         (guint)geteuid());
    return TRUE;
}

/* Does somebody listen on it? */
static gboolean socket_alive(const char *path)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    g_strlcpy(name.sun_path, path, sizeof name.sun_path);
    /* EAGAIN: its backlog is full, so there is one */
    const gboolean alive =
        fd >= 0
        && (connect(fd, (const struct sockaddr *)&name, sizeof name) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return alive;
}

gboolean zmq_address_ready(const Address *address, GError **error)
{
    g_autofree char *folder = g_path_get_dirname(address->path);
    struct stat found;

    if (!folder_ready(folder, address->text, error))
        return FALSE;
    if (lstat(address->path, &found) != 0)
        return TRUE;
    if (!S_ISSOCK(found.st_mode))
        return loom_fail(error, LOOM_ERROR_IO, "'%s' exists and is no socket", address->text);
    if (socket_alive(address->path))
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be listened on: %s", address->text,
                         g_strerror(EADDRINUSE));
    return TRUE; /* left by a process that died: libzmq replaces it */
}

/* ---- names ------------------------------------------------------------------------------ */

struct _Lookup {
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ended;
    guint holders; /* the caller and the thread */
    gboolean over;
    int cause; /* of getaddrinfo */
    char *host, *number;
};

/* Whoever lets go last frees. */
static void lookup_let_go(Lookup *lookup)
{
    pthread_mutex_lock(&lookup->lock);
    const guint holders = --lookup->holders;
    pthread_mutex_unlock(&lookup->lock);
    if (holders)
        return;
    pthread_mutex_destroy(&lookup->lock);
    pthread_cond_destroy(&lookup->ended);
    g_free(lookup->host);
    g_free(lookup->number);
    g_free(lookup);
}

static void *lookup_main(void *argument)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    Lookup *lookup = argument;
    struct addrinfo *found = NULL;
    char number[NI_MAXHOST] = "";
    int cause = getaddrinfo(lookup->host, NULL, &hints, &found);

    if (cause == 0)
        cause = getnameinfo(found->ai_addr, found->ai_addrlen, number, sizeof number, NULL, 0,
                            NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
    char *copy = g_strdup(number);
    pthread_mutex_lock(&lookup->lock);
    lookup->cause = cause;
    lookup->number = copy;
    lookup->over = TRUE;
    pthread_cond_signal(&lookup->ended);
    pthread_mutex_unlock(&lookup->lock);
    lookup_let_go(lookup);
    return NULL;
}

Lookup *zmq_lookup_new(const char *host)
{
    Lookup *lookup = g_new0(Lookup, 1);
    pthread_condattr_t clock;
    pthread_attr_t alone;
    pthread_t thread;

    lookup->host = g_strdup(host);
    lookup->holders = 2;
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&lookup->ended, &clock);
    pthread_condattr_destroy(&clock);
    pthread_attr_init(&alone);
    pthread_attr_setdetachstate(&alone, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &alone, lookup_main, lookup) != 0) {
        lookup->holders = 1;
        lookup->over = TRUE;
        lookup->cause = EAI_MEMORY;
    }
    pthread_attr_destroy(&alone);
    return lookup;
}

void zmq_lookup_free(Lookup *lookup)
{
    if (lookup)
        lookup_let_go(lookup);
}

gboolean zmq_lookup_end(Lookup *lookup, gint timeout_ms, char **number, GError **error)
{
    const gint64 until = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    const struct timespec at = {.tv_sec = until / G_USEC_PER_SEC,
                                .tv_nsec = until % G_USEC_PER_SEC * 1000};
    int waited = 0;

    *number = NULL;
    pthread_mutex_lock(&lookup->lock);
    while (!lookup->over && timeout_ms > 0 && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&lookup->ended, &lookup->lock, &at);
    const gboolean over = lookup->over;
    const int cause = lookup->cause;
    if (over && cause == 0)
        *number = g_steal_pointer(&lookup->number);
    pthread_mutex_unlock(&lookup->lock);
    if (over && cause != 0)
        loom_fail(error, LOOM_ERROR_IO, "the name '%s' is unknown: %s", lookup->host,
                  gai_strerror(cause));
    return over;
}
