/* The lease of a run folder: what is written is read back, a claim has one winner, and of two
 * sides of a broken network at least one gives way. */
#include "cluster/lease.h"
#include "loom_test.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLAIMANTS 8

/* Incarnation of whoever holds @seat from the beginning of a test. */
static guint64 first_life(guint seat)
{
    return (guint64)1 << 60 | seat;
}

static LoomMember *member_new(guint seat, guint64 incarnation)
{
    LoomMember *member = loom_member_new();

    member->seat = seat;
    member->incarnation = incarnation;
    return member;
}

static gboolean claim(const char *folder, guint64 generation, guint64 begun, guint64 known,
                      guint seat, GError **error)
{
    g_autoptr(LoomMember) self = member_new(seat, first_life(seat));

    return loom_lease_claim(folder, generation, begun, known, self, error);
}

static LoomView *view_new(guint64 generation, guint coordinator, const char *address)
{
    LoomView *view = loom_view_new();
    LoomMember *member = member_new(coordinator, first_life(coordinator));

    for (guint i = 0; i < sizeof view->run; i++)
        view->run[i] = (guint8)(0xa0 + i);
    view->generation = generation;
    view->coordinator = coordinator;
    member->control = g_strdup(address);
    g_ptr_array_add(view->members, member);
    return view;
}

static void folder_write(const char *folder, const char *name, const char *text, gssize length)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autoptr(GError) error = NULL;

    g_file_set_contents(path, text, length, &error);
    g_assert_no_error(error);
}

static void test_round_trip(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomView) view = view_new(7, 2, "tcp://10.0.0.2:4711");
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(folder, "cluster.json", NULL);
    g_autofree char *text = NULL;
    const gint64 before = g_get_real_time() / G_USEC_PER_SEC;
    LoomMember *coordinator = loom_view_find(view, 2);

    coordinator->key = g_strdup("0123456789012345678901234567890123456789");
    g_assert_true(loom_lease_write(folder, view, &error));
    g_autoptr(LoomLease) lease = loom_lease_read(folder, &error);
    g_assert_no_error(error);
    g_assert_true(memcmp(lease->run, view->run, sizeof view->run) == 0);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "\"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\"")); /* for people */
    g_assert_cmpuint(lease->generation, ==, 7);
    g_assert_cmpuint(lease->coordinator, ==, 2);
    g_assert_cmpstr(lease->address, ==, "tcp://10.0.0.2:4711");
    g_assert_cmpstr(lease->key, ==, coordinator->key);
    g_assert_cmpint(lease->time, >=, before);
    g_assert_cmpint(lease->time, <=, g_get_real_time() / G_USEC_PER_SEC);
    g_assert_true(loom_lease_seen(folder, view->run, 0));
    view->run[15] ^= 1;
    g_assert_false(loom_lease_seen(folder, view->run, 0));
    loom_test_folder_remove(folder);
}

static gpointer write_later(gpointer folder)
{
    g_autoptr(LoomView) view = view_new(1, 0, "loopback://late");

    g_usleep(100000);
    g_assert_true(loom_lease_write(folder, view, NULL));
    return NULL;
}

static void test_seen_late(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomView) view = view_new(1, 0, "loopback://late");
    GThread *thread = g_thread_new("writer", write_later, folder);

    g_assert_true(loom_lease_seen(folder, view->run, 60000));
    g_thread_join(thread);
    loom_test_folder_remove(folder);
}

