/* zmq_pass - see zmq_pass.h.  Password of a port: HMAC-SHA256(secret, its number). */
#include "zmq_pass.h"

#include "zmq_keys.h"

#include <loom/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RANDOM_BYTES 32
#define SECRET_SIZE (2 * RANDOM_BYTES) /* in hexadecimal digits */

/* Makes the file, whole or not at all; one that another process made meanwhile stays. */
static gboolean secret_write(const char *path, GError **error)
{
    g_autofree char *draft = g_strconcat(path, "-XXXXXX", NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    guint8 bytes[RANDOM_BYTES];
    const int fd = g_mkstemp_full(draft, O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        return loom_fail(error, LOOM_ERROR_CONFIG, "'%s' cannot be made: %s", path,
                         g_strerror(errno));
    gboolean made = getentropy(bytes, sizeof bytes) == 0;
    for (guint i = 0; i < RANDOM_BYTES; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    made = made && write(fd, text->str, text->len) == (gssize)text->len;
    made = close(fd) == 0 && made && (link(draft, path) == 0 || errno == EEXIST);
    unlink(draft);
    return made
           || loom_fail(error, LOOM_ERROR_CONFIG, "'%s' cannot be written: %s", path,
                        g_strerror(errno));
}

static gboolean secret_make(const char *folder, const char *path, GError **error)
{
    if (g_mkdir_with_parents(folder, 0700) != 0)
        return loom_fail(error, LOOM_ERROR_CONFIG, "'%s' cannot be made: %s", folder,
                         g_strerror(errno));
    return secret_write(path, error);
}

char *zmq_pass_secret(GError **error)
{
    g_autofree char *folder = g_build_filename(g_get_user_data_dir(), "segloom", NULL);
    g_autofree char *path = g_build_filename(folder, "local-secret", NULL);

    if (!g_file_test(path, G_FILE_TEST_EXISTS) && !secret_make(folder, path, error))
        return NULL;
    g_autofree char *secret = zmq_secret_read(path, SECRET_SIZE, error);

    if (secret
        && (strlen(secret) != SECRET_SIZE || strspn(secret, "0123456789abcdef") != SECRET_SIZE))
        return loom_fail_null(error, LOOM_ERROR_CONFIG,
                              "'%s' is damaged, want %d hexadecimal digits: remove it", path,
                              SECRET_SIZE);
    return g_steal_pointer(&secret);
}

char *zmq_pass_word(const char *secret, guint port)
{
    g_autofree char *number = g_strdup_printf("%u", port);

    return g_compute_hmac_for_string(G_CHECKSUM_SHA256, (const guchar *)secret, strlen(secret),
                                     number, -1);
}
