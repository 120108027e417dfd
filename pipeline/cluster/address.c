/* address - from "tcp://node1:29500" to the address of this host that is reached from there.
 *
 * The interface is the one that the routing table picks: a UDP socket that is connected, which
 * sends nothing, knows its own address. */
#include "address.h"

#include "core/lock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TCP "tcp://"
#define IPC "ipc://"
#define LOOPBACK "loopback://"
#define RESOLVE_SECONDS 5
#define AGAIN_US (G_USEC_PER_SEC / 2) /* until a name is looked up once more */

/* ---- names -------------------------------------------------------------------------- */

/* getaddrinfo knows no time-out, so it gets a thread that is left behind when it is late. */
typedef struct {
    LoomLock lock; /* guards all below */
    LoomSignal done;
    char *host, *port;
    gboolean finished, abandoned;
    int result;
    struct addrinfo *found;
} Lookup;

typedef struct addrinfo Addresses;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Addresses, freeaddrinfo)

static void lookup_free(Lookup *lookup)
{
    if (lookup->found)
        freeaddrinfo(lookup->found);
    pthread_cond_destroy(&lookup->done);
    pthread_mutex_destroy(&lookup->lock);
    g_free(lookup->host);
    g_free(lookup->port);
    g_free(lookup);
}

static void *lookup_thread(void *data)
{
    Lookup *lookup = data;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
    struct addrinfo *found = NULL;
    const int result = getaddrinfo(lookup->host, lookup->port, &hints, &found);

    pthread_mutex_lock(&lookup->lock);
    const gboolean abandoned = lookup->abandoned;
    lookup->found = found;
    lookup->result = result;
    lookup->finished = TRUE;
    pthread_cond_signal(&lookup->done);
    pthread_mutex_unlock(&lookup->lock);
    if (abandoned)
        lookup_free(lookup);
    return NULL;
}

/* Waits until it is finished, or late: then its thread frees it. */
static gboolean lookup_wait(Lookup *lookup)
{
    const gint64 until = g_get_monotonic_time() + RESOLVE_SECONDS * G_USEC_PER_SEC;

    LOOM_LOCKED(&lookup->lock);
    while (!lookup->finished && g_get_monotonic_time() < until)
        loom_signal_wait_until(&lookup->done, &lookup->lock, until);
    lookup->abandoned = !lookup->finished;
    return lookup->finished;
}

/* (transfer full), freeaddrinfo. */
static struct addrinfo *resolve(const char *host, const char *port, GError **error)
{
    Lookup *lookup = g_new0(Lookup, 1);
    struct addrinfo *found = NULL;
    pthread_t thread;

    pthread_mutex_init(&lookup->lock, NULL);
    loom_signal_init(&lookup->done);
    lookup->host = g_strdup(host);
    lookup->port = g_strdup(port);
    if (pthread_create(&thread, NULL, lookup_thread, lookup) != 0) {
        lookup_free(lookup);
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "no thread to resolve '%s'", host);
    }
    pthread_detach(thread);
    if (!lookup_wait(lookup))
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s' does not resolve within %d s", host,
                              RESOLVE_SECONDS);
    if (lookup->result == 0)
        found = g_steal_pointer(&lookup->found);
    else
        loom_fail(error, LOOM_ERROR_IO, "'%s' does not resolve: %s", host,
                  gai_strerror(lookup->result));
    lookup_free(lookup);
    return found;
}

/* ---- addresses ---------------------------------------------------------------------- */

/* "tcp://[::1]:29500" -> "::1" and "29500". */
static gboolean tcp_split(const char *address, char **host, char **port, GError **error)
{
    const char *from = address + strlen(TCP);
    const char *colon = strrchr(from, ':');
    guint64 number;

    if (!colon || colon == from
        || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &number, NULL))
        return loom_fail(error, LOOM_ERROR_CONFIG, "'%s' is no address, want tcp://HOST:PORT",
                         address);
    const gboolean brackets = *from == '[' && colon[-1] == ']';
    if (!brackets && memchr(from, ':', (gsize)(colon - from)))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' is no address, want brackets around IPv6: tcp://[HOST]:PORT",
                         address);
    *host = brackets ? g_strndup(from + 1, (gsize)(colon - from) - 2)
                     : g_strndup(from, (gsize)(colon - from));
    *port = g_strdup(colon + 1);
    return TRUE;
}

/* "10.0.0.5", "[::1]"; (transfer full). */
static char *numeric(const struct sockaddr *address, socklen_t length)
{
    char host[NI_MAXHOST] = "";

    if (getnameinfo(address, length, host, sizeof host, NULL, 0, NI_NUMERICHOST) != 0)
        return NULL;
    return address->sa_family == AF_INET6 ? g_strdup_printf("[%s]", host) : g_strdup(host);
}

/* The address of this host from which packets to @other leave; NULL: errno says why. */
static char *local_towards(const struct addrinfo *other)
{
    struct sockaddr_storage own = {0};
    socklen_t length = sizeof own;
    char *text = NULL;
    const int fd = socket(other->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return NULL;
    if (connect(fd, other->ai_addr, other->ai_addrlen) == 0
        && getsockname(fd, (struct sockaddr *)&own, &length) == 0)
        text = numeric((struct sockaddr *)&own, length);
    const int cause = errno;
    close(fd);
    errno = cause;
    return text;
}

/* Is it an address of this host? */
static gboolean is_local(const struct addrinfo *address)
{
    struct sockaddr_storage any_port = {0};
    const int fd = socket(address->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return FALSE;
    memcpy(&any_port, address->ai_addr, MIN(address->ai_addrlen, sizeof any_port));
    if (address->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)&any_port)->sin6_port = 0;
    else
        ((struct sockaddr_in *)&any_port)->sin_port = 0;
    const gboolean local = bind(fd, (struct sockaddr *)&any_port, address->ai_addrlen) == 0;
    close(fd);
    return local;
}

static gboolean is_loopback(const struct addrinfo *address)
{
    if (address->ai_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)address->ai_addr)->sin6_addr);
    return ntohl(((struct sockaddr_in *)address->ai_addr)->sin_addr.s_addr) >> 24 == 127;
}

