/* run_record.h - what a run has left in its folder, read back as far as it is there. */
#pragma once

#include "csv_table.h"
#include "json_members.h"

#include "config/yaml.h"

typedef enum {
    RUN_GOING, /* its log is locked by a process */
    RUN_DONE,
    RUN_STOPPED,
    RUN_FAILED,
    RUN_CUT_OFF, /* the other ranks go on without the one that wrote */
    RUN_SILENT,  /* no process, and no word of an end: it was killed, or the machine was */
} RunOutcome;

typedef struct {
    char *folder, *name;
    RunOutcome outcome;
    char *reason;         /* of a failure; NULL: none was noted */
    gint64 step, steps;   /* done, and asked for (0: not known) */
    JsonObject *manifest; /* NULL: not there, and so below */
    JsonObject *timing, *overlays;
    char *config_text;
    LoomNode *config;
    GPtrArray *records; /* JsonObject *, the lines of log.jsonl in their order */
    CsvTable *steps_table, *metrics_table;
    GPtrArray *missing; /* sentences: what is not there, or cannot be read */
} RunRecord;

/* NULL with LOOM_ERROR_IO where @folder is none, _CONFIG where no run ever wrote to it. */
RunRecord *run_record_read(const char *folder, GError **error);
void run_record_free(RunRecord *record);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunRecord, run_record_free)
/* A process has the log of this folder open to write. */
gboolean run_record_going(const char *folder);
/* Bytes of log.jsonl, to see that it grew; -1: there is none. */
gint64 run_record_size(const char *folder);
