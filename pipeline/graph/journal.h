/* journal.h - log.jsonl: one JSON object a line for every record of a run. */
#pragma once

#include <loom/context.h>

typedef struct _LoomJournal LoomJournal;

/* Of a rank that does not write, so far: lines are kept for a step and no longer. */
LoomJournal *loom_journal_new(const char *folder);
/* From now on this rank writes.  @keep_until: of a log that exists lines up to this step stay,
 * so that a resumed run has the log of one that never stopped; then the lines it kept, if they
 * are not there; -1: begin anew. */
gboolean loom_journal_open(LoomJournal *journal, gint64 keep_until, GError **error);
/* Another rank writes now. */
void loom_journal_shut(LoomJournal *journal);
void loom_journal_close(LoomJournal *journal);
gboolean loom_journal_write(LoomJournal *journal, const char *kind, gint64 step,
                            const LoomField *fields, guint n_fields, GError **error);
/* The last line of a kind; NULL: none; (transfer full). */
char *loom_journal_latest(LoomJournal *journal, const char *kind);
