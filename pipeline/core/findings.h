/* findings.h - problems, warnings and notes: collected instead of printed, each with a stable
 * code, where it is, what was found and what to do. */
#pragma once

#include <loom/data.h>

typedef enum { LOOM_SEVERITY_NOTE, LOOM_SEVERITY_WARNING, LOOM_SEVERITY_ERROR } LoomSeverity;

typedef struct {
    LoomSeverity severity;
    const char *code;    /* "E-NII-SHORT", "W-NII-UNITS", "N-NII-QFAC": static */
    LoomErrorCode error; /* of severity ERROR */
    char *place;         /* a file, or FILE:LINE:COLUMN; NULL: neither */
    char *id;            /* of the case; NULL: none */
    char *text;          /* found, wanted, what to do: without the place */
    guint line, column;  /* of a config; 0: none */
} LoomFinding;

LoomFindings *loom_findings_new(void);
void loom_findings_free(LoomFindings *findings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomFindings, loom_findings_free)

/* Appends; the first letter of @code gives the severity.  @findings NULL: g_info, once somebody
 * asked for that.  @place, @id: may be NULL. */
void loom_finding_add(LoomFindings *findings, const char *code, const char *place,
                      const char *id, const char *format, ...) G_GNUC_PRINTF(5, 6);
/* Appends an error, taking it over; its place is taken from the front of the message, be that
 * FILE:LINE:COLUMN: or 'PATH': or case 'ID':.  What is already there is not added again. */
void loom_findings_take(LoomFindings *findings, GError *error);
/* Moves everything from @from to the end of @to, naming the case @id where it has none. */
void loom_findings_move(LoomFindings *to, LoomFindings *from, const char *id);

guint loom_findings_count(const LoomFindings *findings);
guint loom_findings_of(const LoomFindings *findings, LoomSeverity severity);
const LoomFinding *loom_findings_at(const LoomFindings *findings, guint i);
/* Errors first, then warnings, then notes; each in the order in which they were found, those of
 * one config by line. */
void loom_findings_sort(LoomFindings *findings);

/* ---- looking on after the first error ------------------------------------------------ */

/* For a loop that goes on where findings are collected: keeps *@cause there and returns TRUE;
 * without @findings moves it to @error and returns FALSE. */
gboolean loom_findings_keep(LoomFindings *findings, GError **cause, GError **error);
/* Fails with an error that says that the errors are in the findings; never added to any. */
gboolean loom_findings_fail(GError **error);
