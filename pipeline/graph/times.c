/* times - where the time of a run goes: see times.h.  timing.json, in seconds:
 *   {"rank", "from_step", "step",
 *    "starts": [{"from_step", "step", "seconds"}],
 *    "graphs": [{"graph", "main", "runs", "seconds",
 *                "lanes": [{"lane", "workers", "waited_for_packet", "waited_for_turn",
 *                           "queue": {"size", "packets", "waited_for_room"},
 *                           "stages": [{"stage", "use", "calls", "seconds", "sending"}]}]}]}
 * Of a lane with several workers, seconds are those of all of them together.  Of a run that was
 * resumed all is summed over its starts; seconds of a start are those of the main graph. */
#define G_LOG_DOMAIN "loom-times"
#include "times.h"

#include "state.h"

#include <loom/store.h>

#include <json-glib/json-glib.h>
#include <string.h>

#define WRITE_INTERVAL_NS (60 * (gint64)1000000000)

static gint64 now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (gint64)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* The only writer reads its own value, so no add has to be atomic. */
static void add(gint64 *counter, gint64 more)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + more,
                     __ATOMIC_RELAXED);
}

static gint64 value_of(const gint64 *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

LoomSpent *loom_clock_turn_at(LoomClock *clock, LoomSpent *to, gint64 now)
{
    LoomSpent *before = clock->now;

    if (before)
        add(&before->ns, now - clock->since);
    clock->now = to;
    clock->since = now;
    return before;
}

LoomSpent *loom_clock_turn(LoomClock *clock, LoomSpent *to)
{
    return loom_clock_turn_at(clock, to, now_ns());
}

void loom_spent_count(LoomSpent *spent)
{
    add(&spent->n, 1);
}

void loom_times_begin(LoomGraph *graph)
{
    __atomic_store_n(&graph->began_ns, now_ns(), __ATOMIC_RELAXED);
    add(&graph->ran.n, 1);
}

void loom_times_end(LoomGraph *graph)
{
    add(&graph->ran.ns, now_ns() - value_of(&graph->began_ns));
    __atomic_store_n(&graph->began_ns, 0, __ATOMIC_RELAXED);
}

/* ---- timing.json -------------------------------------------------------------------- */

static void seconds_set(JsonBuilder *builder, const char *name, gint64 ns)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_double_value(builder, (double)ns * 1e-9);
}

static void count_set(JsonBuilder *builder, const char *name, gint64 n)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, n);
}

static void text_set(JsonBuilder *builder, const char *name, const char *text)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, text);
}

/* Over the workers that count it; @member: offset of a LoomSpent in LoomTimes. */
static LoomSpent sum_of(const LoomHop *hop, gsize member)
{
    LoomSpent sum = {0};

    for (guint w = 0; w < hop->n_times; w++) {
        const LoomSpent *spent = (const void *)((const char *)&hop->times[w] + member);

        sum.ns += value_of(&spent->ns);
        sum.n += value_of(&spent->n);
    }
    return sum;
}

#define SUM(hop, member) sum_of(hop, offsetof(LoomTimes, member))

static void stage_set(JsonBuilder *builder, const LoomHop *hop)
{
    const LoomSpent own = SUM(hop, own);

    json_builder_begin_object(builder);
    text_set(builder, "stage", hop->id);
    text_set(builder, "use", hop->stage->base.name);
    count_set(builder, "calls", own.n);
    seconds_set(builder, "seconds", own.ns);
    if (hop->leaves)
        seconds_set(builder, "sending", SUM(hop, sent).ns);
    json_builder_end_object(builder);
}

