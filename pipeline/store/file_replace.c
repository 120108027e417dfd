/* file_replace - replace a file: a crash at any moment leaves the old one or the new one.
 *
 * A temporary file in the same folder is written, synced, closed and renamed; then the folder
 * is synced, since a rename is atomic but not durable (Pillai et al., OSDI 2014).  The
 * temporary file is locked as long as its writer lives: one that can be locked belongs to
 * nobody. */
#include "file_replace.h"

#include <loom/store.h>

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPORARY_DIGITS 8 /* ".seg.safetensors.0123abcd.tmp" */
#define TEMPORARY_TRIES 100

struct _LoomReplacement {
    char *path, *folder, *temporary;
    int fd; /* -1: closed */
};

static gboolean fail_errno(GError **error, const char *path, const char *what)
{
    const int cause = errno;

    return loom_fail(error, LOOM_ERROR_IO, "'%s': %s: %s", path, what, g_strerror(cause));
}

/* ".base." in front, ".tmp" behind, hexadecimal digits between. */
static gboolean temporary_of(const char *name, const char *prefix)
{
    const gsize length = strlen(prefix);

    return g_str_has_prefix(name, prefix) && strlen(name) == length + TEMPORARY_DIGITS + 4
           && strspn(name + length, "0123456789abcdef") == TEMPORARY_DIGITS
           && g_str_equal(name + length + TEMPORARY_DIGITS, ".tmp");
}

/* What cannot be removed is no reason not to write: errors are passed over. */
static void remove_stale(const char *folder, const char *prefix)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (!temporary_of(name, prefix))
            continue;
        g_autofree char *path = g_build_filename(folder, name, NULL);
        const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlink(path);
        close(fd);
    }
}

/* Makes and locks a new file.  Between the two somebody may have taken it for a stale one and
 * removed it: then it has no name any more, and another is made.  -1: errno says why. */
static int create_locked(const char *path)
{
    struct stat status;
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX) == 0 && fstat(fd, &status) == 0 && status.st_nlink > 0)
        return fd;
    unlink(path);
    close(fd);
    errno = EEXIST;
    return -1;
}

LoomReplacement *loom_replacement_begin(const char *path, GError **error)
{
    g_autoptr(LoomReplacement) replacement = g_new0(LoomReplacement, 1);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *prefix = g_strdup_printf(".%s.", base);

    replacement->path = g_strdup(path);
    replacement->folder = g_path_get_dirname(path);
    replacement->fd = -1;
    remove_stale(replacement->folder, prefix);
    for (guint i = 0; i < TEMPORARY_TRIES && replacement->fd < 0; i++) {
        g_autofree char *name = g_strdup_printf("%s%08x.tmp", prefix, g_random_int());
        g_autofree char *temporary = g_build_filename(replacement->folder, name, NULL);

        replacement->fd = create_locked(temporary);
        if (replacement->fd >= 0)
            replacement->temporary = g_steal_pointer(&temporary);
        else if (errno != EEXIST)
            break;
    }
    if (replacement->fd < 0) {
        fail_errno(error, path, "cannot make a temporary file beside it");
        return NULL;
    }
    return g_steal_pointer(&replacement);
}

gboolean loom_replacement_write(LoomReplacement *replacement, gconstpointer bytes, gsize length,
                                GError **error)
{
    const char *at = bytes;

    while (length > 0) {
        const gssize written = write(replacement->fd, at, length);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail_errno(error, replacement->path, "cannot write");
        at += written;
        length -= (gsize)written;
    }
    return TRUE;
}

/* Gives the file at @path a second name, without a moment in which it has none. */
static gboolean keep_previous(const char *path, const char *previous, GError **error)
{
    g_autofree char *between = g_strconcat(previous, ".link", NULL);

    g_unlink(between);
    if (link(path, between) != 0) {
        if (errno == ENOENT) /* the first of its kind: nothing to keep */
            return TRUE;
        /* a file system without hard links: for a moment only the previous one is there */
        if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK)
            return g_rename(path, previous) == 0
                   || fail_errno(error, previous, "cannot keep the file before");
        return fail_errno(error, previous, "cannot keep the file before");
    }
    if (g_rename(between, previous) != 0) {
        fail_errno(error, previous, "cannot keep the file before");
        g_unlink(between);
        return FALSE;
    }
    /* rename does nothing when both names are one file already: after a crash right here */
    g_unlink(between);
    return TRUE;
}

static gboolean sync_folder(const char *folder, GError **error)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(error, folder, "cannot open the folder");
    /* EINVAL: a file system that cannot sync folders, and has no other way either */
    const gboolean synced = fsync(fd) == 0 || errno == EINVAL;
    if (!synced)
        fail_errno(error, folder, "cannot sync the folder");
    close(fd);
    return synced;
}

gboolean loom_replacement_commit(LoomReplacement *replacement, const char *previous,
                                 GError **error)
{
    const char *path = replacement->path;
    const int lock = fcntl(replacement->fd, F_DUPFD_CLOEXEC, 0); /* held until it is renamed */
    gboolean done = lock >= 0 && fsync(replacement->fd) == 0;
    const int fd = replacement->fd;

    if (!done)
        fail_errno(error, path, "cannot sync");
    replacement->fd = -1;
    if (close(fd) != 0 && done)
        done = fail_errno(error, path, "cannot close");
    if (done && previous)
        done = keep_previous(path, previous, error);
    if (done && g_rename(replacement->temporary, path) != 0)
        done = fail_errno(error, path, "cannot rename the temporary file");
    if (done) {
        g_clear_pointer(&replacement->temporary, g_free);
        done = sync_folder(replacement->folder, error);
    }
    if (lock >= 0)
        close(lock);
    return done;
}

void loom_replacement_free(LoomReplacement *replacement)
{
    if (!replacement)
        return;
    if (replacement->temporary)
        g_unlink(replacement->temporary);
    if (replacement->fd >= 0)
        close(replacement->fd);
    g_free(replacement->temporary);
    g_free(replacement->folder);
    g_free(replacement->path);
    g_free(replacement);
}

gboolean loom_file_replace(const char *path, const char *bytes, gsize length, GError **error)
{
    g_autoptr(LoomReplacement) replacement = loom_replacement_begin(path, error);

    return replacement && loom_replacement_write(replacement, bytes, length, error)
           && loom_replacement_commit(replacement, NULL, error);
}
