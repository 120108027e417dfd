/* Bytes on the port of a collective that no rank of ours would send.  Rank 1 is this test, with
 * a bare port: it learns the stamp of the generation from rank 0 and answers with lies.  Every
 * lie ends the call with words, and never the process; what does not have the stamp is dropped,
 * and the sum goes on. */
#include "collective_world.h"

#include "../../plugins/collective/shared_memory.h"

#include <string.h>
#include <unistd.h>

#define COUNT 10000 /* floats; rank 0 has the first 4992 of them */
#define CHUNK 4096

typedef struct {
    LoomInstance *transport, *collective;
    const LoomTransport *network;
    const LoomCollective *plugin;
    LoomPort *port;
    guint link;
    MeshHeader here; /* of rank 0 */
} Liar;

static void liar_open(Liar *liar, const char *collective)
{
    const char *const keys[2] = {NULL, NULL}, *const hosts[2] = {"here", "here"};
    GError *error = NULL;

    liar->transport = loom_test_instance(LOOM_KIND_TRANSPORT, "{use: loopback}", NULL, NULL);
    liar->collective = loom_test_instance(LOOM_KIND_COLLECTIVE, collective, NULL, NULL);
    liar->network = (const LoomTransport *)liar->transport->plugin;
    liar->plugin = (const LoomCollective *)liar->collective->plugin;
    liar->plugin->listen(liar->collective->self, liar->transport, "loopback://victim", &error);
    g_assert_no_error(error);
    liar->port = liar->network->port_open(liar->transport->self, "loopback://liar", &error);
    g_assert_no_error(error);
    liar->network->link_open(liar->transport->self, liar->port, "loopback://victim", NULL,
                             &liar->link, &error);
    g_assert_no_error(error);
    const char *const addresses[2] = {"loopback://victim", "loopback://liar"};
    const LoomGroup group = {1, 0, 2, addresses, keys, hosts};
    liar->plugin->join(liar->collective->self, &group, &error);
    g_assert_no_error(error);
}

static void liar_close(Liar *liar)
{
    loom_instance_free(liar->collective);
    liar->network->port_close(liar->transport->self, liar->port);
    loom_instance_free(liar->transport);
}

static void send_frames(Liar *liar, GBytes *const *frames, guint n)
{
    GError *error = NULL;
    LoomFlow flow;

    while ((flow = liar->network->send(liar->transport->self, liar->port, liar->link, frames, n,
                                       &error))
           == LOOM_FLOW_STOP) {
        LoomPortEvent event;

        liar->network->receive(liar->transport->self, liar->port, 10, &event, &error);
        g_clear_pointer(&event.frames, g_ptr_array_unref);
    }
    g_assert_no_error(error);
}

/* @payload: bytes of a second frame; -1: none. */
static void send_header(Liar *liar, const MeshHeader *header, gint64 payload)
{
    g_autofree guint8 *zeros = g_malloc0((gsize)MAX(payload, 0) + 1);
    g_autoptr(GBytes) first = g_bytes_new(header, sizeof *header);
    g_autoptr(GBytes) second = g_bytes_new(zeros, (gsize)MAX(payload, 0));

    send_frames(liar, (GBytes *const[]){first, second}, payload < 0 ? 1 : 2);
}

/* Rank 0 begins a sum; then we know its HERE, and can say what a rank would say. */
static float *sum_begin(Liar *liar)
{
    GError *error = NULL;
    float *buffer = liar->plugin->buffer_new(liar->collective->self, COUNT, &error);

    g_assert_no_error(error);
    for (gint64 i = 0; i < COUNT; i++)
        buffer[i] = 1;
    liar->plugin->sum_start(liar->collective->self, buffer, COUNT, &error);
    g_assert_no_error(error);
    while (liar->here.kind != MESH_HERE) {
        LoomPortEvent event;

        liar->network->receive(liar->transport->self, liar->port, 60000, &event, &error);
        g_assert_no_error(error);
        if (!event.frames)
            continue;
        g_assert_null(mesh_header_read(&liar->here, event.frames->pdata[0]));
        g_ptr_array_unref(event.frames);
    }
    return buffer;
}

static MeshHeader answer(const Liar *liar, MeshKind kind)
{
    MeshHeader header = liar->here;

    header.kind = (guint16)kind;
    header.from = 1;
    header.to = 0;
    header.flags = 0;
    header.serial = header.bytes = 0;
    return header;
}

/* ---- lies of a rank ----------------------------------------------------------------- */

typedef struct {
    const char *name;
    MeshKind kind;
    gboolean here_first; /* it says HERE truthfully before it lies */
    gint64 payload;
    guint32 part, flags;
    guint64 sequence, count, offset, length;
    const char *text; /* of the error */
} Lie;

