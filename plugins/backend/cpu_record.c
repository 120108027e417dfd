/* cpu_record - the ways that were measured, in two files of text, one line a shape:
 *   a cache for all runs of this user: lines begin with processor, kernels, threads, version;
 *   `plan.txt` in the run's folder, so that a resumed run goes on with the same bits.
 * A line is KEY, a tab, and m of forward, data gradient and weight gradient.  What cannot be
 * read is left out: it is then measured again. */
#include "cpu.h"

#include <glib/gstdio.h>
#include <string.h>

#define RECORD_VERSION 2       /* of the kernels: counts up when their speeds change */
#define RECORD_BYTES (1 << 20) /* ten thousand shapes: what is larger begins anew */

static char *shape_key(const LoomBlockSpec *s)
{
    return g_strdup_printf("%" G_GINT64_FORMAT "x %" G_GINT64_FORMAT "+%" G_GINT64_FORMAT
                           "->%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "x%" G_GINT64_FORMAT
                           "x%" G_GINT64_FORMAT "%s",
                           s->n, s->c_in[0], s->c_in[1], s->c_out, s->in[0], s->in[1], s->in[2],
                           s->kernel[0] == 1 ? " flat" : "");
}

/* The value of the first line "@field : value"; NULL: there is none.  (transfer full) */
static char *field_of(const char *cpuinfo, const char *field)
{
    const gsize length = strlen(field);

    for (const char *line = cpuinfo; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!g_str_has_prefix(line, field))
            continue;

        const char *colon = line + length + strspn(line + length, " \t");

        if (*colon == ':')
            return g_strstrip(g_strndup(colon + 1, strcspn(colon + 1, "\n")));
    }
    return NULL;
}

/* Processors of one name may differ in what is fastest: their revision is part of the key. */
char *record_processor(const char *cpuinfo)
{
    static const char *const fields[] = {
        "model name",      "cpu family", "model",       "stepping",    /* x86 */
        "CPU implementer", "CPU part",   "CPU variant", "CPU revision" /* Arm */
    };
    GString *name = g_string_new(NULL);

    for (guint i = 0; i < G_N_ELEMENTS(fields); i++) {
        g_autofree char *value = field_of(cpuinfo, fields[i]);

        if (value)
            g_string_append_printf(name, "%s%s", name->len ? " " : "", value);
    }
    if (name->len == 0)
        g_string_append(name, "unknown");
    g_strdelimit(name->str, "\t\r", ' '); /* a tab ends the key */
    g_autofree char *bytes = g_string_free(name, FALSE);
    return g_utf8_make_valid(bytes, -1);
}

static char *machine_key(const Cpu *cpu)
{
    g_autofree char *cpuinfo = NULL, *processor = NULL;

    g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL);
    processor = record_processor(cpuinfo ? cpuinfo : "");
    return g_strdup_printf("%s, %s%s, %u threads, version %d, ", processor, cpu->kernels->name,
                           cpu->precision == CPU_BF16 ? " bf16" : "",
                           loom_pool_threads(cpu->pool), RECORD_VERSION);
}

/* "4 2 0", and not a letter more. */
static gboolean ways_parse(const char *text, gint64 m[CPU_WAYS])
{
    gint64 found[CPU_WAYS];

    for (guint d = 0; d < CPU_WAYS; d++) {
        if (text[2 * d] != '0' && text[2 * d] != '2' && text[2 * d] != '4')
            return FALSE;
        if (text[2 * d + 1] != (d + 1 < CPU_WAYS ? ' ' : '\0'))
            return FALSE;
        found[d] = text[2 * d] - '0';
    }
    memcpy(m, found, sizeof found);
    return TRUE;
}

/* A file that is there, is one and is no larger than ours ever get. */
static gboolean readable(const char *path)
{
    GStatBuf is;

    return g_stat(path, &is) == 0 && S_ISREG(is.st_mode) && is.st_size <= RECORD_BYTES;
}

