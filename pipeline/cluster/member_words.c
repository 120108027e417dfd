/* member_words - messages of the membership as bytes, and back; whatever is not exactly one of
 * them is refused.
 *
 * A message is a GVariant in normal form, little-endian:
 *   (y version, y kind, ay run, t generation, u seat, t incarnation, s control, s key,
 *    s config, v body)
 * then the first 16 bytes of its SHA-256, against damage, not against people: CURVE keeps those
 * out. */
#include "machine.h"

#include "core/little_endian.h"

#include <string.h>

#define WORD_TYPE "(yyaytutsssv)"
#define WORD_DIGEST 16
#define WORD_TEXT_MAX 1024
#define WORD_SEATS_MAX 4096
#define WORD_NUMBER_MAX (G_GINT64_CONSTANT(1) << 48)
#define OPEN_TYPE "a(ta(ut))"

/* Body of each kind. */
static const char *const bodies[WORD_COUNT] = {
    [WORD_JOIN] = "((utusssssx)utx)",
    [WORD_WAIT] = "(b)",
    [WORD_REFUSE] = "(s)",
    [WORD_REDIRECT] = "(ss)",
    [WORD_NOTICE] = "(b)",
    [WORD_BEAT] = "(xtbbbau)",
    [WORD_HALT] = "(bt)",
    [WORD_STATE] = "((utusssssx)ttxxb" OPEN_TYPE ")",
    [WORD_PREPARE] = "((aytuxxbuba(utusssssx))" OPEN_TYPE "a(utt))",
    [WORD_READY] = "(tbb)",
    [WORD_COMMIT] = "(tb)",
    [WORD_OUTDATED] = "(ss)",
    [WORD_FAILED] = "(bs)",
    [WORD_END] = "(us)",
    [WORD_PING] = "(b)",
};

static void open_free(gpointer data)
{
    OpenView *open = data;

    g_array_unref(open->seats);
    g_free(open);
}

GPtrArray *open_new(void)
{
    return g_ptr_array_new_with_free_func(open_free);
}

GPtrArray *open_copy(const GPtrArray *open)
{
    GPtrArray *copy = open_new();

    for (guint i = 0; i < open->len; i++) {
        const OpenView *from = open->pdata[i];
        OpenView *to = g_new0(OpenView, 1);

        to->generation = from->generation;
        to->seats = g_array_copy(from->seats);
        g_ptr_array_add(copy, to);
    }
    return copy;
}

OpenView *open_of_view(const LoomView *view)
{
    OpenView *open = g_new0(OpenView, 1);

    open->generation = view->generation;
    open->seats = g_array_new(FALSE, TRUE, sizeof(OpenSeat));
    for (guint i = 0; i < view->members->len; i++) {
        const LoomMember *member = view->members->pdata[i];
        const OpenSeat seat = {.seat = member->seat, .incarnation = member->incarnation};

        g_array_append_val(open->seats, seat);
    }
    return open;
}

GVariant *open_pack(const GPtrArray *open)
{
    GVariantBuilder views;

    g_variant_builder_init(&views, G_VARIANT_TYPE(OPEN_TYPE));
    for (guint i = 0; i < open->len; i++) {
        const OpenView *view = open->pdata[i];

        g_variant_builder_open(&views, G_VARIANT_TYPE("(ta(ut))"));
        g_variant_builder_add(&views, "t", view->generation);
        g_variant_builder_open(&views, G_VARIANT_TYPE("a(ut)"));
        for (guint s = 0; s < view->seats->len; s++) {
            const OpenSeat *seat = &g_array_index(view->seats, OpenSeat, s);

            g_variant_builder_add(&views, "(ut)", (guint32)seat->seat, seat->incarnation);
        }
        g_variant_builder_close(&views);
        g_variant_builder_close(&views);
    }
    return g_variant_builder_end(&views);
}

static GPtrArray *open_unpack(GVariant *packed)
{
    g_autoptr(GPtrArray) open = open_new();

    if (g_variant_n_children(packed) > MACHINE_OPEN_MAX)
        return NULL;
    for (gsize i = 0; i < g_variant_n_children(packed); i++) {
        g_autoptr(GVariant) child = g_variant_get_child_value(packed, i);
        g_autoptr(GVariant) seats = NULL;
        OpenView *view = g_new0(OpenView, 1);
        gsize n;

        view->seats = g_array_new(FALSE, TRUE, sizeof(OpenSeat));
        g_ptr_array_add(open, view);
        g_variant_get(child, "(t@a(ut))", &view->generation, &seats);
        n = g_variant_n_children(seats);
        if (view->generation > (guint64)WORD_NUMBER_MAX || n > WORD_SEATS_MAX)
            return NULL;
        for (gsize s = 0; s < n; s++) {
            OpenSeat seat = {0};
            guint32 number;

            g_variant_get_child(seats, s, "(ut)", &number, &seat.incarnation);
            seat.seat = number;
            g_array_append_val(view->seats, seat);
        }
    }
    return g_steal_pointer(&open);
}