static const Lie lies[] = {
    {"gap", MESH_HERE, FALSE, -1, 0, 0, 3, COUNT, 0, 0, "messages of rank 1 were lost"},
    {"count", MESH_HERE, FALSE, -1, 0, 0, 1, COUNT - 1, 0, 0, "desync: rank 1 is at sum 1 of"},
    {"not-here", MESH_PIECE, FALSE, CHUNK, 0, 0, 1, 0, 0, CHUNK, "in which rank 0 is not"},
    {"future", MESH_PIECE, TRUE, CHUNK, 0, 0, 9, 0, 0, CHUNK, "in which rank 0 is not"},
    {"outside", MESH_PIECE, TRUE, CHUNK, 0, 0, 1, 0, COUNT * 4, CHUNK, "of 40000"},
    {"overflow", MESH_PIECE, TRUE, 64, 0, 0, 1, 0, G_MAXUINT64 - 31, 64, "of 40000"},
    {"nothing", MESH_PIECE, TRUE, 0, 0, 0, 1, 0, 0, 0, "sent 0 bytes"},
    {"short", MESH_PIECE, TRUE, 100, 0, 0, 1, 0, 0, CHUNK, "sent 100 bytes, want 4096"},
    {"no-payload", MESH_PIECE, TRUE, -1, 0, 0, 1, 0, 0, CHUNK, "sent 0 bytes, want 4096"},
    {"leg", MESH_PIECE, TRUE, CHUNK, 7, 0, 1, 0, 0, CHUNK, "of 40000"},
    {"uneven", MESH_PIECE, TRUE, 6, 0, 0, 1, 0, 19968, 6, "rank 1 sent "},
    {"middle", MESH_PIECE, TRUE, CHUNK, 0, 0, 1, 0, 2 * CHUNK, CHUNK, "rank 1 sent "},
    {"no-memory", MESH_PIECE, TRUE, -1, 0, MESH_SHARED, 1, 0, 0, CHUNK, "did not offer"},
    {"finished", MESH_FINISHED, TRUE, -1, 0, 0, 1, 0, 0, 0, "of which it was given nothing"},
};

static void test_lie(gconstpointer data)
{
    const Lie *lie = data;
    g_autoptr(GError) error = NULL;
    Liar liar = {0};

    liar_open(&liar, "{use: direct, chunk: 4096}");
    float *buffer = sum_begin(&liar);
    MeshHeader header = answer(&liar, MESH_HERE);
    if (lie->here_first)
        send_header(&liar, &header, -1);
    header = answer(&liar, lie->kind);
    header.sequence = lie->sequence;
    header.count = lie->count;
    header.part = lie->part;
    header.flags = lie->flags;
    header.offset = lie->offset;
    header.length = lie->length;
    send_header(&liar, &header, lie->payload);
    g_assert_cmpint(liar.plugin->sum_wait(liar.collective->self, &error), ==, LOOM_FLOW_FAIL);
    g_assert_nonnull(error);
    g_test_message("%s", error->message);
    if (!strstr(error->message, lie->text))
        g_error("message '%s', want '%s' in it", error->message, lie->text);
    liar.plugin->buffer_free(liar.collective->self, buffer);
    liar_close(&liar);
}

/* A gather of more than anybody may gather costs no memory. */
static void test_gather_limit(void)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();
    g_autoptr(GBytes) mine = g_bytes_new("x", 1);
    g_autoptr(GError) error = NULL;
    Liar liar = {0};

    liar_open(&liar, "{use: direct}");
    float *buffer = sum_begin(&liar);
    liar.plugin->abort(liar.collective->self);
    g_assert_cmpint(liar.plugin->sum_wait(liar.collective->self, &error), ==, LOOM_FLOW_STOP);
    const char *const addresses[2] = {"loopback://victim", "loopback://liar"};
    const char *const keys[2] = {NULL, NULL}, *const hosts[2] = {"here", "here"};
    const LoomGroup group = {2, 0, 2, addresses, keys, hosts};
    MeshHeader header = answer(&liar, MESH_HERE);
    header.generation = 2;
    header.call = 2; /* gather */
    header.count = G_MAXUINT64;
    send_header(&liar, &header, -1);
    g_assert_true(liar.plugin->join(liar.collective->self, &group, &error));
    g_assert_false(liar.plugin->gather(liar.collective->self, mine, all, &error));
    g_assert_error(error, LOOM_ERROR, LOOM_ERROR_LIMIT);
    liar.plugin->buffer_free(liar.collective->self, buffer);
    liar_close(&liar);
}

/* ---- memory that is given up -------------------------------------------------------- */

/* Rank 1 offers memory, says that a piece is there, and lets go of it, as a rank does that
 * broke off: its number is free, or already somebody else's.  That is no error of its own; the
 * cause is, which comes after it. */
