/* collective_world.h - the ranks of a collective in one process: an instance each, over a
 * transport of one process, and a thread each for what they do together. */
#pragma once

#include "loom_test.h"

#include <loom/network.h>

#define WORLD_MOST 9

typedef struct _World World;

typedef struct {
    World *world;
    guint rank, size; /* in the generation that was joined last */
    const LoomCollective *plugin;
    LoomInstance *transport, *instance;
    gpointer self;
    gconstpointer data; /* of world_run */
} WorldRank;

struct _World {
    guint size;
    guint64 generation;
    char *addresses[WORLD_MOST], *hosts[WORLD_MOST];
    WorldRank ranks[WORLD_MOST];
};

/* @collective, @transport: YAML.  @per_host: so many ranks on each host.  Nobody joined yet. */
World *world_new(const char *collective, const char *transport, guint size, guint per_host);
void world_free(World *world);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)
/* Rank @rank joins a generation of the first @size ranks. */
void world_join_one(World *world, guint rank, guint64 generation, guint size);
void world_join(World *world, guint64 generation, guint size);
/* @body on each of the first @size ranks, in a thread each; waits for all. */
void world_run(World *world, guint size, void (*body)(WorldRank *rank), gconstpointer data);

/* The same on the rank's collective; they must succeed. */
float *rank_buffer(const WorldRank *rank, gint64 count);
void rank_buffer_free(const WorldRank *rank, float *buffer);
void rank_sum(const WorldRank *rank, float *buffer, gint64 count);
GPtrArray *rank_gather(const WorldRank *rank, const char *text, gsize size);

/* A number of rank @rank whose sums depend on their order. */
float world_value(guint rank, guint64 round, gint64 i);
/* The sum of them over @size ranks in the order that the collective documents. */
float world_sum(const char *collective, guint size, guint64 round, gint64 count, gint64 i);
void rank_fill(const WorldRank *rank, float *buffer, guint64 round, gint64 count);
void rank_check(const WorldRank *rank, const float *buffer, guint64 round, gint64 count);
