/* survey_patients - does one patient train and validate?  Then the score is too good. */
#include "survey.h"

/* sub-01_ses-2, lesion_04_visit1, p7-followup2: what stands before names the patient. */
#define PATIENTS_VISITS                                                                        \
    "^(sub-[^_]+)_|^(.+?)[_-](?:ses|session|visit|tp|time|timepoint|scan|followup|fu)[_-]?"    \
    "\\d+"

/* The patient of a case: the first group that took part; NULL: the rule says nothing. */
static char *patient_of(const GRegex *rule, const char *id)
{
    g_autoptr(GMatchInfo) match = NULL;

    if (!g_regex_match(rule, id, 0, &match))
        return NULL;
    for (gint group = 1; group < g_match_info_get_match_count(match); group++) {
        g_autofree char *found = g_match_info_fetch(match, group);

        if (*found)
            return g_steal_pointer(&found);
    }
    return g_match_info_fetch(match, 0);
}

/* A case that validates although @first, of the same patient, trains; or the other way. */
static void leak_tell(const LoomSurvey *survey, const LoomCase *first, const LoomCase *one,
                      const char *patient, gboolean sure)
{
    loom_finding_add(
        survey->findings, sure ? "E-SPLIT-PATIENT" : "W-SPLIT-PATIENT", NULL, one->id,
        "patient '%s' trains and validates: case '%s' is on the other side of the "
        "split%s",
        patient, first->id, sure ? "" : " (by the name; patient_key gives the rule)");
}

void loom_survey_patients(const LoomSurvey *survey, const char *key)
{
    const LoomDataset *dataset = survey->dataset;
    GError *error = NULL;
    g_autoptr(GRegex) rule =
        g_regex_new(key ? key : PATIENTS_VISITS, G_REGEX_OPTIMIZE, 0, &error);
    g_autoptr(GHashTable) first = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    if (!rule) {
        loom_finding_add(survey->findings, "E-DATA-PATIENT-KEY", NULL, NULL,
                         "patient_key '%s' is no regular expression: %s", key, error->message);
        g_error_free(error);
        return;
    }
    for (guint i = 0; i < dataset->n_cases; i++) {
        char *patient = patient_of(rule, dataset->cases[i].id);
        gpointer place = NULL;

        if (!patient || dataset->in_train[i] > 1) {
            g_free(patient);
            continue;
        }
        if (!g_hash_table_lookup_extended(first, patient, NULL, &place)) {
            g_hash_table_insert(first, patient, GUINT_TO_POINTER(i));
            continue;
        }
        const guint other = GPOINTER_TO_UINT(place);
        if (dataset->in_train[other] != dataset->in_train[i])
            leak_tell(survey, &dataset->cases[other], &dataset->cases[i], patient, key != NULL);
        g_free(patient);
    }
}
