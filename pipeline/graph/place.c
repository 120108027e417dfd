/* place - which stages of the graph that runs belong to which processes. */
#include "place.h"

#include "config/scalar.h"

#include <string.h>

#define PLACE_MAX_RANKS 4096
#define PLACE_TRAINERS "trainers"

static gboolean group_read(LoomPlace *place, const char *name, const LoomNode *node,
                           GError **error)
{
    const LoomNode *ranks = loom_node_get(node, "ranks"), *stages;
    LoomPlaceGroup group = {.name = name};
    gint64 n = 0;

    if (g_str_equal(name, PLACE_TRAINERS))
        return loom_node_fail(
            node, error, "place: '%s' are those that no group names: want another name", name);
    if (node->type != LOOM_NODE_MAPPING || !ranks || node->items->len != 2
        || !(stages = loom_node_get(node, "stages")))
        return loom_node_fail(
            node, error, "place: %s: want {ranks: N, stages: [STAGE, ...]} and no more", name);
    g_autofree char *what = g_strdup_printf("place: %s: ranks", name);
    if (!loom_scalar_int(ranks, what, &n, error))
        return FALSE;
    if (n < 1 || n > PLACE_MAX_RANKS)
        return loom_node_fail(ranks, error, "%s: %s is out of range, want 1 to %d", what,
                              ranks->text, PLACE_MAX_RANKS);
    if (stages->type != LOOM_NODE_SEQUENCE || !stages->items->len)
        return loom_node_fail(stages, error, "place: %s: stages: want a list of stages", name);
    group.ranks = (guint)n;
    group.stages = stages;
    g_array_append_val(place->groups, group);
    return TRUE;
}

/* Named groups have the last ranks, in the order of the file. */
static gboolean ranks_deal(LoomPlace *place, const LoomNode *section, guint rank,
                           GError **error)
{
    LoomPlaceGroup *groups = (LoomPlaceGroup *)(gpointer)place->groups->data;
    guint named = 0;

    for (guint g = 1; g < place->groups->len; g++)
        named += groups[g].ranks;
    if (place->size == 1) /* one process runs it all */
        return TRUE;
    if (named >= place->size)
        return loom_node_fail(section, error,
                              "place: its groups want %u ranks of %u, none is left to train: "
                              "start at least %u",
                              named, place->size, named + 1);
    groups[0].ranks = place->size - named;
    guint end = groups[0].ranks;
    while (rank >= end)
        end += groups[++place->group].ranks;
    return TRUE;
}

LoomPlace *loom_place_new(const LoomNode *section, guint rank, guint size, GError **error)
{
    g_autoptr(LoomPlace) place = g_new0(LoomPlace, 1);
    const LoomPlaceGroup trainers = {.name = PLACE_TRAINERS, .ranks = size};

    place->groups = g_array_new(FALSE, FALSE, sizeof(LoomPlaceGroup));
    place->size = size;
    g_array_append_val(place->groups, trainers);
    if (section && section->type != LOOM_NODE_MAPPING) {
        loom_node_fail(section, error,
                       "place: want a mapping: NAME: {ranks: N, stages: [STAGE, ...]}");
        return NULL;
    }
    for (guint i = 0; section && i < section->items->len; i++)
        if (!group_read(place, ((LoomNode *)section->keys->pdata[i])->text,
                        section->items->pdata[i], error))
            return NULL;
    return ranks_deal(place, section, rank, error) ? g_steal_pointer(&place) : NULL;
}

void loom_place_free(LoomPlace *place)
{
    if (!place)
        return;
    g_array_unref(place->groups);
    g_free(place);
}

/* ---- the stages --------------------------------------------------------------------- */