/* KEY -> "m m m" of a file; empty where there is none. */
static GHashTable *lines_read(const char *path)
{
    GHashTable *lines = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autofree char *text = NULL;
    g_auto(GStrv) all = NULL;
    gint64 m[CPU_WAYS];
    gsize length = 0;

    if (!path || !readable(path) || !g_file_get_contents(path, &text, &length, NULL)
        || !g_utf8_validate(text, (gssize)length, NULL))
        return lines;
    all = g_strsplit(text, "\n", -1);
    for (guint i = 0; all[i]; i++) {
        const char *tab = strchr(all[i], '\t');

        if (tab && ways_parse(tab + 1, m))
            g_hash_table_replace(lines, g_strndup(all[i], (gsize)(tab - all[i])),
                                 g_strdup(tab + 1));
    }
    return lines;
}

/* Adds one line to what the file holds now, and puts the new file in the place of the old one.
 * A folder that cannot be written costs the next run a measurement, no more. */
static void line_write(const char *path, const char *key, const gint64 m[CPU_WAYS])
{
    g_autoptr(GHashTable) lines = lines_read(path);
    g_autoptr(GList) keys = NULL;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *folder = g_path_get_dirname(path);

    g_hash_table_replace(lines, g_strdup(key),
                         g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                                         " %" G_GINT64_FORMAT,
                                         m[0], m[1], m[2]));
    keys = g_list_sort(g_hash_table_get_keys(lines), (GCompareFunc)strcmp);
    for (const GList *at = keys; at; at = at->next)
        g_string_append_printf(text, "%s\t%s\n", (const char *)at->data,
                               (const char *)g_hash_table_lookup(lines, at->data));
    if (g_mkdir_with_parents(folder, 0777) == 0)
        g_file_set_contents(path, text->str, (gssize)text->len, NULL);
}

void record_open(Cpu *cpu, LoomHost *host)
{
    const char *folder = loom_host_folder(host);

    cpu->cache = g_build_filename(g_get_user_cache_dir(), "segloom", "plans.txt", NULL);
    cpu->machine = machine_key(cpu);
    cpu->recorded = folder ? g_build_filename(folder, "plan.txt", NULL) : NULL;
    cpu->ways = lines_read(folder && loom_host_resuming(host) ? cpu->recorded : NULL);
}

void record_close(Cpu *cpu)
{
    g_clear_pointer(&cpu->cache, g_free);
    g_clear_pointer(&cpu->machine, g_free);
    g_clear_pointer(&cpu->recorded, g_free);
    g_clear_pointer(&cpu->ways, g_hash_table_unref);
}

/* From the cache, or measured and left there. */
static gboolean cache_find(const Cpu *cpu, const LoomBlockSpec *spec, const char *shape,
                           gint64 m[CPU_WAYS])
{
    g_autoptr(GHashTable) lines = lines_read(cpu->cache);
    g_autofree char *key = g_strconcat(cpu->machine, shape, NULL);
    const char *line = g_hash_table_lookup(lines, key);

    if (line)
        return ways_parse(line, m);
    if (!measure_ways(cpu, spec, m))
        return FALSE;
    line_write(cpu->cache, key, m);
    return TRUE;
}

gboolean record_find(Cpu *cpu, const LoomBlockSpec *spec, gint64 m[CPU_WAYS])
{
    g_autofree char *shape = shape_key(spec);
    const char *line = g_hash_table_lookup(cpu->ways, shape);

    if (line)
        return ways_parse(line, m);
    if (!cache_find(cpu, spec, shape, m))
        return FALSE;
    g_hash_table_replace(cpu->ways, g_strdup(shape),
                         g_strdup_printf("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT
                                         " %" G_GINT64_FORMAT,
                                         m[0], m[1], m[2]));
    if (cpu->recorded)
        line_write(cpu->recorded, shape, m);
    return TRUE;
}
