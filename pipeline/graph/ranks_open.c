/* ranks_open - what a run among other processes needs before it meets them: `cluster:` of the
 * config, its transport and collective with their ports, and the hash of what all must have
 * alike. */
#include "ranks.h"

#include <string.h>

static gboolean section_read(LoomRun *run, LoomRanks *ranks, const LoomScope *scope,
                             GError **error)
{
    const LoomNode *section = loom_node_get(run->config, "cluster");
    g_autoptr(GError) cause = NULL;

    ranks->filled = loom_params_fill(loom_cluster_params, &ranks->options, section, NULL,
                                     "cluster", scope, error);
    if (!ranks->filled)
        return FALSE;
    if (loom_cluster_options_check(&ranks->options, run->place->size, &cause))
        return TRUE;
    return loom_node_fail(section ? section : run->config, error, "cluster: %s",
                          cause->message);
}

/* The same stages, networks and cases everywhere; where they lie may differ. */
static char *config_hash(const LoomRun *run)
{
    static const char *const keys[] = {"seed", "models", "graphs", "place", "run"};
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
        const LoomNode *node = loom_node_get(run->config, keys[i]);
        g_autofree char *text = node ? loom_yaml_json(node) : g_strdup("-");

        g_checksum_update(sum, (const guchar *)text, (gssize)strlen(text) + 1);
    }
    for (guint i = 0; run->dataset && i < run->dataset->n_cases; i++) {
        const char *id = run->dataset->cases[i].id;

        g_checksum_update(sum, (const guchar *)id, (gssize)strlen(id) + 1);
        g_checksum_update(sum, &run->dataset->in_train[i], 1);
    }
    return g_strdup(g_checksum_get_string(sum));
}

/* Without it every rank would train a network of its own, and nobody would notice. */
static gboolean sync_check(const LoomRun *run, GError **error)
{
    const LoomHop *counter = loom_graph_counter(run->main);

    for (const LoomHop *hop = counter; hop; hop = hop->parent)
        if (hop->stage->flags & LOOM_STAGE_SYNC)
            return TRUE;
    return !counter
           || loom_node_fail(
               counter->node, error,
               "stage '%s' (%s) steps on %u ranks, each by its own gradient: want "
               "a stage 'allreduce' before it, {use: allreduce, from: %s, model: "
               "ID}",
               counter->id, counter->stage->base.name, run->place->size, counter->parent->id);
}

static gboolean parts_open(LoomRun *run, LoomRanks *ranks, GError **error)
{
    const LoomClusterOptions *options = &ranks->options;
    const LoomCollective *collective = (const LoomCollective *)options->collective->plugin;
    LoomHost host = {run, "cluster", NULL};
    const LoomStreamOptions limits = {.credit = options->credit,
                                      .limit = MAX(options->credit, (guint64)8 << 30),
                                      .timeout_ms = (gint64)(options->stall * 1000),
                                      .resend_ms = 250};

    if (!loom_instance_open(options->transport, &host, error)
        || !loom_instance_open(options->collective, &host, error))
        return FALSE;
    g_autofree char *address =
        loom_cluster_listen_address(options, run->options.rendezvous, "collective", error);
    if (!address
        || (collective->listen
            && !collective->listen(options->collective->self, options->transport, address,
                                   error)))
        return FALSE;
    if (run->place->groups->len == 1) /* no edge leaves a process */
        return TRUE;
    g_autofree char *edges =
        loom_cluster_listen_address(options, run->options.rendezvous, "streams", error);
    ranks->streams = edges ? loom_streams_new(options->transport, edges, &limits, error) : NULL;
    return ranks->streams != NULL;
}

/* Only the checks of `cluster:` where the run is alone. */
static gboolean alone_check(LoomRun *run, const LoomScope *scope, GError **error)
{
    LoomRanks checked = {0};
    const gboolean right = section_read(run, &checked, scope, error);

    if (checked.filled)
        loom_params_clear(loom_cluster_params, &checked.options);
    return right;
}

gboolean loom_ranks_open(LoomRun *run, const LoomScope *scope, GError **error)
{
    if (run->place->size == 1)
        return !loom_node_get(run->config, "cluster") || alone_check(run, scope, error);
    run->ranks = g_new0(LoomRanks, 1);
    run->ranks->config = config_hash(run);
    return sync_check(run, error) && section_read(run, run->ranks, scope, error)
           && parts_open(run, run->ranks, error);
}

void loom_ranks_stop(LoomRanks *ranks)
{
    if (ranks)
        g_clear_pointer(&ranks->cluster, loom_cluster_free);
}

void loom_ranks_free(LoomRanks *ranks)
{
    if (!ranks)
        return;
    loom_ranks_stop(ranks);
    loom_streams_free(ranks->streams);
    loom_instance_free(g_steal_pointer(&ranks->options.collective)); /* it uses the transport */
    if (ranks->filled)
        loom_params_clear(loom_cluster_params, &ranks->options);
    loom_view_free(ranks->view);
    g_free(ranks->config);
    g_free(ranks);
}
