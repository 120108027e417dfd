/* shared_memory - see shared_memory.h.  Sealed against shrinking: a reader never gets SIGBUS.
 */
#define _GNU_SOURCE /* memfd_create, F_ADD_SEALS */
#include "shared_memory.h"

#include <loom/plugin.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LABEL_BYTES 4096 /* the first page */

typedef struct {
    guint8 token[MESH_TOKEN];
    guint64 serial, bytes;
} Label;

static gboolean memory_reserve(int fd, gsize bytes)
{
    int refused;

    /* Not ftruncate: it promises memory that may not be there when it is written to. */
    do
        refused = posix_fallocate(fd, 0, (off_t)bytes);
    while (refused == EINTR);
    errno = refused;
    return refused == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0;
}

SharedMemory *shared_memory_new(const guint8 token[MESH_TOKEN], guint64 serial, gsize bytes,
                                GError **error)
{
    const gsize all = bytes + LABEL_BYTES;
    const int fd = memfd_create("segloom", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *map = MAP_FAILED;

    if (fd >= 0 && memory_reserve(fd, all))
        map = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        loom_fail(error, LOOM_ERROR_LIMIT, "%" G_GSIZE_FORMAT " bytes of shared memory: %s",
                  all, g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    Label *label = map;
    memcpy(label->token, token, MESH_TOKEN);
    label->serial = serial;
    label->bytes = bytes;
    SharedMemory *memory = g_new0(SharedMemory, 1);
    *memory = (SharedMemory){bytes, serial, fd, map, (guint8 *)map + LABEL_BYTES};
    return memory;
}

void shared_memory_free(SharedMemory *memory)
{
    if (!memory)
        return;
    munmap(memory->map, memory->bytes + LABEL_BYTES);
    close(memory->fd);
    g_free(memory);
}

/* ---- the other side ----------------------------------------------------------------- */

/* The descriptor comes from a message: anything may hide behind it. */
static gboolean descriptor_check(int fd, gsize all, GError **error)
{
    const int seals = fcntl(fd, F_GET_SEALS);
    struct stat found;

    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return loom_fail(error, LOOM_ERROR_FORMAT, "no sealed memory");
    if (fstat(fd, &found) != 0 || found.st_size < 0 || (guint64)found.st_size != all)
        return loom_fail(error, LOOM_ERROR_FORMAT, "not %" G_GSIZE_FORMAT " bytes", all);
    return TRUE;
}

static SharedView *view_map(int fd, const Label *wanted, GError **error)
{
    const gsize all = wanted->bytes + LABEL_BYTES;

    if (!descriptor_check(fd, all, error))
        return NULL;
    void *map = mmap(NULL, all, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        return loom_fail_null(error, LOOM_ERROR_IO, "%s", g_strerror(errno));
    if (memcmp(map, wanted, sizeof *wanted) != 0) {
        munmap(map, all);
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "the memory of somebody else");
    }
    SharedView *view = g_new0(SharedView, 1);
    *view = (SharedView){1, wanted->serial, wanted->bytes, map, (guint8 *)map + LABEL_BYTES};
    return view;
}

SharedView *shared_view_new(guint32 pid, guint32 fd, const guint8 token[MESH_TOKEN],
                            guint64 serial, guint64 bytes, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%u/fd/%u", pid, fd);
    Label wanted = {.serial = serial, .bytes = bytes};
    SharedView *view = NULL;

    memcpy(wanted.token, token, MESH_TOKEN);
    if (bytes > G_MAXSSIZE - LABEL_BYTES)
        return loom_fail_null(error, LOOM_ERROR_IO, "%s: %" G_GUINT64_FORMAT " bytes", path,
                              bytes);
    const int other = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (other < 0)
        loom_fail(error, errno == ENOENT ? LOOM_ERROR_FORMAT : LOOM_ERROR_IO, "%s",
                  g_strerror(errno));
    else
        view = view_map(other, &wanted, error);
    if (other >= 0)
        close(other);
    if (!view)
        g_prefix_error(error, "%s: ", path);
    return view;
}

SharedView *shared_view_ref(SharedView *view)
{
    g_atomic_int_inc(&view->references);
    return view;
}

void shared_view_unref(SharedView *view)
{
    if (!view || !g_atomic_int_dec_and_test(&view->references))
        return;
    munmap((void *)(guintptr)view->map, view->bytes + LABEL_BYTES);
    g_free(view);
}
