/* findings - a list of problems that goes on growing where an error would have ended the look.
 */
#define G_LOG_DOMAIN "loom-findings"
#include "core/findings.h"

#include <stdlib.h>
#include <string.h>

#define FINDINGS_SEEN "E-SEEN" /* of the error that stands for those in the list */

struct _LoomFindings {
    GPtrArray *all; /* LoomFinding *, owned */
};

static void finding_free(gpointer data)
{
    LoomFinding *finding = data;

    g_free(finding->place);
    g_free(finding->id);
    g_free(finding->text);
    g_free(finding);
}

LoomFindings *loom_findings_new(void)
{
    LoomFindings *findings = g_new0(LoomFindings, 1);

    findings->all = g_ptr_array_new_with_free_func(finding_free);
    return findings;
}

void loom_findings_free(LoomFindings *findings)
{
    if (!findings)
        return;
    g_ptr_array_unref(findings->all);
    g_free(findings);
}

static LoomSeverity severity_of(const char *code)
{
    return *code == 'E'   ? LOOM_SEVERITY_ERROR
           : *code == 'W' ? LOOM_SEVERITY_WARNING
                          : LOOM_SEVERITY_NOTE;
}

void loom_finding_add(LoomFindings *findings, const char *code, const char *place,
                      const char *id, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    if (!findings) {
        g_info("%s%s%s%s", place ? "'" : "", place ? place : "", place ? "': " : "", text);
        return;
    }
    LoomFinding *finding = g_new0(LoomFinding, 1);
    *finding = (LoomFinding){.severity = severity_of(code),
                             .code = code,
                             .error = LOOM_ERROR_FORMAT,
                             .place = g_strdup(place),
                             .id = g_strdup(id),
                             .text = g_steal_pointer(&text)};
    g_ptr_array_add(findings->all, finding);
}

/* ---- errors -------------------------------------------------------------------------- */

/* FILE:LINE:COLUMN: at the start of @text?  Returns: what follows it; NULL: there is none. */
static const char *config_place(const char *text, LoomFinding *finding)
{
    g_autoptr(GRegex) regex =
        g_regex_new("^(.+?):(\\d+):(?:(\\d+):)? ", G_REGEX_DOTALL, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    gint end = 0;

    if (!g_regex_match(regex, text, 0, &match))
        return NULL;
    g_autofree char *line = g_match_info_fetch(match, 2);
    g_autofree char *column = g_match_info_fetch(match, 3);
    g_match_info_fetch_pos(match, 0, NULL, &end);
    finding->place = g_match_info_fetch(match, 1);
    finding->line = (guint)strtoul(line, NULL, 10);
    finding->column = column ? (guint)strtoul(column, NULL, 10) : 0;
    return text + end;
}

/* @before then a quoted name then ': ' at the start of @text; (transfer full): the name. */
static char *quoted_take(const char **text, const char *before)
{
    const gsize length = strlen(before);

    if (!g_str_has_prefix(*text, before))
        return NULL;
    const char *start = *text + length, *end = strchr(start, '\'');
    if (!end || !g_str_has_prefix(end, "': "))
        return NULL;
    *text = end + 3;
    return g_strndup(start, (gsize)(end - start));
}

/* Is it there already, or does it only pass on one that is, with its own place in front? */
static gboolean finding_known(const LoomFindings *findings, const LoomFinding *one)
{
    for (guint i = 0; i < findings->all->len; i++) {
        const LoomFinding *other = findings->all->pdata[i];
        const gboolean same = g_strcmp0(one->place, other->place) == 0
                              && g_str_equal(one->text, other->text) && one->line == other->line
                              && one->column == other->column;

        if (same
            || (one->line && !other->line && other->place && strstr(one->text, other->place)
                && g_str_has_suffix(one->text, other->text)))
            return TRUE;
    }
    return FALSE;
}

void loom_findings_take(LoomFindings *findings, GError *error)
{
    g_autoptr(GError) taken = error;
    const char *code = loom_error_name(error), *text = error->message, *rest;

    if (g_str_equal(code, FINDINGS_SEEN))
        return;
    LoomFinding *finding = g_new0(LoomFinding, 1);
    finding->severity = severity_of(code);
    finding->code = code;
    finding->error = error->domain == LOOM_ERROR ? (LoomErrorCode)error->code : LOOM_ERROR_IO;
    if (*text != '\'' && (rest = config_place(text, finding)))
        text = rest;
    finding->id = quoted_take(&text, "case '");
    if (!finding->place)
        finding->place = quoted_take(&text, "'");
    finding->text = g_strdup(text);
    if (finding_known(findings, finding))
        finding_free(finding);
    else
        g_ptr_array_add(findings->all, finding);
}

void loom_findings_move(LoomFindings *to, LoomFindings *from, const char *id)
{
    while (from->all->len) {
        LoomFinding *finding = g_ptr_array_steal_index(from->all, 0);

        if (!finding->id)
            finding->id = g_strdup(id);
        g_ptr_array_add(to->all, finding);
    }
}

gboolean loom_findings_keep(LoomFindings *findings, GError **cause, GError **error)
{
    if (!findings) {
        g_propagate_error(error, g_steal_pointer(cause));
        return FALSE;
    }
    loom_findings_take(findings, g_steal_pointer(cause));
    return TRUE;
}

gboolean loom_findings_fail(GError **error)
{
    return loom_fail_as(error, FINDINGS_SEEN, LOOM_ERROR_CONFIG, "there are problems");
}

/* ---- reading ------------------------------------------------------------------------- */

guint loom_findings_count(const LoomFindings *findings)
{
    return findings->all->len;
}

guint loom_findings_of(const LoomFindings *findings, LoomSeverity severity)
{
    guint n = 0;

    for (guint i = 0; i < findings->all->len; i++)
        n += ((const LoomFinding *)findings->all->pdata[i])->severity == severity;
    return n;
}

const LoomFinding *loom_findings_at(const LoomFindings *findings, guint i)
{
    return findings->all->pdata[i];
}

static int finding_compare(gconstpointer a, gconstpointer b)
{
    const LoomFinding *x = *(LoomFinding *const *)a, *y = *(LoomFinding *const *)b;
    const guint x_at[2] = {x->line, x->column}, y_at[2] = {y->line, y->column};

    if (x->severity != y->severity)
        return x->severity > y->severity ? -1 : 1;
    if (!x->line != !y->line) /* the config before the data */
        return x->line ? -1 : 1;
    for (guint i = 0; i < 2; i++)
        if (x_at[i] != y_at[i])
            return x_at[i] < y_at[i] ? -1 : 1;
    return 0;
}

void loom_findings_sort(LoomFindings *findings)
{
    g_ptr_array_sort(findings->all, finding_compare); /* GLib's is stable */
}
