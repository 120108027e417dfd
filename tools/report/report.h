/* report.h - the sections of report.html, each from what a run has left; a section that has
 * nothing to show says so in a sentence. */
#pragma once

#include "run_record.h"

/* The whole page; (transfer full).  @reload: seconds until it loads itself again while the run
 * goes on, 0: never. */
char *report_page(const RunRecord *record, guint reload);

void report_curves(GString *page, const RunRecord *record);
void report_scores(GString *page, const RunRecord *record);
void report_balance(GString *page, const RunRecord *record);
void report_imbalance(GString *page, const RunRecord *record);
void report_cases(GString *page, const RunRecord *record);
void report_times(GString *page, const RunRecord *record);
void report_graphs(GString *page, const RunRecord *record);
void report_made(GString *page, const RunRecord *record);

/* ---- what several of them ask ------------------------------------------------------- */

/* Names of the classes but the background, in their order, ends with NULL; (transfer full). */
char **report_classes(const RunRecord *record);
/* The step of the latest rows of metrics.csv; NaN: there are none. */
double report_scored_step(const RunRecord *record);
/* Values of one reading and class at that step, one a case in the order of the table, NaN where
 * undefined; (transfer full). */
double *report_scores_of(const RunRecord *record, const char *reading, const char *class_,
                         guint *n);
/* Begins "<section>" with a heading that the contents list links to; "</section>" ends it. */
void report_section(GString *page, const char *id, const char *title);
/* A sentence in place of what is not there. */
void report_absent(GString *page, const char *text);
/* A frame that can be scrolled by the keyboard where the page is narrow; "</div>" ends it. */
void report_wide(GString *page, const char *what);
