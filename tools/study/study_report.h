/* study_report.h - the scores of a study as a table for people, CSV and JSON. */
#pragma once

#include "study_scores.h"

/* All (transfer full). */
char *study_report_table(const StudyScores *scores);
char *study_report_csv(const StudyScores *scores);
char *study_report_json(const StudyScores *scores);
