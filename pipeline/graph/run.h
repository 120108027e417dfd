/* run.h - a config from its text to its end. */
#pragma once

#include "config/yaml.h"
#include "cluster/rendezvous.h"
#include "core/findings.h"
#include "data/survey.h"
#include "graph/moves.h"
#include "plugin/registry.h"

#include <loom/context.h>

typedef struct {
    const char *folder; /* what the run leaves goes here; NULL: only check, write nothing */
    gboolean resume;    /* go on from the checkpoints in `folder` */
    /* Which rank of how many; NULL, or of size 1: alone.  Must outlive the run. */
    const LoomRendezvous *rendezvous;
    LoomDataset *dataset; /* (transfer full): instead of `data:` of the config; NULL: that */
    /* Called for each record, from the lane that made it, one at a time; may be NULL. */
    void (*record)(const char *kind, gint64 step, const LoomField *fields, guint n_fields,
                   gpointer data);
    /* Called when a graph moves on, one at a time and not beside `record`; may be NULL. */
    void (*moves)(const LoomMove *move, gpointer data);
    gpointer data; /* of both */
    /* To look only: every problem of config and data goes here, the voxels of all images are
     * read, and loom_run_open never fails.  NULL: the first problem ends it. */
    LoomFindings *findings;
} LoomRunOptions;

typedef enum {
    LOOM_RUN_FAILED,
    LOOM_RUN_DONE,
    LOOM_RUN_STOPPED, /* it was asked to */
    LOOM_RUN_CUT_OFF, /* the other ranks go on without this one: nothing was saved here */
} LoomRunEnd;

/* Checks the config and opens everything: backend, data, models, stages of all graphs.
 * @config: (transfer none), must outlive the run.  NULL with the reason; LOOM_ERROR_CONFIG,
 * _PLUGIN, _FORMAT, _SHAPE, _IO: the config or the data is wrong (exit code 2). */
LoomRun *loom_run_open(LoomNode *config, const LoomRegistry *registry,
                       const LoomRunOptions *options, GError **error);
/* Runs the graph that `run:` names to its end. */
LoomRunEnd loom_run_execute(LoomRun *run, GError **error);
/* From any thread: end in order, as soon as the packets in hand are done. */
void loom_run_stop(LoomRun *run);
void loom_run_free(LoomRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomRun, loom_run_free)

gint64 loom_run_steps(const LoomRun *run);    /* asked for; 0: as the data gives */
gint64 loom_run_step(const LoomRun *run);     /* done */
gboolean loom_run_enough(const LoomRun *run); /* all that were asked for */
/* Of several ranks, the one that leaves in the folder what all of them made. */
gboolean loom_run_writes(const LoomRun *run);
/* Processes that `place:` wants at least: 1 without it. */
guint loom_run_processes(const LoomRun *run);
/* Why it was cut off; NULL: it was not.  (transfer none) */
const char *loom_run_reason(const LoomRun *run);
char *loom_run_queues(const LoomRun *run); /* "scale 3/4, batch 4/4"; (transfer full) */
const LoomDataset *loom_run_dataset(const LoomRun *run);
/* What was found in the data; NULL: nobody looked, or there is no data set that opens. */
const LoomSurvey *loom_run_survey(const LoomRun *run);
/* Everything could be opened: only then may a run that was looked at be described. */
gboolean loom_run_planned(const LoomRun *run);
/* Where the threads are and what flows, for people: a table; as Graphviz.  (transfer full) */
char *loom_run_describe(const LoomRun *run);
char *loom_run_dot(const LoomRun *run);
/* The config as it took effect, defaults included, as YAML; (transfer full). */
char *loom_run_config(const LoomRun *run);
/* The same tree of a config that need not be right: what cannot be completed stays. */
LoomNode *loom_config_effective(const LoomNode *config, const LoomRegistry *registry);
/* What the run will need: tensors of models, packets in flight at most (0: sizes unknown). */
guint64 loom_run_model_bytes(const LoomRun *run);
/* Bytes that the process will hold at most, by what they are for. */
typedef struct {
    guint64 program;   /* before the run, and what shapes do not tell */
    guint64 weights;   /* of all networks */
    guint64 kept;      /* by stages from packet to packet: gradients, activations, moments */
    guint64 queues;    /* packets that wait */
    guint64 hand;      /* packets in work, and what stages take for them */
    guint64 other;     /* both of the largest of the graphs that the main one runs */
    const char *graph; /* its name; NULL: none */
    guint64 cache;     /* cases that loaders keep */
    guint64 ceiling;   /* 0: none */
} LoomRunMemory;
/* NULL: not known, the run was opened without a ceiling and not to be looked at. */
const LoomRunMemory *loom_run_memory(const LoomRun *run);
guint64 loom_run_memory_sum(const LoomRunMemory *sum);
guint64 loom_run_packets(const LoomRun *run);
/* Bytes that it will leave on disk: checkpoints and models, masks of validation. */
void loom_run_disk(const LoomRun *run, guint64 *checkpoints, guint64 *predictions);