/* What is no lease is an error and never more: the folder may come from anywhere. */
static void test_refused(void)
{
    static const char *const wrong[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "\"run\"",
        "{\"run\": 5, \"generation\": 1, \"coordinator\": 0, \"address\": \"a\"}",
        "{\"run\": \"a0\", \"generation\": 1, \"coordinator\": 0, \"address\": \"a\"}",
        "{\"run\": \"g0a1a2a3a4a5a6a7a8a9aaabacadaeaf\", \"generation\": 1, "
        "\"coordinator\": 0, \"address\": \"a\"}",
        "{\"run\": \"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\", \"generation\": 0, "
        "\"coordinator\": 0, \"address\": \"a\"}",
        "{\"run\": \"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\", \"generation\": 1.5, "
        "\"coordinator\": 0, \"address\": \"a\"}",
        "{\"run\": \"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\", \"generation\": 1, "
        "\"coordinator\": -1, \"address\": \"a\"}",
        "{\"run\": \"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\", \"generation\": 1, "
        "\"coordinator\": 0, \"address\": \"\"}",
        "{\"run\": \"a0a1a2a3a4a5a6a7a8a9aaabacadaeaf\", \"generation\": 1, "
        "\"coordinator\": 0, \"address\": [\"a\"]}",
    };
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "cluster.json", NULL);
    g_autofree char *large = g_strnfill(65537, ' ');
    GError *error = NULL;

    loom_assert_failed(loom_lease_read(folder, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "No such file");
    g_clear_error(&error);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        folder_write(folder, "cluster.json", wrong[i], -1);
        loom_assert_failed(loom_lease_read(folder, &error), error, LOOM_ERROR,
                           LOOM_ERROR_FORMAT, "does not say where a coordinator is");
        g_clear_error(&error);
    }
    folder_write(folder, "cluster.json", large, -1);
    loom_assert_failed(loom_lease_read(folder, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "more than 65536 bytes");
    g_clear_error(&error);
    g_unlink(path);
    g_assert_cmpint(mkfifo(path, 0600), ==, 0); /* reading it would wait for ever */
    loom_assert_failed(loom_lease_read(folder, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "is no file that can be read");
    g_clear_error(&error);
    g_unlink(path);
    g_assert_cmpint(symlink("/etc/passwd", path), ==, 0);
    loom_assert_failed(loom_lease_read(folder, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "cluster.json");
    g_clear_error(&error);
    loom_test_folder_remove(folder);
}

static void test_remove(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomView) view = view_new(3, 0, "ipc:///run/a");

    g_assert_true(loom_lease_write(folder, view, NULL));
    g_assert_true(claim(folder, 4, 3, 3, 0, NULL));
    loom_lease_remove(folder, "ipc:///run/b"); /* another process leads by now */
    g_assert_cmpuint(loom_test_folder_count(folder), ==, 2);
    loom_lease_remove(folder, "ipc:///run/a");
    g_assert_cmpuint(loom_test_folder_count(folder), ==, 0);
    loom_test_folder_remove(folder);
}

/* ---- claims ------------------------------------------------------------------------- */

typedef struct {
    const char *folder;
    guint seat;
    gboolean granted;
} Claimant;

static gpointer claim_once(gpointer data)
{
    Claimant *claimant = data;

    claimant->granted = claim(claimant->folder, 6, 5, 5, claimant->seat, NULL);
    return NULL;
}

/* Never two; and who made the file first gets it unless another one looked in between. */
static void test_claim_once(void)
{
    for (guint round = 0; round < 50; round++) {
        g_autofree char *folder = loom_test_folder();
        Claimant claimants[CLAIMANTS];
        GThread *threads[CLAIMANTS];
        guint granted = 0;

        for (guint i = 0; i < CLAIMANTS; i++) {
            claimants[i] = (Claimant){folder, i, FALSE};
            threads[i] = g_thread_new("claimant", claim_once, &claimants[i]);
        }
        for (guint i = 0; i < CLAIMANTS; i++) {
            g_thread_join(threads[i]);
            granted += claimants[i].granted ? 1 : 0;
        }
        g_assert_cmpuint(granted, ==, 1); /* they want the same file */
        loom_test_folder_remove(folder);
    }
}

static void test_claim_refused(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomView) begun = view_new(5, 0, "tcp://a:1");
    g_autoptr(LoomView) next = view_new(7, 0, "tcp://a:1");
    g_autoptr(GError) error = NULL;
    guint rival = 0;

    /* generation 5 holds; seat 3 cannot reach the others, and takes the run over */
    g_assert_true(loom_lease_write(folder, begun, NULL));
    g_assert_true(claim(folder, 6, 5, 5, 3, NULL));
    /* a second one that is alone as well, whatever number it counts */
    loom_assert_failed(claim(folder, 7, 5, 5, 2, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "rank 3 has claimed this run already");
    g_clear_error(&error);
    /* the majority comes late: it sees the claim, and gives way */
    g_assert_true(loom_lease_write(folder, next, NULL));
    g_assert_true(loom_lease_rival(folder, next, 5, &rival));
    g_assert_cmpuint(rival, ==, 3);
    /* who was in 6 knows that it holds; a view with the one that claimed is no other side */
    g_assert_false(loom_lease_rival(folder, next, 6, &rival));
    g_ptr_array_add(next->members, member_new(3, first_life(3)));
    g_assert_false(loom_lease_rival(folder, next, 5, &rival));
    loom_test_folder_remove(folder);
}

/* Seat 3 claims and trains alone, is killed and started anew, and joins those who slept: they
 * are another side, and so is it.  Nothing of what it claimed is known to any of them. */
static void test_claim_of_before(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomView) next = view_new(6, 0, "tcp://a:1");
    g_autoptr(LoomView) led = view_new(6, 3, "tcp://a:3");
    g_autoptr(LoomMember) anew = member_new(3, first_life(3) + 1);
    g_autoptr(GError) error = NULL;
    guint rival = 0;

    g_assert_true(claim(folder, 6, 5, 5, 3, NULL));
    g_ptr_array_add(next->members, loom_member_copy(anew));
    g_assert_true(loom_lease_rival(folder, next, 5, &rival));
    g_assert_cmpuint(rival, ==, 3);
    g_assert_false(loom_lease_rival(folder, led, 5, &rival)); /* the one that claimed it */
    loom_view_find(led, 3)->incarnation = anew->incarnation;
    g_assert_true(loom_lease_rival(folder, led, 5, &rival));
    g_assert_cmpuint(rival, ==, 3);
    /* nor is the claim of before its own, whether it wants the same generation or a later one
     */
    g_assert_false(loom_lease_claim(folder, 6, 5, 5, anew, NULL));
    loom_assert_failed(loom_lease_claim(folder, 7, 5, 5, anew, &error), error, LOOM_ERROR,
                       LOOM_ERROR_IO, "rank 3 has claimed this run already");
    loom_test_folder_remove(folder);
}

