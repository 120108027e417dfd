/* safetensors_read - a safetensors file as a store: nothing is believed before it is checked,
 * and no memory is taken that the file does not hold. */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* All of @length, or an error. */
static gboolean read_all(int fd, gpointer to, gsize length, GError **error)
{
    char *at = to;

    while (length > 0) {
        const gssize got = read(fd, at, length);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            const int cause = errno;
            return loom_fail(error, LOOM_ERROR_IO, "cannot read: %s", g_strerror(cause));
        }
        if (got == 0)
            return loom_fail(error, LOOM_ERROR_FORMAT, "the file became shorter");
        at += got;
        length -= (gsize)got;
    }
    return TRUE;
}

/* Returns: (transfer full): the header, @length bytes; @data: bytes behind it. */
static char *read_header(int fd, guint64 *length, guint64 *data, GError **error)
{
    g_autofree char *header = NULL;
    struct stat status;
    guint64 bytes;

    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
        return loom_fail_null(error, LOOM_ERROR_IO, "not a regular file");
    bytes = (guint64)status.st_size;
    if (bytes < sizeof *length)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "%" G_GUINT64_FORMAT " bytes, too short for a header", bytes);
    if (!read_all(fd, length, sizeof *length, error))
        return NULL;
    if (*length > SAFETENSORS_MAX_HEADER)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "a header of %" G_GUINT64_FORMAT " bytes, want at most %u",
                              *length, SAFETENSORS_MAX_HEADER);
    if (*length > bytes - sizeof *length)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "a header of %" G_GUINT64_FORMAT
                              " bytes in a file of %" G_GUINT64_FORMAT,
                              *length, bytes);
    *data = bytes - sizeof *length - *length;
    if (*data > SAFETENSORS_MAX_DATA)
        return loom_fail_null(error, LOOM_ERROR_LIMIT, "more than 64 GiB of tensors");
    header = g_malloc((gsize)*length + 1);
    if (!read_all(fd, header, (gsize)*length, error))
        return NULL;
    return g_steal_pointer(&header);
}

static gboolean read_tensors(int fd, const GArray *entries, GChecksum *sum, GError **error)
{
    for (guint i = 0; i < entries->len; i++) {
        LoomStoredTensor *tensor = g_array_index(entries, LoomSafetensorsEntry, i).tensor;
        const gsize bytes = (gsize)tensor->count * sizeof(float);

        tensor->data = g_try_malloc(bytes);
        if (!tensor->data)
            return loom_fail(error, LOOM_ERROR_LIMIT,
                             "'%s': %" G_GSIZE_FORMAT " MiB of memory are not to be had",
                             tensor->name, bytes >> 20);
        if (!read_all(fd, tensor->data, bytes, error))
            return FALSE;
        g_checksum_update(sum, (const guchar *)tensor->data, (gssize)bytes);
    }
    return TRUE;
}

/* Orders the tensors of @store as their data lie. */
static void order_tensors(LoomStore *store, const GArray *entries)
{
    for (guint i = 0; i < entries->len; i++)
        store->tensors->pdata[i] = g_array_index(entries, LoomSafetensorsEntry, i).tensor;
}

/* Files of other programs have no hashes; one alone is a damaged name of the other. */
static gboolean check_hashes(const LoomStore *store, GChecksum *sum, GError **error)
{
    const char *data = g_hash_table_lookup(store->metadata, SAFETENSORS_SHA);
    const char *rest = g_hash_table_lookup(store->metadata, SAFETENSORS_SHA_HEADER);
    g_autoptr(GString) metadata = g_string_new(NULL), tensors = g_string_new(NULL);
    g_autofree char *found = NULL;

    if (!data && !rest)
        return TRUE;
    if (!data || !rest)
        return loom_fail(error, LOOM_ERROR_FORMAT, "metadata have '%s' but no '%s'",
                         data ? SAFETENSORS_SHA : SAFETENSORS_SHA_HEADER,
                         data ? SAFETENSORS_SHA_HEADER : SAFETENSORS_SHA);
    loom_safetensors_texts(store, metadata, tensors);
    found = loom_safetensors_sha(metadata, tensors);
    if (!g_str_equal(found, rest))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "damaged: the header has sha256 %s, promised is %s", found, rest);
    if (!g_str_equal(g_checksum_get_string(sum), data))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "damaged: the tensors have sha256 %s, promised is %s",
                         g_checksum_get_string(sum), data);
    return TRUE;
}

static LoomStore *read_file(int fd, GError **error)
{
    g_autoptr(LoomStore) store = loom_store_new();
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GArray) entries = NULL;
    guint64 length, data, end = 0;
    g_autofree char *header = read_header(fd, &length, &data, error);

    if (!header || !(entries = loom_safetensors_parse(store, header, (gsize)length, error)))
        return NULL;
    if (entries->len)
        end = g_array_index(entries, LoomSafetensorsEntry, entries->len - 1).end;
    if (end != data)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "%" G_GUINT64_FORMAT
                              " bytes of tensors in the header, %" G_GUINT64_FORMAT
                              " in the file",
                              end, data);
    order_tensors(store, entries);
    if (!read_tensors(fd, entries, sum, error) || !check_hashes(store, sum, error))
        return NULL;
    return g_steal_pointer(&store);
}

LoomStore *loom_store_read(const char *path, GError **error)
{
    /* O_NONBLOCK: a pipe of that name must not hang us */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    LoomStore *store = NULL;

    if (fd < 0) {
        const int cause = errno;
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s': cannot open: %s", path,
                              g_strerror(cause));
    }
    store = read_file(fd, error);
    if (!store)
        g_prefix_error(error, "'%s': ", path);
    close(fd);
    return store;
}
