/* study_balance.h - a picture of the balance between precision and recall. */
#pragma once

#include "study_scores.h"

/* Writes balance.svg and balance.png to @folder: for each class mean precision against mean
 * recall, one mark a loss with its 95 % intervals, over curves of equal Dice.  Where the runs
 * measured no precision or recall: nothing is written, and @drawn is FALSE. */
gboolean study_balance_write(const StudyScores *scores, const char *folder, gboolean *drawn,
                             GError **error);
