/* progress - the records of a run as lines for people. */
#include "progress.h"

#include "terminal.h"

#include <math.h>
#include <string.h>

#define PLAIN_INTERVAL_US (10 * G_USEC_PER_SEC)

struct _Progress {
    gint64 steps;
    gint64 spoken_at; /* g_get_monotonic_time of the last plain line; 0: none yet */
};

Progress *progress_new(void)
{
    return g_new0(Progress, 1);
}

void progress_free(Progress *progress)
{
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

/* "dice 0.912 0.874": the classes in their order; the mean where there are none. */
static void append_step_field(GString *text, const LoomField *fields, guint n_fields)
{
    static const char *const quiet[] = {"step", "rate", "gradient_norm", NULL}; /* in the log */

    if (g_strv_contains(quiet, fields->name) || class_of(fields))
        return;
    g_string_append(text, "  ");
    if (g_str_equal(fields->name, "samples_per_second"))
        g_string_append_printf(text, "%.3g samples/s", fields->value);
    else if (g_str_equal(fields->name, "seconds_left"))
        append_time(text, fields->value);
    else if (g_str_equal(fields->name, "queues"))
        g_string_append_printf(text, "[%s]", fields->text ? fields->text : "");
    else {
        const gboolean many = has_classes(fields, n_fields);

        g_string_append(text, fields->name);
        for (guint i = many ? 1 : 0;
             i < n_fields && (i == 0 || is_class_of(&fields[i], fields)); i++) {
            g_string_append_c(text, ' ');
            append_number(text, &fields[i]);
        }
    }
}

char *progress_step_text(gint64 step, gint64 steps, const LoomField *fields, guint n_fields)
{
    GString *text = g_string_new(NULL);

    if (steps > 0)
        g_string_printf(text, "step %d/%d", (int)step, (int)steps);
    else
        g_string_printf(text, "step %d", (int)step);
    for (guint i = 0; i < n_fields; i++)
        append_step_field(text, fields + i, n_fields - i);
    return g_string_free(text, FALSE);
}

/* One reading with its mean; with @classes those behind it: "dice 0.871 (left 0.88, ...)". */
static char *reading_text(const LoomField *fields, guint n_fields, gboolean classes)
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
        g_string_append_printf(text, "%s%s ", i == 1 ? " (" : ", ", class_of(&fields[i]));
        append_number(text, &fields[i]);
    }
    return g_string_free(g_string_append_c(text, ')'), FALSE);
}

/* The first reading with its classes, then as many others as fit; log.jsonl has them all. */
char *progress_text(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                    guint width)
{
    GString *text = g_string_new(NULL);
    gboolean named = FALSE;

    g_string_printf(text, "%s after step %d:", kind, (int)step);
    for (guint i = 0; i < n_fields; i++) {
        const gboolean first = !named && has_classes(fields + i, n_fields - i);

        if (class_of(&fields[i]))
            continue;
        g_autofree char *reading = reading_text(fields + i, n_fields - i, first);
        if (first || g_utf8_strlen(text->str, -1) + g_utf8_strlen(reading, -1) <= (glong)width)
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
    g_string_append_printf(text, " from step %d on", (int)step);
    return g_string_free(text, FALSE);
}

/* ---- records ------------------------------------------------------------------------ */

void progress_record(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                     gpointer data)
{
    Progress *progress = data;
    const gint64 now = g_get_monotonic_time();

    if (!g_str_equal(kind, "step")) {
        g_autofree char *text =
            g_str_equal(kind, "generation")
                ? generation_text(step, fields, n_fields)
                : progress_text(kind, step, fields, n_fields, terminal_width());

        terminal_print("%s", text);
        return;
    }
    g_autofree char *text = progress_step_text(step, progress->steps, fields, n_fields);
    terminal_live(text);
    if (!terminal_is_live()
        && (!progress->spoken_at || step == progress->steps
            || now - progress->spoken_at >= PLAIN_INTERVAL_US)) {
        progress->spoken_at = now;
        terminal_print("%s", text);
    }
}
