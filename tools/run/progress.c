/* progress - the records of a run as lines for people. */
#include "progress.h"

#include "terminal.h"

#include <math.h>
#include <string.h>

#define PLAIN_INTERVAL_US (10 * G_USEC_PER_SEC)
#define MOVE_INTERVAL_US (G_USEC_PER_SEC / 10)
#define PLAIN_WIDTH 80 /* of a file: whoever reads it has a window */

struct _Progress {
    gint64 steps;
    gint64 step;      /* the latest that is done */
    char *numbers;    /* of the latest record "step"; NULL: none yet */
    gint64 spoken_at; /* g_get_monotonic_time of the last plain line; 0: none yet */
    gint64 moved_at;  /* the same, of the last time that a move was shown */
};

Progress *progress_new(void)
{
    return g_new0(Progress, 1);
}

void progress_free(Progress *progress)
{
    g_free(progress->numbers);
    g_free(progress);
}

void progress_set_steps(Progress *progress, gint64 steps)
{
    progress->steps = steps;
}

/* ---- numbers for people ------------------------------------------------------------- */

static void append_time(GString *text, double seconds)
{
    const gint64 s = (gint64)ceil(seconds);

    if (s >= 3600)
        g_string_append_printf(text, "%d:%02d:%02d left", (int)(s / 3600), (int)(s / 60 % 60),
                               (int)(s % 60));
    else
        g_string_append_printf(text, "%d:%02d left", (int)(s / 60), (int)(s % 60));
}

/* "dice/Anterior": a number of one class; the name of the class, else NULL. */
static const char *class_of(const LoomField *field)
{
    const char *slash = strchr(field->name, '/');

    return slash ? slash + 1 : NULL;
}

/* "dice/Anterior" is of "dice". */
static gboolean is_class_of(const LoomField *field, const LoomField *mean)
{
    const gsize length = strlen(mean->name);

    return g_str_has_prefix(field->name, mean->name) && field->name[length] == '/';
}

/* The field is the mean of the classes that follow it. */
static gboolean has_classes(const LoomField *fields, guint n_fields)
{
    return n_fields > 1 && is_class_of(&fields[1], &fields[0]);
}

static void append_number(GString *text, const LoomField *field)
{
    if (field->text)
        g_string_append(text, field->text);
    else if (isnan(field->value))
        g_string_append_c(text, '-');
    else
        g_string_append_printf(text, "%.3f", field->value);
}

/* What stands in the log and is of no interest while it runs. */
static gboolean is_quiet(const LoomField *field)
{
    static const char *const quiet[] = {"step", "rate", "gradient_norm", NULL};

    return g_strv_contains(quiet, field->name) || class_of(field)
           || (field->text && !*field->text); /* no queues */
}

/* One number, of classes their mean: "  dice 0.675"; (transfer full). */
static char *field_text(const LoomField *field)
{
    GString *text = g_string_new("  ");

    if (g_str_equal(field->name, "samples_per_second"))
        g_string_append_printf(text, "%.3g samples/s", field->value);
    else if (g_str_equal(field->name, "seconds_left"))
        append_time(text, field->value);
    else if (g_str_equal(field->name, "queues"))
        g_string_append_printf(text, "[%s]", field->text ? field->text : "");
    else {
        g_string_append_printf(text, "%s ", field->name);
        append_number(text, field);
    }
    return g_string_free(text, FALSE);
}

/* "  dice 0.912 0.874": the classes in their order, as many as fit into @room columns and "..."
 * for others; the mean where that is not even one.  (transfer full) */
static char *classes_text(const LoomField *fields, guint n_fields, glong room)
{
    GString *text = g_string_new("  ");

    g_string_append(text, fields->name);
    for (guint i = 1; i < n_fields && is_class_of(&fields[i], fields); i++) {
        g_autoptr(GString) next = g_string_new(" ");
        const gboolean last = i + 1 == n_fields || !is_class_of(&fields[i + 1], fields);

        append_number(next, &fields[i]);
        if (g_utf8_strlen(text->str, -1) + (glong)next->len + (last ? 0 : 4) <= room) {
            g_string_append(text, next->str);
            continue;
        }
        if (i > 1)
            return g_string_free(g_string_append(text, " ..."), FALSE);
        g_string_free(text, TRUE);
        return field_text(fields);
    }
    return g_string_free(text, FALSE);
}

/* "  loss 0.413  dice 0.710 0.640", in @room columns: what classes leave room for, and of them
 * what others do; (transfer full). */
static char *numbers_text(const LoomField *fields, guint n_fields, glong room)
{
    GString *text = g_string_new(NULL);
    glong others = 0;

    for (guint i = 0; i < n_fields; i++) {
        g_autofree char *one = is_quiet(&fields[i]) ? NULL : field_text(&fields[i]);

        others += one && !has_classes(fields + i, n_fields - i) ? g_utf8_strlen(one, -1) : 0;
    }
    for (guint i = 0; i < n_fields; i++) {
        if (is_quiet(&fields[i]))
            continue;
        g_autofree char *one = has_classes(fields + i, n_fields - i)
                                   ? classes_text(fields + i, n_fields - i, room - others)
                                   : field_text(&fields[i]);

        if (g_utf8_strlen(text->str, -1) + g_utf8_strlen(one, -1) <= room)
            g_string_append(text, one);
    }
    return g_string_free(text, FALSE);
}

/* "12/300", or "12" where the end is not known. */
static void append_count(GString *text, gint64 done, gint64 all)
{
    g_string_append_printf(text, "%" G_GINT64_FORMAT, done);
    if (all > 0)
        g_string_append_printf(text, "/%" G_GINT64_FORMAT, all);
}