static void lane_set(JsonBuilder *builder, const LoomLane *lane)
{
    const LoomSpent room = SUM(lane->head, room);

    json_builder_begin_object(builder);
    text_set(builder, "lane", lane->head->id);
    count_set(builder, "workers", lane->workers);
    seconds_set(builder, "waited_for_packet", SUM(lane->head, take).ns);
    if (lane->workers > 1)
        seconds_set(builder, "waited_for_turn", SUM(lane->head, turn).ns);
    if (lane->queue) {
        json_builder_set_member_name(builder, "queue");
        json_builder_begin_object(builder);
        count_set(builder, "size", lane->head->queue);
        count_set(builder, "packets", room.n);
        seconds_set(builder, "waited_for_room", room.ns);
        json_builder_end_object(builder);
    }
    json_builder_set_member_name(builder, "stages");
    json_builder_begin_array(builder);
    for (guint i = 0; i < lane->hops->len; i++)
        stage_set(builder, lane->hops->pdata[i]);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static gint64 graph_ns(const LoomGraph *graph)
{
    const gint64 began = value_of(&graph->began_ns);

    return value_of(&graph->ran.ns) + (began ? now_ns() - began : 0);
}

static void graph_set(JsonBuilder *builder, const LoomRun *run, const LoomGraph *graph)
{
    json_builder_begin_object(builder);
    text_set(builder, "graph", graph->id);
    json_builder_set_member_name(builder, "main");
    json_builder_add_boolean_value(builder, graph == run->main);
    count_set(builder, "runs", value_of(&graph->ran.n));
    seconds_set(builder, "seconds", graph_ns(graph));
    json_builder_set_member_name(builder, "lanes");
    json_builder_begin_array(builder);
    for (guint i = 0; i < graph->lanes->len; i++)
        lane_set(builder, graph->lanes->pdata[i]);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

static void start_set(JsonBuilder *builder, const LoomStart *start)
{
    json_builder_begin_object(builder);
    count_set(builder, "from_step", start->from);
    count_set(builder, "step", start->step);
    seconds_set(builder, "seconds", start->ns);
    json_builder_end_object(builder);
}

/* The starts before, and this one: the rest. */
static void starts_set(JsonBuilder *builder, const LoomRun *run)
{
    LoomStart now = {MAX(run->resumed_at, 0), loom_run_step(run), graph_ns(run->main)};

    json_builder_set_member_name(builder, "starts");
    json_builder_begin_array(builder);
    for (guint i = 0; i < run->starts->len; i++) {
        const LoomStart *start = &g_array_index(run->starts, LoomStart, i);

        now.ns -= start->ns;
        start_set(builder, start);
    }
    now.ns = MAX(now.ns, 0);
    start_set(builder, &now);
    json_builder_end_array(builder);
}

char *loom_times_json(LoomRun *run)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    const gint64 from = run->starts->len ? g_array_index(run->starts, LoomStart, 0).from
                                         : MAX(run->resumed_at, 0);

    json_builder_begin_object(builder);
    count_set(builder, "rank", run->share.rank);
    count_set(builder, "from_step", from);
    count_set(builder, "step", loom_run_step(run));
    starts_set(builder, run);
    json_builder_set_member_name(builder, "graphs");
    json_builder_begin_array(builder);
    for (guint g = 0; g < run->graphs->len; g++)
        graph_set(builder, run, run->graphs->pdata[g]);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return json_to_string(root, TRUE);
}

void loom_times_write(LoomRun *run)
{
    g_autoptr(GError) error = NULL;

    if (!run->folder || !loom_run_writes(run))
        return;
    g_autofree char *path = g_build_filename(run->folder, "timing.json", NULL);
    g_autofree char *text = loom_times_json(run);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);
    LOOM_LOCKED(&run->recording); /* two lanes may each run a graph */
    if (!loom_file_replace(path, lines, strlen(lines), &error))
        g_warning("%s", error->message); /* of no use to the training itself */
}

void loom_times_write_now_and_then(LoomRun *run)
{
    const gint64 now = now_ns();

    if (run->times_at && now - run->times_at < WRITE_INTERVAL_NS)
        return;
    run->times_at = now;
    loom_times_write(run);
}
