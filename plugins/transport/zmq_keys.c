/* zmq_keys - see zmq_keys.h. */
#include "zmq_keys.h"

#include <loom/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <zmq.h>

#define LARGEST_SECRET 4096
#define LARGEST_LIST (1 << 20)
#define Z85                                                                                    \
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"

/* The pairs that the manual of CURVE prints, zmq_curve(7): everybody knows their secrets. */
static const char *const manual_keys[] = {"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID",
                                          "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"};

static gboolean key_like(const char *text)
{
    return strlen(text) == KEY_SIZE - 1 && strspn(text, Z85) == KEY_SIZE - 1;
}

static gboolean key_known(const char *public)
{
    return g_str_equal(public, manual_keys[0]) || g_str_equal(public, manual_keys[1]);
}

/* ---- reading a file that must be safe --------------------------------------------------- */

typedef struct {
    const char *path;
    mode_t refused; /* permissions that nobody but the owner may have */
    gsize largest;
} Wanted;

static gboolean stat_check(const Wanted *wanted, const struct stat *file, GError **error)
{
    const char *path = wanted->path;

    if (!S_ISREG(file->st_mode))
        return loom_fail(error, LOOM_ERROR_CONFIG, "'%s' is no regular file", path);
    if (file->st_uid != geteuid() && file->st_uid != 0)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' belongs to user %u, want one of user %u", path,
                         (guint)file->st_uid, (guint)geteuid());
    if (file->st_mode & wanted->refused)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' of user %u has mode %04o, which lets others in; want %04o", path,
                         (guint)file->st_uid, (guint)(file->st_mode & 07777),
                         (guint)(file->st_mode & 07777 & ~wanted->refused));
    if ((guint64)file->st_size > wanted->largest)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' has %" G_GINT64_FORMAT " bytes, want at most %" G_GSIZE_FORMAT,
                         path, (gint64)file->st_size, wanted->largest);
    return TRUE;
}

/* @flags: of open.  (transfer full): the text, with a zero behind; @stamp: what was read. */
static char *text_read(const Wanted *wanted, int flags, struct stat *stamp, GError **error)
{
    const int fd = open(wanted->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
    gssize n = -1;

    if (fd < 0 && errno == ELOOP)
        return loom_fail_null(error, LOOM_ERROR_CONFIG, "'%s' is a link, want the file itself",
                              wanted->path);
    if (fd < 0)
        return loom_fail_null(error, LOOM_ERROR_CONFIG, "'%s': %s", wanted->path,
                              g_strerror(errno));
    g_autofree char *text = g_malloc0(wanted->largest + 1);
    gsize length = 0;
    gboolean safe = fstat(fd, stamp) == 0 && stat_check(wanted, stamp, error);
    while (safe && (n = read(fd, text + length, wanted->largest - length)) > 0)
        length += (gsize)n;
    close(fd);
    if (!safe)
        return NULL;
    if (n < 0)
        return loom_fail_null(error, LOOM_ERROR_CONFIG, "'%s' cannot be read", wanted->path);
    return g_steal_pointer(&text);
}

char *zmq_secret_read(const char *path, gsize largest, GError **error)
{
    const Wanted wanted = {path, 0077, largest};
    struct stat stamp;

    return text_read(&wanted, O_NOFOLLOW, &stamp, error);
}

/* ---- the secret ------------------------------------------------------------------------- */

/* The line "NAME: KEY". */
static gboolean key_line(const char *path, const char *text, const char *name,
                         char key[KEY_SIZE], GError **error)
{
    g_autofree char *start = g_strconcat(name, ": ", NULL);
    const char *at = g_str_has_prefix(text, start) ? text : strchr(text, '\n');

    if (at && at != text)
        at++;
    if (at && g_str_has_prefix(at, start)) {
        const gsize length = strcspn(at + strlen(start), "\r\n");

        if (length == KEY_SIZE - 1) {
            memcpy(key, at + strlen(start), length);
            key[length] = 0;
            if (key_like(key))
                return TRUE;
        }
    }
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "'%s' has no line '%s: ' with %d characters of Z85 (segloom keygen "
                     "writes such files)",
                     path, name, KEY_SIZE - 1);
}

