/* loom_test.h - tests in three lines: tensors by hand, one stage between two hands, errors by
 * their text.  Anything that fails here fails the test. */
#pragma once

#include "config/yaml.h"
#include "graph/run.h"
#include "plugin/instance.h"

#include <loom/data.h>
#include <loom/loom.h>

/* ---- numbers and errors ------------------------------------------------------------- */

#define loom_assert_near(value, expected, tolerance)                                           \
    G_STMT_START                                                                               \
    {                                                                                          \
        const double near_a = (value), near_b = (expected), near_t = (tolerance);              \
        if (!(ABS(near_a - near_b) <= near_t)) {                                               \
            g_autofree char *near_text = g_strdup_printf(                                      \
                #value " = %.12g, want %.12g within %g", near_a, near_b, near_t);              \
            g_assertion_message(G_LOG_DOMAIN, __FILE__, __LINE__, G_STRFUNC, near_text);       \
        }                                                                                      \
    }                                                                                          \
    G_STMT_END

/* The call is falsy, and the error's message contains the text. */
#define loom_assert_failed(call, error, want_domain, want_code, want_text)                     \
    G_STMT_START                                                                               \
    {                                                                                          \
        g_assert_false((call));                                                                \
        g_assert_error((error), (want_domain), (gint)(want_code));                             \
        if (!strstr((error)->message, (want_text))) {                                          \
            g_autofree char *failed_text =                                                     \
                g_strdup_printf("message '%s', want '%s' in it", (error)->message, want_text); \
            g_assertion_message(G_LOG_DOMAIN, __FILE__, __LINE__, G_STRFUNC, failed_text);     \
        }                                                                                      \
    }                                                                                          \
    G_STMT_END

/* ---- tensors ------------------------------------------------------------------------ */

#define SHAPE(...)                                                                             \
    ((const gint64[]){__VA_ARGS__}), G_N_ELEMENTS(((const gint64[]){__VA_ARGS__}))
#define F32(...) ((const float[]){__VA_ARGS__}), G_N_ELEMENTS(((const float[]){__VA_ARGS__}))
#define U8(...) ((const guint8[]){__VA_ARGS__}), G_N_ELEMENTS(((const guint8[]){__VA_ARGS__}))

/* loom_test_f32("NCDHW", SHAPE(1, 2, 1, 1, 2), F32(0.2f, 0.6f, 0.8f, 0.4f)) */
LoomTensor *loom_test_f32(const char *axes, const gint64 *shape, gsize rank,
                          const float *values, gsize n);
LoomTensor *loom_test_u8(const char *axes, const gint64 *shape, gsize rank,
                         const guint8 *values, gsize n);
/* Uniform in [low, high); seeded. */
LoomTensor *loom_test_random(const char *axes, const gint64 *shape, gsize rank, guint64 seed,
                             double low, double high);
/* Labels 0 .. classes-1; seeded. */
LoomTensor *loom_test_random_labels(const char *axes, const gint64 *shape, gsize rank,
                                    guint64 seed, gint64 classes);
gboolean loom_test_equal(const LoomTensor *a, const LoomTensor *b); /* dtype, axes, bytes */

/* ---- plugins ------------------------------------------------------------------------ */

/* All modules of the build, loaded once. */
LoomRegistry *loom_test_registry(void);
/* One plugin, opened: "{use: dice, smooth: 1}".  Its host has seed 1, a pool of 2 threads, no
 * data and no folder; @backend may be NULL.  @error NULL: it must succeed. */
LoomInstance *loom_test_instance(LoomKind kind, const char *yaml, const LoomInstance *backend,
                                 GError **error);

/* Value of a loss, and its gradient unless @dlogits is NULL; it must succeed. */
double loom_test_eval(const LoomInstance *loss, const LoomTensor *logits,
                      const LoomTensor *target, LoomTensor *dlogits);

/* ---- one stage between two hands ---------------------------------------------------- */

typedef struct {
    const char
        *sections; /* YAML of further top-level keys: "backend: {use: reference}\n..."; NULL */
    const char *run;    /* YAML of `run:` besides the graph: "steps: 10"; NULL */
    const char *folder; /* run folder; NULL: only checking */
    guint64 seed;
    gboolean resume;
    LoomDataset *dataset; /* (transfer full); NULL: as the sections say */
} LoomTestSetup;

typedef struct _LoomTestStage LoomTestStage;
/* "{use: crop, size: [4, 4, 4]}" in a graph of its own, which feeds it whatever it reads.
 * @setup may be NULL.  @error NULL: it must succeed. */
LoomTestStage *loom_test_stage(const char *yaml, const LoomTestSetup *setup, GError **error);
void loom_test_stage_free(LoomTestStage *stage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LoomTestStage, loom_test_stage_free)
/* Packet number @index (transfer full) goes in; what comes out is in loom_test_out. */
LoomFlow loom_test_push(LoomTestStage *stage, LoomPacket *packet, gint64 index, GError **error);
/* The same with a packet of @image and, if not NULL, @label (both transfer full): what came
 * out, which belongs to @stage; what came out before is let go.  It must succeed. */
const LoomPacket *loom_test_through(LoomTestStage *stage, LoomTensor *image, LoomTensor *label,
                                    gint64 index);
/* A source makes packet number @index; (transfer full), NULL with error unset: end of data. */
LoomPacket *loom_test_produce(LoomTestStage *stage, gint64 index, GError **error);
/* Its `need`; it must have one. */
gboolean loom_test_need(LoomTestStage *stage, LoomPacket *sketch, LoomNeed *need,
                        GError **error);
LoomFlow loom_test_start(LoomTestStage *stage, GError **error);
LoomFlow loom_test_flush(LoomTestStage *stage, GError **error);
LoomFlow loom_test_finish(LoomTestStage *stage, GError **error);
/* Packets that came out so far: forks, so opaque slots are not in them. */
GPtrArray *loom_test_out(LoomTestStage *stage);
gpointer loom_test_self(LoomTestStage *stage);
LoomRun *loom_test_stage_run(LoomTestStage *stage);

/* ---- folders ---------------------------------------------------------------------- */

/* A new temporary folder, (transfer full). */
char *loom_test_folder(void);
/* Removes it and all that is in it. */
void loom_test_folder_remove(const char *folder);
guint loom_test_folder_count(const char *folder); /* files and folders right in it */

/* g_test_run(), then: no tensor may still be alive. */
int loom_test_run(void);