static gboolean group_name(LoomGraph *graph, const LoomPlaceGroup *group, guint number,
                           GError **error)
{
    for (guint i = 0; i < group->stages->items->len; i++) {
        const LoomNode *id = group->stages->items->pdata[i];
        LoomHop *hop = id->type == LOOM_NODE_SCALAR ? loom_graph_find(graph, id->text) : NULL;

        if (!hop)
            return loom_node_fail(id, error, "place: %s: there is no stage '%s' in graph '%s'",
                                  group->name, id->text ? id->text : "", graph->id);
        if (hop->group)
            return loom_node_fail(id, error, "place: stage '%s' is named twice", hop->id);
        if (hop->counts || (!hop->toward && hop->below_step))
            return loom_node_fail(id, error,
                                  "place: %s: stage '%s' belongs to the training itself and "
                                  "cannot run elsewhere",
                                  group->name, hop->id);
        hop->group = number;
        hop->placed = group->name;
    }
    return TRUE;
}

/* What never leaves a process is not written before the cut and read behind it. */
static gboolean cut_check(const LoomHop *hop, GError **error)
{
    for (const LoomHop *above = hop->parent; above; above = above->parent)
        for (const LoomSlot *made = above->stage->writes; made && made->name; made++)
            for (const LoomSlot *read = hop->stage->reads;
                 (made->flags & LOOM_SLOT_LOCAL) && read && read->name; read++)
                if (above->group != hop->group && g_str_equal(made->name, read->name))
                    return loom_node_fail(hop->node, error,
                                          "stage '%s' reads '%s', which does not leave the "
                                          "process of stage '%s': place them together",
                                          hop->id, read->name, above->id);
    return TRUE;
}

static gboolean edge_check(const LoomPlace *place, const LoomHop *hop, GError **error)
{
    const LoomPlaceGroup *groups = (const LoomPlaceGroup *)(gconstpointer)place->groups->data;
    const LoomHop *parent = hop->parent;

    if (!parent || parent->group == hop->group)
        return TRUE;
    if (!parent->toward || parent->toward->group != hop->group)
        return loom_node_fail(hop->node, error,
                              "place: stage '%s' runs with '%s', but '%s' before it with "
                              "'%s': only the way to the stage that counts steps may be cut",
                              hop->id, groups[hop->group].name, parent->id,
                              groups[parent->group].name);
    for (const LoomHop *above = parent; above; above = above->parent)
        if (above->group == hop->group)
            return loom_node_fail(hop->node, error,
                                  "place: stages of '%s' lie between '%s' and '%s' of '%s': a "
                                  "group is one piece, from the source on without a gap",
                                  groups[parent->group].name, above->id, hop->id,
                                  groups[hop->group].name);
    return TRUE;
}

/* A branch of the way goes with the stage that it leaves. */
static void branches_follow(LoomGraph *graph)
{
    for (guint i = 0; i < graph->hops->len; i++) {
        LoomHop *hop = graph->hops->pdata[i];

        if (!hop->group && hop->parent && hop->parent->group && !hop->toward && !hop->counts
            && hop->parent->toward && hop->parent->toward->group == hop->parent->group) {
            hop->group = hop->parent->group;
            hop->placed = hop->parent->placed;
        }
    }
}

gboolean loom_place_apply(const LoomPlace *place, LoomGraph *graph, GError **error)
{
    if (place->groups->len > 1 && !loom_graph_counter(graph))
        return loom_node_fail(graph->node, error,
                              "place: graph '%s' has no stage that counts steps, such as "
                              "adam_step: nothing tells which rank needs what",
                              graph->id);
    for (guint g = 1; g < place->groups->len; g++)
        if (!group_name(graph, &g_array_index(place->groups, LoomPlaceGroup, g), g, error))
            return FALSE;
    branches_follow(graph);
    for (guint i = 0; i < graph->hops->len; i++)
        if (!edge_check(place, graph->hops->pdata[i], error)
            || !cut_check(graph->hops->pdata[i], error))
            return FALSE;
    for (guint i = 0; i < graph->hops->len && place->size > 1; i++) {
        LoomHop *hop = graph->hops->pdata[i];
        const LoomHop *next = hop->toward;

        hop->here = hop->group == place->group;
        hop->leaves = hop->here && next && next->group != hop->group;
        hop->arrives = !hop->here && next && next->group == place->group;
    }
    return TRUE;
}