gboolean zmq_keys_read(const char *path, KeyPair *pair, GError **error)
{
    char derived[KEY_SIZE] = "";
    char *text = zmq_secret_read(path, LARGEST_SECRET, error);
    const gboolean read = text && key_line(path, text, "public", pair->public, error)
                          && key_line(path, text, "secret", pair->secret, error);

    if (text)
        explicit_bzero(text, LARGEST_SECRET);
    g_free(text);
    if (!read)
        return FALSE;
    if (zmq_curve_public(derived, pair->secret) != 0 || !g_str_equal(derived, pair->public))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s': the public key is not that of the secret one", path);
    if (key_known(pair->public))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' has the test keys of the ZeroMQ manual, which everybody knows",
                         path);
    return TRUE;
}

char *zmq_keys_write(const char *path, GError **error)
{
    KeyPair pair;

    if (zmq_curve_keypair(pair.public, pair.secret) != 0)
        return loom_fail_null(error, LOOM_ERROR_PLUGIN,
                              "this libzmq makes no keys: it was built without CURVE");
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return loom_fail_null(error, LOOM_ERROR_IO,
                              "'%s' exists: a secret is never written over another", path);
    if (fd < 0)
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s' cannot be made: %s", path,
                              g_strerror(errno));
    char text[2 * (KEY_SIZE + 9)];
    const int length =
        g_snprintf(text, sizeof text, "public: %s\nsecret: %s\n", pair.public, pair.secret);
    const gboolean written = write(fd, text, (gsize)length) == length && fsync(fd) == 0;
    const int cause = errno;
    close(fd);
    explicit_bzero(text, sizeof text);
    explicit_bzero(pair.secret, sizeof pair.secret);
    if (written)
        return g_strdup(pair.public);
    unlink(path);
    return loom_fail_null(error, LOOM_ERROR_IO, "'%s' cannot be written: %s", path,
                          g_strerror(cause));
}

/* ---- who is let in ---------------------------------------------------------------------- */

static gboolean list_read(AllowList *list, GError **error)
{
    const Wanted wanted = {list->path, 0022, LARGEST_LIST};
    g_autofree char *text = text_read(&wanted, 0, &list->stamp, error);

    if (!text)
        return FALSE;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);
        /* '#' is also a character of Z85: a comment begins the line or follows a blank. */
        char *comment = *line == '#' && !key_like(line) ? line : strstr(line, " #");

        if (comment)
            *comment = 0;
        g_strstrip(line);
        if (!*line)
            continue;
        if (!key_like(line))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s:%u: '%s' is no public key, want %d characters of Z85",
                             list->path, i + 1, line, KEY_SIZE - 1);
        if (key_known(line))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s:%u: '%s' is a test key of the ZeroMQ manual", list->path,
                             i + 1, line);
        g_hash_table_add(list->keys, g_strdup(line));
    }
    return TRUE;
}

gboolean zmq_allow_open(AllowList *list, const char *path, const char *own, GError **error)
{
    list->path = g_strdup(path);
    list->own = g_strdup(own);
    list->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return !path || list_read(list, error);
}

void zmq_allow_clear(AllowList *list)
{
    g_clear_pointer(&list->path, g_free);
    g_clear_pointer(&list->own, g_free);
    g_clear_pointer(&list->keys, g_hash_table_unref);
}

static gboolean list_changed(const AllowList *list)
{
    struct stat now;

    return stat(list->path, &now) != 0 || now.st_size != list->stamp.st_size
           || now.st_ino != list->stamp.st_ino || now.st_dev != list->stamp.st_dev
           || now.st_mtim.tv_sec != list->stamp.st_mtim.tv_sec
           || now.st_mtim.tv_nsec != list->stamp.st_mtim.tv_nsec;
}

gboolean zmq_allow_has(AllowList *list, const char *key)
{
    if (!list->path)
        return g_str_equal(key, list->own);
    if (list_changed(list)) {
        g_autoptr(GError) error = NULL;

        g_hash_table_remove_all(list->keys);
        if (!list_read(list, &error)) {
            g_hash_table_remove_all(list->keys);
            g_warning("nobody is let in until the list of allowed keys is right: %s",
                      error->message);
        }
    }
    return g_hash_table_contains(list->keys, key);
}
