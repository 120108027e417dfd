/* lease - `cluster.json` and `cluster/generation-000007` of a run folder.
 *
 * Ranks that share a file system find a coordinator that moved, and settle who goes on when
 * neither side of a broken network is a majority.  Nothing here is needed where every rank has
 * a folder of its own: then nobody sees another one's files. */
#include "lease.h"

#include <loom/store.h>

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEASE_FILE "cluster.json"
#define CLAIM_FOLDER "cluster"
#define CLAIM_PREFIX "generation-"
#define LEASE_MAX_BYTES (64 << 10)
#define SEEN_PAUSE_MS 50

void loom_lease_free(LoomLease *lease)
{
    if (!lease)
        return;
    g_free(lease->address);
    g_free(lease->key);
    g_free(lease);
}

/* 32 hexadecimal digits; (transfer full). */
static char *run_text(const guint8 run[16])
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < 16; i++)
        g_string_append_printf(text, "%02x", run[i]);
    return g_string_free(text, FALSE);
}

/* ---- cluster.json ------------------------------------------------------------------- */

/* The folder may be one that somebody else prepared: no links, no pipes, no gigabytes. */
static char *small_file(const char *path, GError **error)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0)
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s': %s", path, g_strerror(errno));
    g_autofree char *text = g_malloc(LEASE_MAX_BYTES + 1);
    gssize length = -1;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
        length = read(fd, text, LEASE_MAX_BYTES + 1);
    close(fd);
    if (length < 0)
        return loom_fail_null(error, LOOM_ERROR_IO, "'%s' is no file that can be read", path);
    if (length > LEASE_MAX_BYTES)
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "'%s' has more than %d bytes", path,
                              LEASE_MAX_BYTES);
    text[length] = 0;
    return g_steal_pointer(&text);
}

/* NULL: not there, or no string. */
static const char *member_text(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node)
                   && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : NULL;
}

/* -1: not there, no whole number, or negative. */
static gint64 member_number(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64
               ? MAX(-1, json_node_get_int(node))
               : -1;
}