char *progress_step_text(gint64 step, gint64 steps, const LoomField *fields, guint n_fields,
                         guint width)
{
    GString *text = g_string_new("step ");

    append_count(text, step, steps);
    g_autofree char *numbers = numbers_text(fields, n_fields, (glong)width - (glong)text->len);
    return g_string_free(g_string_append(text, numbers), FALSE);
}

char *progress_move_text(gint64 step, gint64 steps, const LoomMove *move)
{
    GString *text = g_string_new("step ");

    append_count(text, step, steps);
    if (g_str_equal(move->graph, "validate"))
        g_string_append(text, "  validating ");
    else
        g_string_append_printf(text, "  graph %s ", move->graph);
    append_count(text, move->done, move->all);
    if (move->parts > 0 && move->part < move->parts)
        g_string_append_printf(text, ", the next %d %%", (int)(100 * move->part / move->parts));
    return g_string_free(text, FALSE);
}

/* One reading with its mean, and those behind it of the classes, as many as fit into @room:
 * "dice 0.871 (left 0.88, ...)". */
static char *reading_text(const LoomField *fields, guint n_fields, gboolean classes, glong room)
{
    GString *text = g_string_new("  ");

    g_string_append_printf(text, "%s ", fields->name);
    if (g_str_equal(fields->name, "cases"))
        g_string_append_printf(text, "%.0f", fields->value);
    else
        append_number(text, fields);
    if (!classes || !has_classes(fields, n_fields))
        return g_string_free(text, FALSE);
    for (guint i = 1; i < n_fields && is_class_of(&fields[i], fields); i++) {
        g_autoptr(GString) next = g_string_new(i == 1 ? " (" : ", ");

        g_string_append_printf(next, "%s ", class_of(&fields[i]));
        append_number(next, &fields[i]);
        const glong length = g_utf8_strlen(text->str, -1) + g_utf8_strlen(next->str, -1);
        const gboolean last = i + 1 == n_fields || !is_class_of(&fields[i + 1], fields);
        if (length + (glong)strlen(last ? ")" : ", ...)") > room) {
            g_string_append(text, i == 1 ? " (...)" : ", ...)");
            return g_string_free(text, FALSE);
        }
        g_string_append(text, next->str);
    }
    return g_string_free(g_string_append_c(text, ')'), FALSE);
}

/* The first reading with its classes, then as many others as fit; log.jsonl has them all. */
char *progress_text(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                    guint width)
{
    GString *text = g_string_new(NULL);
    gboolean named = FALSE;

    g_string_printf(text, "%s after step %" G_GINT64_FORMAT ":", kind, step);
    for (guint i = 0; i < n_fields; i++) {
        const gboolean first = !named && has_classes(fields + i, n_fields - i);

        if (class_of(&fields[i]))
            continue;
        const glong room = (glong)width - g_utf8_strlen(text->str, -1);
        g_autofree char *reading = reading_text(fields + i, n_fields - i, first, room);
        if (first || g_utf8_strlen(reading, -1) <= room)
            g_string_append(text, reading);
        named = named || first;
    }
    return g_string_free(text, FALSE);
}

/* "generation 2: 3 ranks, from step 41 on". */
static char *generation_text(gint64 step, const LoomField *fields, guint n_fields)
{
    GString *text = g_string_new("generation");

    for (guint i = 0; i < n_fields; i++)
        if (g_str_equal(fields[i].name, "generation"))
            g_string_append_printf(text, " %.0f:", fields[i].value);
        else if (g_str_equal(fields[i].name, "ranks"))
            g_string_append_printf(text, " %.0f ranks,", fields[i].value);
    g_string_append_printf(text, " from step %" G_GINT64_FORMAT " on", step);
    return g_string_free(text, FALSE);
}

/* Columns for a line: one less than there are, a full line would wrap on some terminals. */
static guint line_width(void)
{
    return (terminal_is_live() ? terminal_width() : PLAIN_WIDTH) - 1;
}

/* ---- records ------------------------------------------------------------------------ */

void progress_record(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                     gpointer data)
{
    Progress *progress = data;
    const gint64 now = g_get_monotonic_time();

    if (!g_str_equal(kind, "step")) {
        g_autofree char *text = g_str_equal(kind, "generation")
                                    ? generation_text(step, fields, n_fields)
                                    : progress_text(kind, step, fields, n_fields, line_width());

        terminal_print("%s", text);
        return;
    }
    const gint64 steps = progress->steps;
    g_autofree char *text = progress_step_text(step, steps, fields, n_fields, line_width());
    g_autoptr(GString) longest = g_string_new("step ");
    append_count(longest, MAX(step, steps), steps);
    terminal_live(text);
    progress->step = step;
    g_free(progress->numbers);
    progress->numbers =
        numbers_text(fields, n_fields, (glong)line_width() - (glong)longest->len);
    if (!terminal_is_live()
        && (!progress->spoken_at || step == progress->steps
            || now - progress->spoken_at >= PLAIN_INTERVAL_US)) {
        progress->spoken_at = now;
        terminal_print("%s", text);
    }
}

void progress_move(const LoomMove *move, gpointer data)
{
    Progress *progress = data;
    const gint64 now = g_get_monotonic_time();
    g_autoptr(GString) text = g_string_new("step ");

    if (move->main)
        progress->step = move->done;
    if (!terminal_is_live()
        || (move->done && move->done < move->all
            && now - progress->moved_at < MOVE_INTERVAL_US))
        return;
    progress->moved_at = now;
    if (!move->main) {
        g_autofree char *moved = progress_move_text(progress->step, progress->steps, move);

        terminal_live(moved);
        return;
    }
    append_count(text, progress->step, move->all);
    g_string_append(text, progress->numbers ? progress->numbers : "");
    terminal_live(text->str);
}
