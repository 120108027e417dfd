/* bench_line.h - what the benches share: sizes that were asked for, seconds that were measured,
 * memory, and the line of a result. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

/* Times of one thing, in seconds. */
double bench_median(const GArray *seconds);
double bench_least(const GArray *seconds);

/* "64,64,64" or "64x64x64" as @n_min to @n_max numbers of 1 to @most, gint64, appended to
 * @sizes; LOOM_ERROR_CONFIG names @option. */
gboolean bench_sizes(GArray *sizes, const char *option, const char *text, guint n_min,
                     guint n_max, gint64 most, GError **error);
/* LOOM_ERROR_CONFIG unless 1 <= @value <= @most. */
gboolean bench_count(const char *option, gint value, gint most, GError **error);

/* From here on counts what bench_peak_mib says, where the kernel lets a process say so; else
 * from its start. */
void bench_peak_reset(void);
/* Most memory this process had at once, in MiB. */
double bench_peak_mib(void);

/* {"bench": @bench, ...: one line of JSON, begun. */
JsonBuilder *bench_line_new(const char *bench);
void bench_line_text(JsonBuilder *line, const char *name, const char *value);
void bench_line_texts(JsonBuilder *line, const char *name, char **values); /* NULL: none */
void bench_line_integer(JsonBuilder *line, const char *name, gint64 value);
void bench_line_number(JsonBuilder *line, const char *name, double value); /* NaN: null */
void bench_line_sizes(JsonBuilder *line, const char *name, const GArray *sizes);
/* `seconds`, `seconds_min` and `peak_mib`, then the end: printed, @line freed. */
void bench_line_end(JsonBuilder *line, double seconds, double seconds_min);
