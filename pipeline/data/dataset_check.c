/* dataset_check - what a run wants to know of a data set before it relies on it: headers and
 * label maps, through the same survey that `segloom check` prints in full. */
#define G_LOG_DOMAIN "loom-data"
#include "survey.h"

/* "case 'a': 'FILE': what", as an error would say it. */
static char *finding_line(const LoomFinding *finding)
{
    g_autofree char *id = finding->id ? g_strdup_printf("case '%s': ", finding->id) : NULL;
    g_autofree char *place = finding->place ? g_strdup_printf("'%s': ", finding->place) : NULL;

    return g_strdup_printf("%s%s%s", id ? id : "", place ? place : "", finding->text);
}

/* Cases besides that of @first that have a finding of this severity, and of this code unless
 * that is NULL. */
static guint others_count(const LoomFindings *findings, const LoomFinding *first,
                          const char *code)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < loom_findings_count(findings); i++) {
        const LoomFinding *one = loom_findings_at(findings, i);

        if (one->severity == first->severity && one->id && g_strcmp0(one->id, first->id) != 0
            && (!code || g_str_equal(one->code, code)))
            g_hash_table_add(ids, one->id);
    }
    return g_hash_table_size(ids);
}

static void warnings_tell(const LoomFindings *findings)
{
    g_autoptr(GHashTable) told = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < loom_findings_count(findings); i++) {
        const LoomFinding *one = loom_findings_at(findings, i);

        if (one->severity != LOOM_SEVERITY_WARNING
            || !g_hash_table_add(told, (gpointer)(guintptr)one->code))
            continue;
        g_autofree char *line = finding_line(one);
        const guint more = others_count(findings, one, one->code);
        if (more)
            g_warning("%s (and so in %u more case%s)", line, more, more == 1 ? "" : "s");
        else
            g_warning("%s", line);
    }
}

gboolean loom_dataset_check(const LoomDataset *dataset, LoomPool *pool, GError **error)
{
    g_autoptr(LoomSurvey) survey = loom_survey_new(dataset, pool, FALSE);
    const LoomFinding *first = NULL;

    if (!loom_findings_of(survey->findings, LOOM_SEVERITY_ERROR))
        loom_survey_classes(survey);
    for (guint i = 0; !first && i < loom_findings_count(survey->findings); i++) {
        const LoomFinding *one = loom_findings_at(survey->findings, i);

        first = one->severity == LOOM_SEVERITY_ERROR ? one : NULL;
    }
    if (!first) {
        warnings_tell(survey->findings);
        return TRUE;
    }
    g_autofree char *line = finding_line(first);
    const guint more = others_count(survey->findings, first, NULL);
    if (!more)
        return loom_fail_as(error, first->code, first->error, "%s", line);
    return loom_fail_as(error, first->code, first->error, "%s (and problems in %u more case%s)",
                        line, more, more == 1 ? "" : "s");
}
