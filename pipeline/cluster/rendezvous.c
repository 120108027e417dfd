/* rendezvous - which rank this process is, of how many, and where the ranks meet.
 *
 * Launchers are asked in a fixed order; the first that says all of it counts.  Another one that
 * says something else is an error, never a guess, unless it only started the first. */
#include "rendezvous.h"

#include "launchers.h"

#include <loom/plugin.h>

#include <string.h>

#define TRACE_WIDTH 80
#define TRACE_VALUE 44 /* columns of a value; what is longer is cut */

void loom_rendezvous_clear(LoomRendezvous *rendezvous)
{
    g_clear_pointer(&rendezvous->meet, g_free);
    g_clear_pointer(&rendezvous->engine, g_free);
    g_clear_pointer(&rendezvous->job, g_free);
}

/* ---- the search and its trace ------------------------------------------------------- */

char *loom_search_printable(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *line = g_string_new(NULL);

    for (char *at = valid; *at; at = g_utf8_next_char(at)) {
        const gunichar letter = g_utf8_get_char(at);

        if (g_utf8_strlen(line->str, (gssize)line->len) >= TRACE_VALUE - 3 && at[1]) {
            g_string_append(line, "...");
            break;
        }
        g_string_append_unichar(line, g_unichar_isprint(letter) ? letter : '?');
    }
    return g_string_free(line, FALSE);
}

const char *loom_search_get(const LoomSearch *search, const char *name)
{
    const char *value = g_environ_getenv(search->environment, name);
    g_autofree char *shown = value ? loom_search_printable(value) : NULL;

    if (search->trace)
        g_string_append_printf(search->trace, "    %-30s %s\n", name,
                               !value    ? "not set"
                               : !*value ? "empty, as if not set"
                                         : shown);
    return value && *value ? value : NULL;
}

void loom_search_head(const LoomSearch *search, guint number, const char *text)
{
    if (search->trace)
        g_string_append_printf(search->trace, "%u. %s\n", number, text);
}

/* "    => TEXT", broken between words where it is long. */
void loom_search_note(const LoomSearch *search, const char *format, ...)
{
    const gsize indent = strlen("    => ");
    gsize column = indent;
    va_list args;

    if (!search->trace)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *valid = g_utf8_make_valid(text, -1); /* a path has any bytes */
    g_auto(GStrv) words = g_strsplit(valid, " ", -1);
    g_string_append(search->trace, "    =>");
    for (char **word = words; *word; word++) {
        const gsize length = strlen(*word);

        if (column > indent && column + length + 1 > TRACE_WIDTH) {
            g_string_append_printf(search->trace, "\n%*s", (int)indent - 1, "");
            column = indent;
        }
        g_string_append_printf(search->trace, " %s", *word);
        column += length + 1;
    }
    g_string_append_c(search->trace, '\n');
}

gboolean loom_search_number(const char *name, const char *text, guint min, guint max,
                            guint *value, GError **error)
{
    guint64 number;

    if (!g_ascii_string_to_unsigned(text, 10, min, max, &number, NULL)) {
        g_autofree char *shown = loom_search_printable(text);

        return loom_fail(error, LOOM_ERROR_CONFIG, "%s='%s', want a whole number from %u to %u",
                         name, shown, min, max);
    }
    *value = (guint)number;
    return TRUE;
}

/* ---- who counts --------------------------------------------------------------------- */

static gboolean claims_agree(const LoomClaim *first, LoomLauncher who, const LoomClaim *second,
                             LoomLauncher other, GError **error)
{
    if (first->rank == second->rank && first->size == second->size)
        return TRUE;
    return loom_fail(error, LOOM_ERROR_CONFIG,
                     "%s contradicts %s: both %s and %s say which rank this is; unset one of "
                     "them, or give --rank and --size",
                     first->said, second->said, loom_launcher_name(who),
                     loom_launcher_name(other));
}

