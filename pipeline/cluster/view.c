/* view - the members of a generation: copies, places within groups, and the one form in which
 * they travel: (ay t u x x b u b a(utusssssx)), written out below. */
#include "view.h"

#include <loom/plugin.h>

#include <string.h>

#define VIEW_TYPE "(aytuxxbuba(utusssssx))"
#define VIEW_SEATS_MAX 4096
#define VIEW_TEXT_MAX 1024 /* bytes of an address, a key, a host */
#define VIEW_NUMBER_MAX (G_GINT64_CONSTANT(1) << 48)

LoomMember *loom_member_new(void)
{
    LoomMember *member = g_new0(LoomMember, 1);

    member->step = -1;
    return member;
}

LoomMember *loom_member_copy(const LoomMember *member)
{
    LoomMember *copy = g_new0(LoomMember, 1);

    *copy = *member;
    copy->control = g_strdup(member->control);
    copy->collective = g_strdup(member->collective);
    copy->stream = g_strdup(member->stream);
    copy->key = g_strdup(member->key);
    copy->host = g_strdup(member->host);
    return copy;
}

void loom_member_free(LoomMember *member)
{
    if (!member)
        return;
    g_free(member->control);
    g_free(member->collective);
    g_free(member->stream);
    g_free(member->key);
    g_free(member->host);
    g_free(member);
}

LoomView *loom_view_new(void)
{
    LoomView *view = g_new0(LoomView, 1);

    view->members = g_ptr_array_new_with_free_func((GDestroyNotify)loom_member_free);
    return view;
}

LoomView *loom_view_copy(const LoomView *view)
{
    LoomView *copy = g_new0(LoomView, 1);

    *copy = *view;
    copy->members = g_ptr_array_new_with_free_func((GDestroyNotify)loom_member_free);
    for (guint i = 0; i < view->members->len; i++)
        g_ptr_array_add(copy->members, loom_member_copy(view->members->pdata[i]));
    return copy;
}

void loom_view_free(LoomView *view)
{
    if (!view)
        return;
    g_ptr_array_unref(view->members);
    g_free(view);
}

LoomMember *loom_view_find(const LoomView *view, guint seat)
{
    for (guint i = 0; i < view->members->len; i++) {
        LoomMember *member = view->members->pdata[i];

        if (member->seat == seat)
            return member;
    }
    return NULL;
}

guint loom_view_group_size(const LoomView *view, guint group)
{
    guint n = 0;

    for (guint i = 0; i < view->members->len; i++)
        n += ((const LoomMember *)view->members->pdata[i])->group == group;
    return n;
}

gint loom_view_group_rank(const LoomView *view, guint group, guint seat)
{
    gint rank = 0;

    for (guint i = 0; i < view->members->len; i++) {
        const LoomMember *member = view->members->pdata[i];

        if (member->group != group)
            continue;
        if (member->seat == seat)
            return rank;
        rank++;
    }
    return -1;
}

static const char *text_or_empty(const char *text)
{
    return text ? text : "";
}

GVariant *loom_member_pack(const LoomMember *member)
{
    return g_variant_new("(utusssssx)", (guint32)member->seat, member->incarnation,
                         (guint32)member->group, text_or_empty(member->control),
                         text_or_empty(member->collective), text_or_empty(member->stream),
                         text_or_empty(member->key), text_or_empty(member->host), member->step);
}

/* "" travels for NULL: only a key and a host may be missing, and they come back as NULL. */
static char *text_or_null(const char *text)
{
    return *text ? g_strdup(text) : NULL;
}