static void digest_of(const guint8 *bytes, gsize n, guint8 digest[32])
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    gsize size = 32;

    g_checksum_update(sum, bytes, (gssize)n);
    g_checksum_get_digest(sum, digest, &size);
}

char *word_text(const char *text)
{
    static const char cut[] = "...";
    char *valid = g_utf8_make_valid(text, -1);

    if (strlen(valid) > WORD_TEXT_MAX)
        memcpy(g_utf8_find_prev_char(valid, valid + WORD_TEXT_MAX - strlen(cut)), cut,
               sizeof cut);
    return valid;
}

GBytes *word_pack(LoomMachine *machine, WordKind kind, GVariant *body)
{
    const LoomMember *self = machine->self;
    g_autoptr(GVariant) word = loom_little_endian(g_variant_ref_sink(g_variant_new(
        "(yy@aytutsssv)", (guchar)MACHINE_VERSION, (guchar)kind,
        g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, machine->run, sizeof machine->run, 1),
        machine->view ? machine->view->generation : (guint64)0, (guint32)self->seat,
        self->incarnation, self->control, self->key ? self->key : "", machine->config, body)));
    const gsize n = g_variant_get_size(word);
    guint8 *bytes = g_malloc(n + 32);

    g_assert(g_variant_is_of_type(body, G_VARIANT_TYPE(bodies[kind])));
    g_variant_store(word, bytes);
    digest_of(bytes, n, bytes + n);
    return g_bytes_new_take(bytes, n + WORD_DIGEST);
}

void word_free(Word *word)
{
    if (!word)
        return;
    g_free(word->control);
    g_free(word->key);
    g_free(word->config);
    loom_member_free(word->member);
    loom_view_free(word->view);
    g_clear_pointer(&word->open, g_ptr_array_unref);
    g_clear_pointer(&word->voters, g_array_unref);
    g_clear_pointer(&word->deaf, g_array_unref);
    g_free(word->text);
    g_free(word->text2);
    g_free(word);
}

static gboolean voters_unpack(Word *word, GVariant *packed)
{
    const gsize n = g_variant_n_children(packed);

    word->voters = g_array_new(FALSE, TRUE, sizeof(Voter));
    for (gsize i = 0; i < n && n <= WORD_SEATS_MAX; i++) {
        Voter voter = {0};
        guint32 seat;

        g_variant_get_child(packed, i, "(utt)", &seat, &voter.incarnation, &voter.stamp);
        voter.seat = seat;
        g_array_append_val(word->voters, voter);
    }
    return n <= WORD_SEATS_MAX;
}

static gboolean deaf_unpack(Word *word, GVariant *packed)
{
    gsize n;
    const guint32 *seats = g_variant_get_fixed_array(packed, &n, sizeof(guint32));

    word->deaf = g_array_new(FALSE, TRUE, sizeof(guint32));
    if (n && n <= WORD_SEATS_MAX)
        g_array_append_vals(word->deaf, seats, (guint)n);
    return n <= WORD_SEATS_MAX;
}

/* The kinds that carry members or a view. */
static gboolean body_unpack_large(Word *word, GVariant *body)
{
    g_autoptr(GVariant) first = g_variant_get_child_value(body, 0), open = NULL, last = NULL;
    guint32 size;

    if (word->kind == WORD_PREPARE) {
        word->view = loom_view_unpack(first, NULL);
        open = g_variant_get_child_value(body, 1);
        last = g_variant_get_child_value(body, 2);
        word->open = open_unpack(open);
        return word->view && word->open && voters_unpack(word, last);
    }
    word->member = loom_member_unpack(first, NULL);
    if (word->kind == WORD_JOIN) {
        g_variant_get(body, "(@(utusssssx)utx)", NULL, &size, &word->number, &word->taken);
        word->count = size;
        return word->member != NULL;
    }
    g_variant_get(body, "(@(utusssssx)ttxxb@" OPEN_TYPE ")", NULL, &word->number,
                  &word->promised, &word->step, &word->taken, &word->flag[0], &open);
    word->open = open_unpack(open);
    return word->member && word->open && word->promised <= (guint64)WORD_NUMBER_MAX;
}

