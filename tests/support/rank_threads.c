/* rank_threads - see rank_threads.h. */
#include "rank_threads.h"

#include <string.h>

typedef struct {
    RankThreads *all;
    LoomRendezvous where;
    LoomRun *run; /* atomic: set once it is open */
} Rank;

/* Records come from the rank that writes: it tells who is to leave, when it is time. */
typedef struct {
    Rank *ranks;
    RankThreads *all;
} Watch;

static void watch_record(const char *kind, gint64 step, G_GNUC_UNUSED const LoomField *fields,
                         G_GNUC_UNUSED guint n_fields, gpointer data)
{
    const Watch *watch = data;
    const RankThreads *all = watch->all;

    if (!all->leave_after || !g_str_equal(kind, "step") || step != all->leave_after)
        return;
    for (guint r = 0; r < all->size; r++) {
        LoomRun *run = __atomic_load_n(&watch->ranks[r].run, __ATOMIC_ACQUIRE);

        if (run && (all->all_leave || r == all->leaver))
            loom_run_stop(run);
    }
}

typedef struct {
    Rank *rank;
    Watch *watch;
} Thread;

static gpointer rank_thread(gpointer data)
{
    const Thread *thread = data;
    Rank *rank = thread->rank;
    RankThreads *all = rank->all;
    const guint r = rank->where.rank;
    const LoomRunOptions options = {.folder = all->folder,
                                    .resume = all->resume,
                                    .rendezvous = &rank->where,
                                    .record = watch_record,
                                    .data = thread->watch};
    g_autoptr(GError) error = NULL;
    LoomNode *config =
        loom_yaml_parse(all->config, strlen(all->config), "ranks.yaml", "/", &error);

    g_assert_no_error(error);
    LoomRun *run = loom_run_open(config, loom_test_registry(), &options, &error);
    all->ends[r] = LOOM_RUN_FAILED;
    if (run) {
        __atomic_store_n(&rank->run, run, __ATOMIC_RELEASE);
        all->ends[r] = loom_run_execute(run, &error);
        all->steps[r] = loom_run_step(run);
    }
    all->errors[r] = error ? g_strdup(error->message) : NULL;
    return config;
}

void rank_threads_run(RankThreads *ranks)
{
    static gint number;
    Rank all[RANKS_MOST] = {0};
    Watch watch = {all, ranks};
    Thread threads[RANKS_MOST];
    GThread *started[RANKS_MOST];
    LoomNode *configs[RANKS_MOST];
    char *meet = g_strdup_printf("loopback://meet-%d", g_atomic_int_add(&number, 1));

    loom_test_registry(); /* before there are threads */
    for (guint r = 0; r < ranks->size; r++) {
        all[r] = (Rank){.all = ranks, .where = {.rank = r, .size = ranks->size, .meet = meet}};
        threads[r] = (Thread){&all[r], &watch};
        started[r] = g_thread_new("rank", rank_thread, &threads[r]);
    }
    for (guint r = 0; r < ranks->size; r++)
        configs[r] = g_thread_join(started[r]);
    for (guint r = 0; r < ranks->size; r++) {
        loom_run_free(all[r].run);
        loom_node_free(configs[r]);
    }
    g_free(meet);
}

void rank_threads_clear(RankThreads *ranks)
{
    for (guint r = 0; r < RANKS_MOST; r++)
        g_clear_pointer(&ranks->errors[r], g_free);
}