/* The first claim that counts; LOOM_N_LAUNCHERS: nobody's. */
static gboolean claim_choose(const LoomSearch *search, LoomLauncher *chosen, LoomClaim *claim,
                             GError **error)
{
    *chosen = LOOM_N_LAUNCHERS;
    for (LoomLauncher who = LOOM_BY_OPTIONS; who < LOOM_N_LAUNCHERS; who++) {
        const gboolean open = *chosen == LOOM_N_LAUNCHERS;
        const char *why = open ? NULL : loom_launcher_inherits(search, *chosen, who);
        g_auto(LoomClaim) found = {0};

        loom_search_head(search, who + 1, loom_launcher_name(who));
        if (why) {
            loom_search_note(search, "not looked at: %s", why);
            continue;
        }
        if (!loom_launcher_claim(search, who, &found, error))
            return FALSE;
        if (!found.counts)
            continue;
        if (!open) {
            if (!claims_agree(claim, *chosen, &found, who, error))
                return FALSE;
            loom_search_note(search, "rank %u of %u: agrees with %s", found.rank, found.size,
                             loom_launcher_name(*chosen));
            continue;
        }
        loom_search_note(search, "rank %u of %u: counts", found.rank, found.size);
        *chosen = who;
        *claim = found;
        found.said = NULL;
    }
    return TRUE;
}

/* A size that came without a rank. */
static gboolean size_agrees(const char *name, const char *text, LoomLauncher chosen,
                            const LoomClaim *claim, GError **error)
{
    guint size = 0;

    if (!text || !*text || chosen == LOOM_BY_OPTIONS)
        return TRUE;
    if (!loom_search_number(name, text, 1, LOOM_MAX_RANKS, &size, error))
        return FALSE;
    if (chosen == LOOM_N_LAUNCHERS && size > 1)
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "%s=%u, but nothing says which of the %u ranks this process is: give "
                         "%s, or start it with a launcher",
                         name, size, size, g_str_equal(name, "--size") ? "--rank" : "RANK");
    if (chosen != LOOM_N_LAUNCHERS && size != claim->size)
        return loom_fail(error, LOOM_ERROR_CONFIG, "%s=%u contradicts %s, which %s says", name,
                         size, claim->said, loom_launcher_name(chosen));
    return TRUE;
}

static gboolean sizes_agree(const LoomSearch *search, LoomLauncher chosen,
                            const LoomClaim *claim, GError **error)
{
    const char *rank = g_environ_getenv(search->environment, "RANK");
    const char *world = g_environ_getenv(search->environment, "WORLD_SIZE");
    const gboolean inner = chosen == LOOM_BY_OPEN_MPI || chosen == LOOM_BY_PMI;

    return size_agrees("--size", search->options->size, chosen, claim, error)
           && ((rank && *rank) || inner
               || size_agrees("WORLD_SIZE", world, chosen, claim, error));
}

/* ---- the answer --------------------------------------------------------------------- */

static gboolean alone(const LoomSearch *search, LoomRendezvous *found, GError **error)
{
    g_autofree char *forgotten = loom_launcher_forgotten(search);

    if (search->options->meet)
        return loom_fail(
            error, LOOM_ERROR_CONFIG,
            "--meet %s says where ranks meet, but nothing says which rank this is: "
            "give --rank and --size",
            search->options->meet);
    if (forgotten && !search->trace)
        g_warning("%s", forgotten);
    loom_search_head(search, LOOM_N_LAUNCHERS + 1, "nobody");
    loom_search_note(search, "one process, alone");
    found->size = 1;
    found->engine = g_strdup("nobody");
    return TRUE;
}

gboolean loom_rendezvous_find(LoomRendezvous *found, const LoomRendezvousOptions *options,
                              char **environment, GString *trace, GError **error)
{
    const LoomSearch search = {options, environment, trace};
    g_auto(LoomClaim) claim = {0};
    g_autofree char *meet = NULL;
    LoomLauncher chosen;

    *found = (LoomRendezvous){0};
    if (!claim_choose(&search, &chosen, &claim, error)
        || !sizes_agree(&search, chosen, &claim, error))
        return FALSE;
    if (chosen == LOOM_N_LAUNCHERS)
        return alone(&search, found, error);
    loom_search_head(&search, LOOM_N_LAUNCHERS + 1, "where the ranks meet");
    if (claim.size == 1)
        loom_search_note(&search, "nowhere: one rank is alone");
    else if (!(meet = loom_meeting_find(&search, chosen, &claim, error)))
        return FALSE;
    else
        loom_search_note(&search, "%s", meet);
    found->rank = claim.rank;
    found->size = claim.size;
    found->local_rank = claim.local_rank;
    found->restarts = claim.restarts;
    found->meet = g_steal_pointer(&meet);
    found->engine = g_strdup(loom_launcher_name(chosen));
    found->job = g_strdup(claim.job);
    return TRUE;
}