static gboolean body_unpack(Word *word, GVariant *body)
{
    g_autoptr(GVariant) deaf = NULL;
    guint32 count;

    switch (word->kind) {
    case WORD_JOIN:
    case WORD_STATE:
    case WORD_PREPARE:
        return body_unpack_large(word, body);
    case WORD_REFUSE:
        g_variant_get(body, "(s)", &word->text);
        break;
    case WORD_REDIRECT:
    case WORD_OUTDATED:
        g_variant_get(body, "(ss)", &word->text, &word->text2);
        break;
    case WORD_HALT:
        g_variant_get(body, "(bt)", &word->flag[0], &word->promised);
        break;
    case WORD_BEAT:
        g_variant_get(body, "(xtbbb@au)", &word->step, &word->number, &word->flag[0],
                      &word->flag[1], &word->flag[2], &deaf);
        return deaf_unpack(word, deaf);
    case WORD_READY:
        g_variant_get(body, "(tbb)", &word->number, &word->flag[0], &word->flag[1]);
        break;
    case WORD_COMMIT:
        g_variant_get(body, "(tb)", &word->number, &word->flag[0]);
        break;
    case WORD_FAILED:
        g_variant_get(body, "(bs)", &word->flag[0], &word->text);
        break;
    case WORD_END:
        g_variant_get(body, "(us)", &count, &word->text);
        word->count = count;
        return count <= LOOM_END_MISSING;
    case WORD_WAIT:
    case WORD_NOTICE:
    case WORD_PING:
    case WORD_COUNT:
        break;
    }
    return TRUE;
}

static gboolean text_fits(const char *text)
{
    return !text || strlen(text) <= WORD_TEXT_MAX;
}

static gboolean word_check(const Word *word)
{
    return word->generation <= (guint64)WORD_NUMBER_MAX && text_fits(word->control)
           && *word->control && text_fits(word->key) && text_fits(word->config)
           && text_fits(word->text) && text_fits(word->text2) && word->step >= -1
           && word->step <= WORD_NUMBER_MAX && word->taken >= 0
           && word->taken <= WORD_NUMBER_MAX;
}

static Word *word_read(GVariant *packed)
{
    g_autoptr(Word) word = g_new0(Word, 1);
    g_autoptr(GVariant) run = NULL, body = NULL;
    guchar version, kind;
    guint32 seat;
    gsize n;

    g_variant_get(packed, "(yy@aytutsssv)", &version, &kind, &run, &word->generation, &seat,
                  &word->incarnation, &word->control, &word->key, &word->config, &body);
    word->kind = (WordKind)kind;
    word->seat = seat;
    word->version = version;
    /* of another version only this is understood, and must stay so: JOIN's header, REFUSE */
    if (version != MACHINE_VERSION && kind == WORD_JOIN)
        return word_check(word) ? g_steal_pointer(&word) : NULL;
    if ((version != MACHINE_VERSION && kind != WORD_REFUSE) || kind >= WORD_COUNT
        || g_variant_n_children(run) != sizeof word->run
        || !g_variant_is_of_type(body, G_VARIANT_TYPE(bodies[kind])))
        return NULL;
    memcpy(word->run, g_variant_get_fixed_array(run, &n, 1), sizeof word->run);
    if (!body_unpack(word, body) || !word_check(word))
        return NULL;
    /* who speaks for a seat is that seat */
    if (word->member
        && (word->member->seat != word->seat || word->member->incarnation != word->incarnation))
        return NULL;
    return g_steal_pointer(&word);
}

Word *word_unpack(GBytes *bytes)
{
    gsize n;
    const guint8 *data = g_bytes_get_data(bytes, &n);
    guint8 digest[32];

    if (n <= WORD_DIGEST || n > MACHINE_MESSAGE_MAX)
        return NULL;
    n -= WORD_DIGEST;
    digest_of(data, n, digest);
    if (memcmp(digest, data + n, WORD_DIGEST) != 0)
        return NULL;
    g_autoptr(GBytes) inner = g_bytes_new(data, n); /* a copy: its alignment is malloc's */
    g_autoptr(GVariant) packed =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(WORD_TYPE), inner, FALSE));
    if (!g_variant_is_normal_form(packed))
        return NULL;
    g_autoptr(GVariant) native = loom_little_endian(g_steal_pointer(&packed));
    return word_read(native);
}
