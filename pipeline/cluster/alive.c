/* alive - does the run whose lease lies in a folder go on?  Its coordinator is asked. */
#include "cluster.h"

#include "address.h"
#include "lease.h"
#include "member.h"

#include <loom/network.h>

#define ALIVE_MS 2000

/* TRUE: the answer came. */
static gboolean hear_notice(const LoomInstance *transport, LoomPort *port, const guint8 run[16])
{
    const LoomTransport *calls = (const LoomTransport *)transport->plugin;
    const gint64 until = g_get_monotonic_time() / 1000 + ALIVE_MS;
    gboolean heard = FALSE, lost = FALSE;

    for (gint64 left = ALIVE_MS; left > 0 && !heard && !lost;
         left = until - g_get_monotonic_time() / 1000) {
        LoomPortEvent event = {0};

        lost = !calls->receive(transport->self, port, (gint)left, &event, NULL)
               || event.kind == LOOM_PORT_LINK_LOST; /* nobody listens there */
        heard = event.kind == LOOM_PORT_MESSAGE && event.frames->len == 1
                && loom_machine_is_notice(g_ptr_array_index(event.frames, 0), run);
        g_clear_pointer(&event.frames, g_ptr_array_unref);
    }
    return heard;
}

static gboolean ask(const LoomInstance *transport, LoomPort *port, const LoomLease *lease,
                    GError **error)
{
    const LoomTransport *calls = (const LoomTransport *)transport->plugin;
    g_autoptr(GBytes) ping = loom_machine_ping(calls->port_address(transport->self, port),
                                               calls->key(transport->self));
    GBytes *const frames[] = {ping};
    guint link;

    return calls->link_open(transport->self, port, lease->address, lease->key, &link, error)
           && calls->send(transport->self, port, link, frames, 1, error);
}

gboolean loom_cluster_alive(const LoomClusterOptions *options, const LoomInstance *transport,
                            const char *folder)
{
    const LoomTransport *calls = (const LoomTransport *)transport->plugin;
    g_autoptr(LoomLease) lease = loom_lease_read(folder, NULL);
    g_autofree char *name = g_strdup_printf("asker-%08x", g_random_int());
    g_autoptr(GError) error = NULL;
    g_autofree char *address =
        lease ? loom_address_beside(lease->address, options->address, name, &error) : NULL;
    LoomPort *port = address ? calls->port_open(transport->self, address, &error) : NULL;

    if (!lease)
        return FALSE;
    const gboolean alive =
        port && ask(transport, port, lease, &error) && hear_notice(transport, port, lease->run);
    if (port)
        calls->port_close(transport->self, port);
    if (error)
        g_message("whether the run at '%s' goes on cannot be asked: %s", lease->address,
                  error->message);
    return alive;
}
