/* hosts - a compressed list of hosts as Slurm writes it: "n[1-3,07],gpu01" -> n1 n2 n3 n07
 * gpu01.  Source: scontrol(1), show hostlist; several brackets in a name multiply. */
#include "rendezvous.h"

#include "launchers.h"

#include <loom/plugin.h>

#include <string.h>

#define MAX_LIST_BYTES 65536
#define MAX_NAME_BYTES 253 /* RFC 1035 */
#define MAX_BRACKETS 4
#define MAX_DIGITS 9

static const char name_letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "0123456789-._";
static const char digits[] = "0123456789";

/* Digits at @text, which moves on behind them; their count is the width that zeros fill. */
static gboolean number_take(const char **text, guint *value, gsize *width)
{
    const gsize n = strspn(*text, digits);

    if (n == 0 || n > MAX_DIGITS)
        return FALSE;
    *value = 0;
    for (gsize i = 0; i < n; i++)
        *value = *value * 10 + (guint)((*text)[i] - '0');
    *width = n;
    *text += n;
    return TRUE;
}

static gboolean name_expand(const char *before, const char *name, guint brackets,
                            GPtrArray *hosts, GError **error);

/* "1-3" of "n[1-3,7]": each number with what stands before and behind the brackets. */
static gboolean range_expand(const char *before, const char **at, const char *behind,
                             guint brackets, GPtrArray *hosts, GError **error)
{
    const char *begin = *at;
    guint low, high;
    gsize width, other;

    if (!number_take(at, &low, &width))
        return loom_fail(error, LOOM_ERROR_CONFIG, "'%.20s': want a number of 1 to %d digits",
                         begin, MAX_DIGITS);
    high = low;
    if (**at == '-') {
        (*at)++;
        if (!number_take(at, &high, &other) || high < low)
            return loom_fail(error, LOOM_ERROR_CONFIG,
                             "'%.20s': want a range from low to high, as 1-3", begin);
    }
    for (guint i = low; i <= high; i++) {
        g_autofree char *so_far = g_strdup_printf("%s%0*u", before, (int)width, i);

        if (!name_expand(so_far, behind, brackets, hosts, error))
            return FALSE;
    }
    return TRUE;
}

/* One name, of which @before is done. */
static gboolean name_expand(const char *before, const char *name, guint brackets,
                            GPtrArray *hosts, GError **error)
{
    const gsize plain = strspn(name, name_letters);
    g_autofree char *so_far = g_strdup_printf("%s%.*s", before, (int)plain, name);
    const char *at = name + plain;

    if (strlen(so_far) > MAX_NAME_BYTES)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%.20s...': a host name of more than %d "
                         "letters",
                         so_far, MAX_NAME_BYTES);
    if (*at == '\0') {
        if (!*so_far)
            return loom_fail(error, LOOM_ERROR_CONFIG, "a host without a name");
        if (hosts->len == LOOM_MAX_RANKS)
            return loom_fail(error, LOOM_ERROR_CONFIG, "more than %d hosts", LOOM_MAX_RANKS);
        g_ptr_array_add(hosts, g_steal_pointer(&so_far));
        return TRUE;
    }
    const char *close = *at == '[' ? strchr(at, ']') : NULL;
    if (!close || brackets == MAX_BRACKETS)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%.20s': want letters, digits and up to %d "
                         "times [1-3,7]",
                         at, MAX_BRACKETS);
    do {
        at++;
        if (!range_expand(so_far, &at, close + 1, brackets + 1, hosts, error))
            return FALSE;
    } while (*at == ',');
    return at == close || loom_fail(error, LOOM_ERROR_CONFIG, "'%.20s': want ',' or ']'", at);
}

/* Up to the comma that is in no brackets, or the end. */
static gsize name_length(const char *list)
{
    gboolean inside = FALSE;
    gsize i = 0;

    for (; list[i] && (inside || list[i] != ','); i++)
        inside = list[i] == '[' || (inside && list[i] != ']');
    return i;
}

char **loom_hosts_expand(const char *list, GError **error)
{
    g_autoptr(GPtrArray) hosts = g_ptr_array_new_with_free_func(g_free);
    const char *at = list;

    if (strlen(list) > MAX_LIST_BYTES)
        return loom_fail_null(error, LOOM_ERROR_CONFIG, "a list of hosts of more than %d bytes",
                              MAX_LIST_BYTES);
    for (const char *letter = list; *letter; letter++)
        if (!g_ascii_isprint(*letter))
            return loom_fail_null(error, LOOM_ERROR_CONFIG,
                                  "byte 0x%02x is in no list of hosts", (guchar)*letter);
    for (;;) {
        const gsize length = name_length(at);
        g_autofree char *name = g_strndup(at, length);

        if (!name_expand("", name, 0, hosts, error)) {
            g_prefix_error(error, "list of hosts '%.60s': ", list);
            return NULL;
        }
        at += length;
        if (!*at)
            break;
        at++;
    }
    g_ptr_array_add(hosts, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&hosts), FALSE);
}