LoomMember *loom_member_unpack(GVariant *packed, GError **error)
{
    g_autoptr(LoomMember) member = loom_member_new();
    const char *text[5];
    guint32 seat, group;

    if (!g_variant_is_of_type(packed, G_VARIANT_TYPE("(utusssssx)")))
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "a member of type '%s', want '(utusssssx)'",
                              g_variant_get_type_string(packed));
    g_variant_get(packed, "(utu&s&s&s&s&sx)", &seat, &member->incarnation, &group, &text[0],
                  &text[1], &text[2], &text[3], &text[4], &member->step);
    if (seat >= VIEW_SEATS_MAX || group >= VIEW_SEATS_MAX || member->step < -1
        || member->step > VIEW_NUMBER_MAX)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "seat %u, group %u, step %" G_GINT64_FORMAT ": out of range",
                              seat, group, member->step);
    for (guint i = 0; i < G_N_ELEMENTS(text); i++)
        if (strlen(text[i]) > VIEW_TEXT_MAX)
            return loom_fail_null(error, LOOM_ERROR_FORMAT,
                                  "an address of %" G_GSIZE_FORMAT " bytes, want at most %d",
                                  strlen(text[i]), VIEW_TEXT_MAX);
    if (!*text[0])
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "seat %u has no control address", seat);
    member->seat = seat;
    member->group = group;
    member->control = g_strdup(text[0]);
    member->collective = g_strdup(text[1]);
    member->stream = g_strdup(text[2]);
    member->key = text_or_null(text[3]);
    member->host = text_or_null(text[4]);
    return g_steal_pointer(&member);
}

GVariant *loom_view_pack(const LoomView *view)
{
    GVariantBuilder members;

    g_variant_builder_init(&members, G_VARIANT_TYPE("a(utusssssx)"));
    for (guint i = 0; i < view->members->len; i++)
        g_variant_builder_add_value(&members, loom_member_pack(view->members->pdata[i]));
    return g_variant_new(
        "(@aytuxxbuba(utusssssx))",
        g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, view->run, sizeof view->run, 1),
        view->generation, (guint32)view->coordinator, view->step, view->taken, view->shared,
        (guint32)view->source, view->behind, &members);
}

/* Members by rising seat, none twice; coordinator and source among them. */
static gboolean view_check(const LoomView *view, GError **error)
{
    const LoomMember *before = NULL;

    if (!view->generation || view->generation > (guint64)VIEW_NUMBER_MAX || view->step < 0
        || view->step > VIEW_NUMBER_MAX || view->taken < 0 || view->taken > VIEW_NUMBER_MAX)
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "generation %" G_GUINT64_FORMAT ", step %" G_GINT64_FORMAT
                         ", rank-steps %" G_GINT64_FORMAT ": out of range",
                         view->generation, view->step, view->taken);
    for (guint i = 0; i < view->members->len; i++) {
        const LoomMember *member = view->members->pdata[i];

        if (before && member->seat <= before->seat)
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "seat %u follows seat %u, want them rising", member->seat,
                             before->seat);
        before = member;
    }
    if (!loom_view_find(view, view->coordinator) || !loom_view_find(view, view->source))
        return loom_fail(error, LOOM_ERROR_FORMAT,
                         "coordinator %u and source %u, want both among the members",
                         view->coordinator, view->source);
    return TRUE;
}

LoomView *loom_view_unpack(GVariant *packed, GError **error)
{
    g_autoptr(LoomView) view = loom_view_new();
    g_autoptr(GVariant) run = NULL, members = NULL;
    guint32 coordinator, source;
    gsize n;

    if (!g_variant_is_of_type(packed, G_VARIANT_TYPE(VIEW_TYPE)))
        return loom_fail_null(error, LOOM_ERROR_FORMAT, "a view of type '%s', want '%s'",
                              g_variant_get_type_string(packed), VIEW_TYPE);
    g_variant_get(packed, "(@aytuxxbub@a(utusssssx))", &run, &view->generation, &coordinator,
                  &view->step, &view->taken, &view->shared, &source, &view->behind, &members);
    if (g_variant_n_children(run) != sizeof view->run)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "a run id of %" G_GSIZE_FORMAT " bytes, want 16",
                              g_variant_n_children(run));
    if (g_variant_n_children(members) > VIEW_SEATS_MAX)
        return loom_fail_null(error, LOOM_ERROR_FORMAT,
                              "%" G_GSIZE_FORMAT " members, want at most %d",
                              g_variant_n_children(members), VIEW_SEATS_MAX);
    memcpy(view->run, g_variant_get_fixed_array(run, &n, 1), sizeof view->run);
    view->coordinator = coordinator;
    view->source = source;
    for (gsize i = 0; i < g_variant_n_children(members); i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(members, i);
        LoomMember *member = loom_member_unpack(child, error);

        if (!member)
            return NULL;
        g_ptr_array_add(view->members, member);
    }
    return view_check(view, error) ? g_steal_pointer(&view) : NULL;
}
