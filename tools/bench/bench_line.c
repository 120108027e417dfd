/* bench_line - see bench_line.h. */
#include "bench_line.h"

#include <loom/plugin.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- seconds ------------------------------------------------------------------------ */

static gint doubles_compare(gconstpointer a, gconstpointer b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(const GArray *seconds)
{
    const guint n = seconds->len;
    g_autofree double *sorted = NULL;

    g_assert(n > 0);
    sorted = g_memdup2(seconds->data, n * sizeof(double));
    qsort(sorted, n, sizeof *sorted, doubles_compare);
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double bench_least(const GArray *seconds)
{
    double least = INFINITY;

    for (guint i = 0; i < seconds->len; i++)
        least = MIN(least, g_array_index(seconds, double, i));
    return least;
}

/* ---- what was asked for ------------------------------------------------------------- */

gboolean bench_sizes(GArray *sizes, const char *option, const char *text, guint n_min,
                     guint n_max, gint64 most, GError **error)
{
    g_auto(GStrv) parts = g_strsplit_set(text, ",x", -1);
    const guint n = g_strv_length(parts);

    if (n < n_min || n > n_max)
        return loom_fail(error, LOOM_ERROR_CONFIG, "%s: '%s' has %u numbers, want %u%s%.0u",
                         option, text, n, n_min, n_max > n_min ? " to " : "",
                         n_max > n_min ? n_max : 0);
    for (char **part = parts; *part; part++) {
        gint64 size;

        if (!g_ascii_string_to_signed(*part, 10, 1, most, &size, NULL))
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "%s: '%s' in '%s' is no whole number from 1 to %" G_GINT64_FORMAT,
                             option, *part, text, most);
        g_array_append_val(sizes, size);
    }
    return TRUE;
}

gboolean bench_count(const char *option, gint value, gint most, GError **error)
{
    return (value >= 1 && value <= most)
           || loom_fail(error, LOOM_ERROR_CONFIG, "%s: %d, want 1 to %d", option, value, most);
}

/* ---- memory ------------------------------------------------------------------------- */

void bench_peak_reset(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");

    if (!file)
        return;
    fputs("5", file); /* refused where the kernel lacks it: the peak since the start then */
    fclose(file);
}

double bench_peak_mib(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL))
        return NAN;
    const char *peak = strstr(text, "VmHWM:");
    return peak ? g_ascii_strtod(peak + strlen("VmHWM:"), NULL) / 1024 : NAN;
}

/* ---- lines -------------------------------------------------------------------------- */

JsonBuilder *bench_line_new(const char *bench)
{
    JsonBuilder *line = json_builder_new();

    json_builder_begin_object(line);
    bench_line_text(line, "bench", bench);
    return line;
}

void bench_line_text(JsonBuilder *line, const char *name, const char *value)
{
    json_builder_set_member_name(line, name);
    json_builder_add_string_value(line, value);
}

void bench_line_texts(JsonBuilder *line, const char *name, char **values)
{
    json_builder_set_member_name(line, name);
    json_builder_begin_array(line);
    for (; values && *values; values++)
        json_builder_add_string_value(line, *values);
    json_builder_end_array(line);
}

void bench_line_integer(JsonBuilder *line, const char *name, gint64 value)
{
    json_builder_set_member_name(line, name);
    json_builder_add_int_value(line, value);
}

void bench_line_number(JsonBuilder *line, const char *name, double value)
{
    json_builder_set_member_name(line, name);
    if (isfinite(value))
        json_builder_add_double_value(line, value);
    else
        json_builder_add_null_value(line);
}

void bench_line_sizes(JsonBuilder *line, const char *name, const GArray *sizes)
{
    json_builder_set_member_name(line, name);
    json_builder_begin_array(line);
    for (guint i = 0; i < sizes->len; i++)
        json_builder_add_int_value(line, g_array_index(sizes, gint64, i));
    json_builder_end_array(line);
}

void bench_line_end(JsonBuilder *line, double seconds, double seconds_min)
{
    bench_line_number(line, "seconds", seconds);
    bench_line_number(line, "seconds_min", seconds_min);
    bench_line_number(line, "peak_mib", bench_peak_mib());
    json_builder_end_object(line);
    g_autoptr(JsonNode) root = json_builder_get_root(line);
    g_autofree char *text = json_to_string(root, FALSE);
    g_print("%s\n", text);
    g_object_unref(line);
}
