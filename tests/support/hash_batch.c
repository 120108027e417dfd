/* hash_batch - a stage for tests: SHA-256 of image and label of each packet, a line in
 * batches.txt of the run folder.  LOOM_TEST_INTERRUPT=N: at packet N of a run the process gets
 * SIGINT, as from Ctrl-C, and the stage waits until the run knows.  LOOM_TEST_FAIL=TEXT: it
 * fails in a run folder with that text in its path. */
#include <loom/loom.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    char *path; /* NULL: only checking */
} HashBatch;

static const LoomSlot hash_reads[] = {
    {"image", LOOM_F32, "NCDHW", 0, "what the network is given"},
    {"label", LOOM_U8, "NDHW", 0, "and what it should say"},
    {0},
};

static gboolean hash_open(gpointer self, LoomHost *host, G_GNUC_UNUSED GError **error)
{
    const char *folder = loom_host_folder(host);

    ((HashBatch *)self)->path = folder ? g_build_filename(folder, "batches.txt", NULL) : NULL;
    return TRUE;
}

static void hash_close(gpointer self)
{
    g_free(((HashBatch *)self)->path);
}

static gboolean line_write(const char *path, const char *line, GError **error)
{
    FILE *file = fopen(path, "a");

    if (!file)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be written", path);
    fputs(line, file);
    fclose(file);
    return TRUE;
}

static gboolean hash_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const HashBatch *hash = self;
    const LoomTensor *image = loom_packet_get(packet, "image");
    const LoomTensor *label = loom_packet_get(packet, "label");
    const char *interrupt = g_getenv("LOOM_TEST_INTERRUPT"), *fail = g_getenv("LOOM_TEST_FAIL");
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    if (fail && strstr(hash->path, fail))
        return loom_fail(error, LOOM_ERROR_NUMERIC, "failed as asked");
    if (interrupt && g_ascii_strtoll(interrupt, NULL, 10) == loom_context_index(ctx)) {
        kill(getpid(), SIGINT);
        while (!loom_context_stopping(ctx))
            g_usleep(1000);
    }
    g_checksum_update(sum, (gconstpointer)loom_tensor_f32(image),
                      (gssize)loom_tensor_bytes(image));
    g_checksum_update(sum, loom_tensor_u8(label), (gssize)loom_tensor_bytes(label));
    g_autofree char *line = g_strdup_printf("%d %s %s\n", (int)loom_context_index(ctx),
                                            loom_packet_id(packet), g_checksum_get_string(sum));
    return line_write(hash->path, line, error);
}

static const LoomStage hash_batch = {
    .base = LOOM_STAGE(HashBatch, "hash_batch", "Hash of each packet", .open = hash_open,
                       .close = hash_close),
    .reads = hash_reads,
    .map = hash_map,
};
LOOM_MODULE("stage_hash_batch", "0.1", &hash_batch.base);
