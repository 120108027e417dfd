/* machine - what this machine is, as Linux tells it in /proc. */
#include "machine.h"

#include <stdio.h>
#include <string.h>

/* The text behind "key   : " in a file of such lines; NULL: no such line. */
static char *proc_value(const char *path, const char *key)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *colon = strchr(*line, ':');

        if (!colon || !g_str_has_prefix(*line, key))
            continue;
        g_autofree char *name = g_strstrip(g_strndup(*line, (gsize)(colon - *line)));
        if (g_str_equal(name, key))
            return g_strstrip(g_strdup(colon + 1));
    }
    return NULL;
}

char *machine_cpu(void)
{
    char *name = proc_value("/proc/cpuinfo", "model name");

    return name ? name : g_strdup("unknown");
}

char *machine_simd(void)
{
    static const char *const wanted[] = {"sse4_2",  "avx",        "fma",         "avx2",
                                         "avx512f", "avx512bf16", "avx512_bf16", "avx512_vnni",
                                         "asimd",   "sve",        NULL};
    g_autofree char *flags = proc_value("/proc/cpuinfo", "flags");
    g_autoptr(GString) found = g_string_new(NULL);

    if (!flags)
        flags = proc_value("/proc/cpuinfo", "Features"); /* ARM */
    g_auto(GStrv) words = g_strsplit(flags ? flags : "", " ", -1);
    for (guint i = 0; wanted[i]; i++)
        if (g_strv_contains((const char *const *)words, wanted[i]))
            g_string_append_printf(found, "%s%s", found->len ? " " : "", wanted[i]);
    return g_string_free(g_steal_pointer(&found), FALSE);
}

/* "16316412 kB" */
static guint64 memory_line(const char *path, const char *key)
{
    g_autofree char *text = proc_value(path, key);

    return text ? g_ascii_strtoull(text, NULL, 10) * 1024 : 0;
}

guint64 machine_memory(void)
{
    return memory_line("/proc/meminfo", "MemTotal");
}

guint64 machine_memory_available(void)
{
    return memory_line("/proc/meminfo", "MemAvailable");
}

guint64 machine_memory_used(void)
{
    return memory_line("/proc/self/status", "VmRSS");
}

guint64 machine_memory_peak(void)
{
    return memory_line("/proc/self/status", "VmHWM");
}

void machine_memory_peak_reset(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "we");

    if (!file)
        return;
    fputs("5", file); /* proc(5): the peak becomes what is held now */
    fclose(file);
}

char *machine_library(const char *prefix)
{
    g_autofree char *maps = NULL;

    if (!g_file_get_contents("/proc/self/maps", &maps, NULL, NULL))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(maps, "\n", -1);
    for (char **line = lines; *line; line++) {
        const char *name = strrchr(*line, '/');

        if (name && g_str_has_prefix(name + 1, prefix))
            return g_strdup(name + 1);
    }
    return NULL;
}
