/* A producer and a consumer in processes of their own, over sockets: the consumer is killed
 * again and again in the middle of its work and comes back; no packet is lost and none used
 * twice.
 *
 * The consumer writes the number of each packet into a file, before its next take.  Three kinds
 * of process run this program: the test, and with arguments a producer or a consumer. */
#include "loom_test.h"

#include "wire/streams.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_PACKETS 3000u
#define VOXELS 4096 /* 16 KiB a packet */
#define RECORD ((gssize)sizeof(guint32))
#define SPOILT "{use: faulty, over: {use: zmq}, drop: 10, double: 10, reorder: 5, seed: %u}"

static char *program;
static LoomInstance *transport; /* of this process */

/* ---- producer and consumer ---------------------------------------------------------- */

static LoomPacket *packet_of(guint number)
{
    const gint64 shape[] = {VOXELS};
    LoomPacket *packet = loom_packet_new();
    LoomTensor *image = loom_tensor_new(LOOM_F32, "W", shape, NULL);
    g_autofree char *id = g_strdup_printf("%u", number);

    for (guint i = 0; i < VOXELS; i++)
        loom_tensor_f32_mut(image)[i] = (float)(number * 7 + i);
    loom_packet_set_id(packet, id);
    loom_packet_set(packet, "image", image);
    return packet;
}

/* Port and stream of rank @rank, 0 the producer; sockets lie in @folder. */
static LoomStreams *streams_open(const char *yaml, const char *folder, guint rank, guint64 done,
                                 guint *stream)
{
    const LoomStreamOptions options = {
        .credit = 1 << 20, .limit = 1 << 20, .timeout_ms = 60000, .resend_ms = 25};
    LoomStreamIdentity identity = {.run = "kills",
                                   .generation = 1,
                                   .graph = "cafe",
                                   .rank = rank,
                                   .incarnation = rank ? (guint64)getpid() : 1};
    g_autofree char *here = g_strdup_printf("ipc://%s/%u", folder, rank);
    g_autofree char *there = g_strdup_printf("ipc://%s/%u", folder, 1 - rank);
    const LoomStreamPeer peer = {1 - rank, there, NULL};
    g_autoptr(GError) error = NULL;
    LoomStreams *streams;

    transport = loom_test_instance(LOOM_KIND_TRANSPORT, yaml, NULL, NULL);
    streams = loom_streams_new(transport, here, &options, &error);
    g_assert_no_error(error);
    loom_streams_begin(streams, &identity);
    if (rank == 0)
        loom_streams_to(streams, "batch", &peer, stream, &error);
    else
        loom_streams_from(streams, "batch", &peer, done, stream, &error);
    g_assert_no_error(error);
    return streams;
}

/* What everybody expects of a process that ends well. */
static int failed(GError *error)
{
    g_printerr("%s\n", error ? error->message : "stopped early");
    return 1;
}

static int produce(const char *yaml, const char *folder)
{
    GError *error = NULL;
    guint stream;
    LoomStreams *streams = streams_open(yaml, folder, 0, 0, &stream);

    for (guint i = 1; i <= N_PACKETS; i++)
        if (loom_streams_push(streams, stream, packet_of(i), &error) != LOOM_FLOW_OK)
            return failed(error);
    loom_streams_end(streams, stream);
    if (!loom_streams_drain(streams, stream, 60000, &error))
        return failed(error);
    loom_streams_free(streams);
    loom_instance_free(transport);
    return 0;
}

static gboolean packet_right(const LoomPacket *packet, guint number)
{
    const LoomTensor *image = loom_packet_get(packet, "image");

    if (loom_tensor_count(image) != VOXELS)
        return FALSE;
    for (guint i = 0; i < VOXELS; i++)
        if ((guint)loom_tensor_f32(image)[i] != number * 7 + i)
            return FALSE;
    return TRUE;
}