static gboolean run_parse(const char *text, guint8 run[16])
{
    if (strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
        return FALSE;
    for (guint i = 0; i < 16; i++)
        run[i] = (guint8)(g_ascii_xdigit_value(text[2 * i]) << 4
                          | g_ascii_xdigit_value(text[2 * i + 1]));
    return TRUE;
}

static LoomLease *lease_parse(JsonObject *object)
{
    g_autoptr(LoomLease) lease = g_new0(LoomLease, 1);
    const char *run = member_text(object, "run");
    const char *address = member_text(object, "address");
    const gint64 generation = member_number(object, "generation");
    const gint64 coordinator = member_number(object, "coordinator");

    if (!run || !run_parse(run, lease->run) || !address || !*address || generation < 1
        || coordinator < 0 || coordinator > G_MAXINT)
        return NULL;
    lease->generation = (guint64)generation;
    lease->coordinator = (guint)coordinator;
    lease->address = g_strdup(address);
    lease->key = g_strdup(member_text(object, "key"));
    lease->time = member_number(object, "time");
    return g_steal_pointer(&lease);
}

LoomLease *loom_lease_read(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, LEASE_FILE, NULL);
    g_autofree char *text = small_file(path, error);
    g_autoptr(JsonParser) parser = json_parser_new();
    LoomLease *lease = NULL;

    if (!text)
        return NULL;
    if (json_parser_load_from_data(parser, text, -1, NULL) && json_parser_get_root(parser)
        && JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        lease = lease_parse(json_node_get_object(json_parser_get_root(parser)));
    if (!lease)
        loom_fail(error, LOOM_ERROR_FORMAT,
                  "'%s' does not say where a coordinator is: want run, generation, coordinator "
                  "and address",
                  path);
    return lease;
}

gboolean loom_lease_write(const char *folder, const LoomView *view, GError **error)
{
    const LoomMember *coordinator = loom_view_find(view, view->coordinator);
    g_autofree char *path = g_build_filename(folder, LEASE_FILE, NULL);
    g_autofree char *run = run_text(view->run);
    g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
    g_autoptr(JsonObject) object = json_object_new();

    g_assert(coordinator);
    json_object_set_string_member(object, "run", run);
    json_object_set_int_member(object, "generation", (gint64)view->generation);
    json_object_set_int_member(object, "coordinator", view->coordinator);
    json_object_set_string_member(object, "address", coordinator->control);
    if (coordinator->key)
        json_object_set_string_member(object, "key", coordinator->key);
    json_object_set_int_member(object, "time", g_get_real_time() / G_USEC_PER_SEC);
    json_node_set_object(root, object);
    g_autofree char *text = json_to_string(root, TRUE);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    return loom_file_replace(path, line, strlen(line), error);
}

gboolean loom_lease_seen(const char *folder, const guint8 run[16], gint64 wait_ms)
{
    const gint64 until = g_get_monotonic_time() + wait_ms * 1000;

    for (;;) {
        g_autoptr(LoomLease) lease = loom_lease_read(folder, NULL);

        if (lease && memcmp(lease->run, run, sizeof lease->run) == 0)
            return TRUE;
        if (g_get_monotonic_time() >= until)
            return FALSE;
        g_usleep(SEEN_PAUSE_MS * 1000);
    }
}

void loom_lease_remove(const char *folder, const char *address)
{
    g_autoptr(LoomLease) lease = loom_lease_read(folder, NULL);
    g_autofree char *path = g_build_filename(folder, LEASE_FILE, NULL);
    g_autofree char *claims = g_build_filename(folder, CLAIM_FOLDER, NULL);

    if (!lease || !g_str_equal(lease->address, address))
        return;
    loom_lease_settle(folder, G_MAXUINT64);
    g_rmdir(claims); /* what is not empty stays */
    g_unlink(path);
}

/* ---- claims ------------------------------------------------------------------------- */

/* "generation-000007" -> 7; 0: another file. */
static guint64 claim_generation(const char *name)
{
    guint64 generation = 0;

    return g_str_has_prefix(name, CLAIM_PREFIX)
                   && g_ascii_string_to_unsigned(name + strlen(CLAIM_PREFIX), 10, 1,
                                                 G_MAXUINT64, &generation, NULL)
               ? generation
               : 0;
}

static char *claim_path(const char *folder, guint64 generation)
{
    g_autofree char *name = g_strdup_printf(CLAIM_PREFIX "%06" G_GUINT64_FORMAT, generation);

    return g_build_filename(folder, CLAIM_FOLDER, name, NULL);
}

/* The process that made a claim, "SEAT INCARNATION".  FALSE: it does not say; *seat is then
 * G_MAXUINT. */
static gboolean claim_read(const char *path, guint *seat, guint64 *incarnation)
{
    g_autofree char *text = small_file(path, NULL);
    g_auto(GStrv) words = text ? g_strsplit(text, " ", 2) : NULL;
    guint64 number;

    *seat = G_MAXUINT;
    if (!words || g_strv_length(words) != 2
        || !g_str_has_suffix(words[1], "\n") /* else it was cut short */
        || !g_ascii_string_to_unsigned(words[0], 10, 0, G_MAXINT, &number, NULL)
        || !g_ascii_string_to_unsigned(g_strchomp(words[1]), 16, 0, G_MAXUINT64, incarnation,
                                       NULL))
        return FALSE;
    *seat = (guint)number;
    return TRUE;
}

/* The seat alone says nothing: a process that was started anew does not know what the one
 * before it claimed, and did then. */
static gboolean claim_is_of(const char *path, const LoomMember *member)
{
    guint64 incarnation;
    guint seat;

    return claim_read(path, &seat, &incarnation) && seat == member->seat
           && incarnation == member->incarnation;
}

/* Is there a claim, later than @begun, of none of these?  @seat: (out): whose. */
static gboolean claimed_by_other(const char *folder, guint64 begun,
                                 const LoomMember *const *members, guint n, guint *seat)
{
    g_autofree char *claims = g_build_filename(folder, CLAIM_FOLDER, NULL);
    g_autoptr(GDir) dir = g_dir_open(claims, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(claims, name, NULL);
        gboolean own = claim_generation(name) <= begun; /* other files as well */
        guint64 incarnation;

        for (guint i = 0; i < n && !own; i++)
            own = claim_is_of(path, members[i]);
        if (own)
            continue;
        claim_read(path, seat, &incarnation);
        return TRUE;
    }
    return FALSE;
}

/* Does the claim stand, now that it can be seen? */
static gboolean claim_check(const char *folder, guint64 begun, guint64 known,
                            const LoomMember *self, GError **error)
{
    g_autoptr(LoomLease) lease = loom_lease_read(folder, NULL);
    guint other;

    if (claimed_by_other(folder, begun, &self, 1, &other))
        return other == G_MAXUINT
                   ? loom_fail(error, LOOM_ERROR_IO, "another rank claims this run")
                   : loom_fail(error, LOOM_ERROR_IO, "rank %u has claimed this run already",
                               other);
    if (lease && lease->generation > known)
        return loom_fail(error, LOOM_ERROR_IO,
                         "rank %u at '%s' went on with generation %" G_GUINT64_FORMAT,
                         lease->coordinator, lease->address, lease->generation);
    return TRUE;
}

/* Makes the file, once; who made it already has it. */
static gboolean claim_make(const char *path, const LoomMember *self, GError **error)
{
    g_autofree char *text =
        g_strdup_printf("%u %" G_GINT64_MODIFIER "x\n", self->seat, self->incarnation);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    const int refused = errno;

    if (fd < 0 && refused == EEXIST && claim_is_of(path, self))
        return TRUE;
    if (fd < 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be claimed: %s", path,
                         g_strerror(refused));
    const gboolean written = write(fd, text, strlen(text)) == (gssize)strlen(text);
    if (close(fd) == 0 && written)
        return TRUE;
    g_unlink(path);
    return loom_fail(error, LOOM_ERROR_IO, "'%s' cannot be written", path);
}

gboolean loom_lease_claim(const char *folder, guint64 generation, guint64 begun, guint64 known,
                          const LoomMember *self, GError **error)
{
    g_autofree char *claims = g_build_filename(folder, CLAIM_FOLDER, NULL);
    g_autofree char *path = claim_path(folder, generation);

    if (g_mkdir(claims, 0777) != 0 && errno != EEXIST)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': %s", claims, g_strerror(errno));
    if (!claim_make(path, self, error))
        return FALSE;
    if (claim_check(folder, begun, known, self, error)) {
        loom_lease_settle(folder, generation - 1); /* its own of before */
        return TRUE;
    }
    g_unlink(path);
    return FALSE;
}

gboolean loom_lease_rival(const char *folder, const LoomView *view, guint64 begun, guint *seat)
{
    return claimed_by_other(folder, begun,
                            (const LoomMember *const *)(gpointer)view->members->pdata,
                            view->members->len, seat);
}

void loom_lease_settle(const char *folder, guint64 generation)
{
    g_autofree char *claims = g_build_filename(folder, CLAIM_FOLDER, NULL);
    g_autoptr(GDir) dir = g_dir_open(claims, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        const guint64 claimed = claim_generation(name);

        if (claimed == 0 || claimed > generation)
            continue;
        g_autofree char *path = g_build_filename(claims, name, NULL);
        g_unlink(path);
    }
}