static void test_claim_late(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomView) next = view_new(6, 0, "tcp://a:1");
    g_autoptr(GError) error = NULL;
    guint rival = 0;

    /* the majority was first: who knows generation 5 only may not go on */
    g_assert_true(loom_lease_write(folder, next, NULL));
    loom_assert_failed(claim(folder, 7, 5, 5, 3, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "rank 0 at 'tcp://a:1' went on with generation 6");
    g_assert_false(loom_lease_rival(folder, next, 5, &rival)); /* it left no claim behind */
    /* who knows 6, since it was asked to be in it, may: 6 cannot go on without it */
    g_assert_true(claim(folder, 7, 5, 6, 3, NULL));
    /* a further try of the same seat takes the place of its first */
    g_assert_true(claim(folder, 8, 5, 6, 3, NULL));
    g_assert_true(claim(folder, 8, 5, 6, 3, NULL)); /* it has it already */
    g_assert_false(claim(folder, 8, 5, 6, 2, NULL));
    loom_lease_settle(folder, 7);
    g_assert_true(loom_lease_rival(folder, next, 5, &rival));
    g_assert_cmpuint(rival, ==, 3);
    loom_lease_settle(folder, 8);
    g_assert_false(loom_lease_rival(folder, next, 5, &rival));
    loom_test_folder_remove(folder);
}

/* A claim that was cut short belongs to nobody that is known: everybody gives way. */
static void test_claim_of_nobody(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *claims = g_build_filename(folder, "cluster", NULL);
    g_autoptr(LoomView) view = view_new(6, 0, "tcp://a:1");
    static const char *const cut[] = {"0",
                                      "0 ",
                                      "0 1000000000000000",
                                      "0\n",
                                      "-1 1000000000000000\n",
                                      "0 1000000000000000 2\n",
                                      "0 1000000000000000000\n"};
    guint rival = 0;

    g_assert_cmpint(g_mkdir(claims, 0700), ==, 0);
    folder_write(claims, "generation-x", "1", -1); /* no claim at all */
    g_assert_false(loom_lease_rival(folder, view, 5, &rival));
    folder_write(claims, "generation-000006", "", -1);
    g_assert_true(loom_lease_rival(folder, view, 5, &rival));
    g_assert_cmpuint(rival, ==, G_MAXUINT);
    g_assert_false(claim(folder, 6, 5, 5, 1, NULL));
    g_assert_false(claim(folder, 7, 5, 5, 1, NULL));
    /* what is cut short anywhere, or says more or something else, names nobody; not even seat
     * 0, which is a member */
    for (guint i = 0; i < G_N_ELEMENTS(cut); i++) {
        folder_write(claims, "generation-000006", cut[i], -1);
        g_assert_true(loom_lease_rival(folder, view, 5, &rival));
        g_assert_cmpuint(rival, ==, G_MAXUINT);
    }
    folder_write(claims, "generation-000006", "0 1000000000000000\n", -1);
    g_assert_false(loom_lease_rival(folder, view, 5, &rival));
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/lease/round-trip", test_round_trip);
    g_test_add_func("/lease/seen-late", test_seen_late);
    g_test_add_func("/lease/refused", test_refused);
    g_test_add_func("/lease/remove", test_remove);
    g_test_add_func("/lease/claim-once", test_claim_once);
    g_test_add_func("/lease/claim-refused", test_claim_refused);
    g_test_add_func("/lease/claim-of-before", test_claim_of_before);
    g_test_add_func("/lease/claim-late", test_claim_late);
    g_test_add_func("/lease/claim-of-nobody", test_claim_of_nobody);
    return loom_test_run();
}