/* Uses a packet: writes down whatever number it has, right or wrong. */
static int consume(const char *yaml, const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "used", NULL);
    const int file = open(path, O_RDWR | O_CREAT | O_APPEND, 0600);
    const off_t length = lseek(file, 0, SEEK_END);
    GError *error = NULL;
    LoomPacket *packet;
    LoomFlow flow;
    guint stream;
    LoomStreams *streams = streams_open(yaml, folder, 1, (guint64)(length / RECORD), &stream);

    while ((flow = loom_streams_take(streams, stream, &packet, &error)) == LOOM_FLOW_OK) {
        const guint32 number = (guint32)atoi(loom_packet_id(packet));

        if (!packet_right(packet, number) || write(file, &number, RECORD) != RECORD)
            return 1;
        loom_packet_free(packet);
    }
    if (flow != LOOM_FLOW_STOP)
        return failed(error);
    loom_streams_free(streams);
    loom_instance_free(transport);
    return 0;
}

/* ---- the test ----------------------------------------------------------------------- */

static pid_t process_start(const char *role, const char *yaml, const char *folder)
{
    char *const arguments[] = {program, g_strdup(role), g_strdup(yaml), g_strdup(folder), NULL};
    const pid_t pid = fork();

    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        execv(program, arguments);
        _exit(127);
    }
    for (guint i = 1; i < 4; i++)
        g_free(arguments[i]);
    return pid;
}

static int process_wait(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        g_assert_cmpint(errno, ==, EINTR);
    return status;
}

static guint records_so_far(const char *path)
{
    g_autofree char *text = NULL;
    gsize length = 0;

    return g_file_get_contents(path, &text, &length, NULL) ? (guint)(length / sizeof(guint32))
                                                           : 0;
}

/* Kills it once @least packets are used. */
static void process_kill_after(pid_t pid, const char *path, guint least)
{
    const gint64 deadline = g_get_monotonic_time() + 120 * G_USEC_PER_SEC;

    while (records_so_far(path) < least) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(500);
    }
    kill(pid, SIGKILL);
    g_assert_true(WIFSIGNALED(process_wait(pid)));
}

static void assert_once_each(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize length;
    guint lost = 0, doubled = 0;
    guint *times = g_newa0(guint, N_PACKETS + 1);

    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    for (gsize i = 0; i < length / sizeof(guint32); i++) {
        guint32 number;

        memcpy(&number, bytes + i * sizeof number, sizeof number);
        g_assert_cmpuint(number, ==, i + 1); /* in order */
        g_assert_cmpuint(number, <=, N_PACKETS);
        times[number]++;
    }
    for (guint i = 1; i <= N_PACKETS; i++) {
        lost += times[i] == 0;
        doubled += times[i] > 1;
    }
    g_assert_cmpuint(lost, ==, 0);
    g_assert_cmpuint(doubled, ==, 0);
}

static void kills_with(const char *yaml)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "used", NULL);
    const pid_t producer = process_start("--produce", yaml, folder);

    for (guint i = 1; i <= 3; i++)
        process_kill_after(process_start("--consume", yaml, folder), path, i * N_PACKETS / 4);
    g_assert_cmpuint(records_so_far(path), <, N_PACKETS); /* the last kill was in the middle */
    g_assert_cmpint(process_wait(process_start("--consume", yaml, folder)), ==, 0);
    g_assert_cmpint(process_wait(producer), ==, 0);
    assert_once_each(path);
    loom_test_folder_remove(folder);
}

static void test_kills(void)
{
    kills_with("{use: zmq}");
}

static void test_kills_spoilt(void)
{
    g_autofree char *yaml = g_strdup_printf(SPOILT, 11u);

    kills_with(yaml);
}

int main(int argc, char **argv)
{
    g_setenv("LOOM_MODULE_PATH", TEST_MODULES, TRUE);
    program = argv[0];
    if (argc == 4 && g_str_equal(argv[1], "--produce"))
        return produce(argv[2], argv[3]);
    if (argc == 4 && g_str_equal(argv[1], "--consume"))
        return consume(argv[2], argv[3]);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stream-kills/clean", test_kills);
    g_test_add_func("/stream-kills/spoilt", test_kills_spoilt);
    return loom_test_run();
}
