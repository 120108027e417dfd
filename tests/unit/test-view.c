/* A view travels unchanged, and what is none is refused with the reason. */
#include "cluster/view.h"
#include "loom_test.h"

#include <string.h>

static LoomMember *member(guint seat, guint group, const char *key)
{
    LoomMember *one = loom_member_new();

    one->seat = seat;
    one->incarnation = 1000 + seat;
    one->group = group;
    one->control = g_strdup_printf("tcp://10.0.0.%u:1", seat);
    one->collective = g_strdup("tcp://c");
    one->stream = g_strdup("tcp://s");
    one->key = g_strdup(key);
    one->host = g_strdup("boot");
    one->step = 7 + seat;
    return one;
}

static LoomView *three(void)
{
    LoomView *view = loom_view_new();

    memset(view->run, 0xab, sizeof view->run);
    view->generation = 5;
    view->coordinator = 1;
    view->step = 9;
    view->taken = 27;
    view->shared = TRUE;
    view->source = 4;
    view->behind = TRUE;
    g_ptr_array_add(view->members, member(1, 0, NULL));
    g_ptr_array_add(view->members, member(3, 1, "key"));
    g_ptr_array_add(view->members, member(4, 0, NULL));
    return view;
}

static void test_round(void)
{
    g_autoptr(LoomView) view = three();
    g_autoptr(LoomView) copy = loom_view_copy(view);
    g_autoptr(GVariant) packed = g_variant_ref_sink(loom_view_pack(copy));
    g_autoptr(LoomView) back = loom_view_unpack(packed, NULL);
    const LoomMember *third;

    g_assert_nonnull(back);
    g_assert_cmpint(memcmp(back->run, view->run, sizeof back->run), ==, 0);
    g_assert_cmpuint(back->generation, ==, 5);
    g_assert_cmpuint(back->coordinator, ==, 1);
    g_assert_cmpint(back->step, ==, 9);
    g_assert_cmpint(back->taken, ==, 27);
    g_assert_true(back->shared && back->behind);
    g_assert_cmpuint(back->source, ==, 4);
    g_assert_cmpuint(back->members->len, ==, 3);
    third = loom_view_find(back, 3);
    g_assert_cmpuint(third->incarnation, ==, 1003);
    g_assert_cmpuint(third->group, ==, 1);
    g_assert_cmpstr(third->control, ==, "tcp://10.0.0.3:1");
    g_assert_cmpstr(third->collective, ==, "tcp://c");
    g_assert_cmpstr(third->stream, ==, "tcp://s");
    g_assert_cmpstr(third->key, ==, "key");
    g_assert_cmpstr(third->host, ==, "boot");
    g_assert_cmpint(third->step, ==, 10);
    g_assert_null(loom_view_find(back, 1)->key);
    g_assert_null(loom_view_find(back, 2));
}

static void test_groups(void)
{
    g_autoptr(LoomView) view = three();

    g_assert_cmpuint(loom_view_group_size(view, 0), ==, 2);
    g_assert_cmpuint(loom_view_group_size(view, 1), ==, 1);
    g_assert_cmpuint(loom_view_group_size(view, 2), ==, 0);
    g_assert_cmpint(loom_view_group_rank(view, 0, 1), ==, 0);
    g_assert_cmpint(loom_view_group_rank(view, 0, 4), ==, 1);
    g_assert_cmpint(loom_view_group_rank(view, 1, 3), ==, 0);
    g_assert_cmpint(loom_view_group_rank(view, 0, 3), ==, -1);
    g_assert_cmpint(loom_view_group_rank(view, 0, 2), ==, -1);
}

/* One thing wrong at a time. */
static void refused(void (*spoil)(LoomView *view), const char *text)
{
    g_autoptr(LoomView) view = three();
    g_autoptr(GVariant) packed = NULL;
    g_autoptr(GError) error = NULL;

    spoil(view);
    packed = g_variant_ref_sink(loom_view_pack(view));
    loom_assert_failed(loom_view_unpack(packed, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       text);
}

static void no_generation(LoomView *view)
{
    view->generation = 0;
}

static void below_zero(LoomView *view)
{
    view->step = -1;
}

static void strange_coordinator(LoomView *view)
{
    view->coordinator = 2;
}

static void strange_source(LoomView *view)
{
    view->source = 0;
}

static void twice(LoomView *view)
{
    ((LoomMember *)view->members->pdata[1])->seat = 1;
}

static void huge_seat(LoomView *view)
{
    ((LoomMember *)view->members->pdata[2])->seat = G_MAXUINT32;
}

static void no_address(LoomView *view)
{
    *((LoomMember *)view->members->pdata[0])->control = '\0';
}

static void long_address(LoomView *view)
{
    LoomMember *first = view->members->pdata[0];

    g_free(first->stream);
    first->stream = g_strnfill(2000, 'x');
}

static void test_refused(void)
{
    g_autoptr(GVariant) other = g_variant_ref_sink(g_variant_new("(s)", "view"));
    g_autoptr(GError) error = NULL;

    refused(no_generation, "generation 0");
    refused(below_zero, "step -1");
    refused(strange_coordinator, "coordinator 2");
    refused(strange_source, "source 0");
    refused(twice, "seat 1 follows seat 1");
    refused(huge_seat, "out of range");
    refused(no_address, "no control address");
    refused(long_address, "2000 bytes");
    loom_assert_failed(loom_view_unpack(other, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "type '(s)'");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/view/round", test_round);
    g_test_add_func("/view/groups", test_groups);
    g_test_add_func("/view/refused", test_refused);
    return loom_test_run();
}