static void test_given_up(gconstpointer used_again)
{
    static const guint8 token[MESH_TOKEN] = "liar";
    g_autoptr(GError) error = NULL;
    Liar liar = {0};

    liar_open(&liar, "{use: direct, chunk: 4096}");
    SharedMemory *probe = shared_memory_new(token, 0, 0, &error);
    SharedMemory *memory = shared_memory_new(token, 1, COUNT * sizeof(float), &error);
    g_assert_no_error(error);
    float *buffer = sum_begin(&liar);
    MeshHeader header = answer(&liar, MESH_HELLO);
    header.pid = (guint32)getpid();
    header.fd = (guint32)probe->fd;
    memcpy(header.token, token, MESH_TOKEN);
    send_header(&liar, &header, -1);
    header = answer(&liar, MESH_HERE);
    header.fd = (guint32)memory->fd;
    header.serial = 1;
    header.bytes = memory->bytes;
    send_header(&liar, &header, -1);
    if (used_again)
        g_assert_cmpint(dup2(probe->fd, memory->fd), ==, memory->fd);
    else
        g_clear_pointer(&memory, shared_memory_free);
    header = answer(&liar, MESH_PIECE);
    header.flags = MESH_SHARED;
    header.length = CHUNK;
    send_header(&liar, &header, -1);
    header = answer(&liar, MESH_HERE);
    header.sequence = 3;
    send_header(&liar, &header, -1);
    loom_assert_failed(liar.plugin->sum_wait(liar.collective->self, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, "messages of rank 1 were lost");
    liar.plugin->buffer_free(liar.collective->self, buffer);
    shared_memory_free(memory);
    shared_memory_free(probe);
    liar_close(&liar);
}

/* ---- noise -------------------------------------------------------------------------- */

static GBytes *noise(LoomRng *rng, const MeshHeader *like)
{
    gsize size = (gsize)loom_rng_below(rng, 300);
    guint8 bytes[300];

    for (gsize i = 0; i < size; i++)
        bytes[i] = (guint8)loom_rng_below(rng, 256);
    if (loom_rng_below(rng, 2)) { /* nearly a header: a stamp of nobody, some bits wrong */
        size = sizeof *like;
        memcpy(bytes, like, size);
        memset(bytes + G_STRUCT_OFFSET(MeshHeader, stamp), 0x5a, 8);
        for (guint i = 0; i < 4; i++)
            bytes[loom_rng_below(rng, (gint64)size)] ^= (guint8)(1 << loom_rng_below(rng, 8));
    }
    return g_bytes_new(bytes, size);
}

/* Its memory is not let go of before we have taken what it sent. */
static void pieces_take(Liar *liar, guint n)
{
    while (n) {
        GError *error = NULL;
        LoomPortEvent event;
        MeshHeader header;

        liar->network->receive(liar->transport->self, liar->port, 60000, &event, &error);
        g_assert_no_error(error);
        if (!event.frames)
            continue;
        g_assert_null(mesh_header_read(&header, event.frames->pdata[0]));
        n -= header.kind == MESH_PIECE;
        g_ptr_array_unref(event.frames);
    }
}

/* All of it is dropped; then rank 1 gives what is due, and the sum is right. */
static void test_noise(void)
{
    LoomRng rng = loom_rng(1, "noise", 0);
    GError *error = NULL;
    Liar liar = {0};

    liar_open(&liar, "{use: direct, chunk: 4096, shared_memory: false}");
    float *buffer = sum_begin(&liar);
    for (guint i = 0; i < 5000; i++) {
        const guint n = (guint)loom_rng_below(&rng, LOOM_MESSAGE_MAX_FRAMES) + 1;
        g_autoptr(GPtrArray) frames =
            g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

        while (frames->len < n)
            g_ptr_array_add(frames, noise(&rng, &liar.here));
        send_frames(&liar, (GBytes *const *)frames->pdata, n);
    }
    MeshHeader header = answer(&liar, MESH_HERE);
    send_header(&liar, &header, -1);
    const guint64 border = 4992 * sizeof(float); /* 10000 / 2, down to a multiple of 16 */
    header = answer(&liar, MESH_PIECE);
    for (guint64 at = 0; at < COUNT * sizeof(float); at += header.length) {
        const guint64 end = at < border ? border : COUNT * sizeof(float);

        header.part = at >= border; /* zeros for its part, and zeros as the result of ours */
        header.offset = at;
        header.length = MIN(end - at, CHUNK);
        send_header(&liar, &header, (gint64)header.length);
    }
    pieces_take(&liar, 10); /* five of our part, five of the result of its own */
    g_assert_cmpint(liar.plugin->sum_wait(liar.collective->self, &error), ==, LOOM_FLOW_OK);
    for (gint64 i = 0; i < COUNT; i++)
        g_assert_true(buffer[i] == (i < 4992 ? 1 : 0));
    liar.plugin->buffer_free(liar.collective->self, buffer);
    liar_close(&liar);
}

static void warning_drop(G_GNUC_UNUSED const char *domain, GLogLevelFlags level,
                         const char *text, G_GNUC_UNUSED gpointer data)
{
    if (level & G_LOG_FLAG_FATAL)
        g_printerr("%s\n", text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_always_fatal(G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL);
    g_log_set_default_handler(warning_drop, NULL); /* strangers are warned of */
    for (guint i = 0; i < G_N_ELEMENTS(lies); i++) {
        g_autofree char *path = g_strdup_printf("/collective/lies/%s", lies[i].name);

        g_test_add_data_func(path, &lies[i], test_lie);
    }
    g_test_add_func("/collective/gather-limit", test_gather_limit);
    g_test_add_data_func("/collective/given-up/closed", NULL, test_given_up);
    g_test_add_data_func("/collective/given-up/used-again", "again", test_given_up);
    g_test_add_func("/collective/noise", test_noise);
    return loom_test_run();
}