/* "tcp://10.0.0.5", "10.0.0.5", "[::1]" -> "10.0.0.5" or "[::1]"; (transfer full). */
static char *interface_host(const char *meet, const char *interface, GError **error)
{
    const char *host = g_str_has_prefix(interface, TCP) ? interface + strlen(TCP) : interface;
    const gboolean brackets = *host == '[' && g_str_has_suffix(host, "]");

    if (!g_str_has_prefix(meet, TCP))
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "address '%s' is one for tcp, but the ranks meet at '%s'",
                              interface, meet);
    if (!*host || strstr(host, "://") || (!brackets && strchr(host, ':')))
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "address '%s' is no interface, want tcp://HOST without a port",
                              interface);
    if (g_str_equal(host, "*") || g_str_equal(host, "0.0.0.0") || g_str_equal(host, "[::]"))
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "address '%s' is every interface: others need one that they can "
                              "connect to",
                              interface);
    return g_strdup(host);
}

/* ---- public ------------------------------------------------------------------------- */

static char *tcp_beside(const char *meet, GError **error)
{
    g_autofree char *host = NULL, *port = NULL, *own = NULL;
    g_autoptr(Addresses) found = NULL;

    if (!tcp_split(meet, &host, &port, error) || !(found = resolve(host, port, error)))
        return NULL;
    errno = 0;
    for (const struct addrinfo *at = found; at && !own; at = at->ai_next)
        own = local_towards(at);
    if (!own)
        return loom_fail_null(error, LOOM_ERROR_IO,
                              "nothing leads from here to '%s': %s; 'address' of 'cluster' "
                              "names an interface",
                              meet, g_strerror(errno));
    return g_strdup_printf(TCP "%s:*", own);
}

gboolean loom_address_await(const char *meet, double seconds, GError **error)
{
    const gint64 until = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
    g_autofree char *host = NULL, *port = NULL;
    g_autoptr(Addresses) found = NULL;
    gboolean told = FALSE;

    if (!g_str_has_prefix(meet, TCP))
        return TRUE;
    if (!tcp_split(meet, &host, &port, error))
        return FALSE;
    for (;;) {
        g_autoptr(GError) cause = NULL;

        if ((found = resolve(host, port, &cause)))
            return TRUE;
        if (g_get_monotonic_time() + AGAIN_US > until) {
            g_propagate_error(error, g_steal_pointer(&cause));
            g_prefix_error(error, "'%s', where the ranks meet, was looked up for %g s: ", meet,
                           seconds);
            return FALSE;
        }
        if (!told)
            g_warning("%s; looked up again for %g s", cause->message, seconds);
        told = TRUE;
        g_usleep(AGAIN_US);
    }
}

char *loom_address_beside(const char *meet, const char *interface, const char *name,
                          GError **error)
{
    if (interface) {
        g_autofree char *host = interface_host(meet, interface, error);

        return host ? g_strdup_printf(TCP "%s:*", host) : NULL;
    }
    if (g_str_has_prefix(meet, TCP))
        return tcp_beside(meet, error);
    if (g_str_has_prefix(meet, IPC)) {
        g_autofree char *folder = g_path_get_dirname(meet + strlen(IPC));

        return g_strdup_printf(IPC "%s/%s-%d", folder, name, (int)getpid());
    }
    if (g_str_has_prefix(meet, LOOPBACK))
        return g_strdup_printf("%s-%s", meet, name);
    return loom_fail_null(error, LOOM_ERROR_CONFIG,
                          "'%s' is no address, want tcp://HOST:PORT or ipc://PATH", meet);
}

char *loom_address_of_founder(const char *meet, const char *interface, GError **error)
{
    g_autofree char *host = NULL, *port = NULL;
    g_autoptr(Addresses) found = NULL;
    const struct addrinfo *own = NULL;

    if (interface) {
        g_autofree char *chosen = interface_host(meet, interface, error);

        return chosen && tcp_split(meet, &host, &port, error)
                   ? g_strdup_printf(TCP "%s:%s", chosen, port)
                   : NULL;
    }
    if (!g_str_has_prefix(meet, TCP))
        return g_strdup(meet);
    if (!tcp_split(meet, &host, &port, error) || !(found = resolve(host, port, error)))
        return NULL;
    for (const struct addrinfo *at = found; at; at = at->ai_next)
        if (is_local(at) && (!own || (is_loopback(own) && !is_loopback(at))))
            own = at;
    g_autofree char *text = own ? numeric(own->ai_addr, own->ai_addrlen) : NULL;
    if (!text)
        return loom_fail_null(error, LOOM_ERROR_IO,
                              "'%s' is no address of this host: rank 0 must run where the "
                              "ranks meet, or 'address' of 'cluster' name its interface",
                              meet);
    if (is_loopback(own) && !g_str_has_prefix(text, host) && !g_str_equal(host, "localhost"))
        g_message("'%s' means %s on this host: ranks on other hosts cannot reach it there",
                  host, text);
    return g_strdup_printf(TCP "%s:%s", text, port);
}
