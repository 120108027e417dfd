/* collective_world - see collective_world.h. */
#include "collective_world.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

World *world_new(const char *collective, const char *transport, guint size, guint per_host)
{
    static guint worlds;
    World *world = g_new0(World, 1);
    GError *error = NULL;

    g_assert_cmpuint(size, <=, WORLD_MOST);
    worlds++;
    world->size = size;
    for (guint i = 0; i < size; i++) {
        WorldRank *rank = &world->ranks[i];
        g_autofree char *address = g_strdup_printf("loopback://world-%u-%u", worlds, i);

        rank->world = world;
        rank->rank = i;
        rank->transport = loom_test_instance(LOOM_KIND_TRANSPORT, transport, NULL, NULL);
        rank->instance = loom_test_instance(LOOM_KIND_COLLECTIVE, collective, NULL, NULL);
        rank->plugin = (const LoomCollective *)rank->instance->plugin;
        rank->self = rank->instance->self;
        rank->plugin->listen(rank->self, rank->transport, address, &error);
        g_assert_no_error(error);
        world->addresses[i] = g_strdup(rank->plugin->address(rank->self));
        world->hosts[i] = g_strdup_printf("host-%u", i / per_host);
    }
    return world;
}

void world_free(World *world)
{
    for (guint i = 0; i < world->size; i++) {
        loom_instance_free(world->ranks[i].instance);
        loom_instance_free(world->ranks[i].transport);
        g_free(world->addresses[i]);
        g_free(world->hosts[i]);
    }
    g_free(world);
}

void world_join_one(World *world, guint rank, guint64 generation, guint size)
{
    const char *keys[WORLD_MOST] = {NULL};
    const LoomGroup group = {generation, rank,
                             size,       (const char *const *)world->addresses,
                             keys,       (const char *const *)world->hosts};
    WorldRank *one = &world->ranks[rank];
    GError *error = NULL;

    one->plugin->join(one->self, &group, &error);
    g_assert_no_error(error);
    one->size = size;
}

void world_join(World *world, guint64 generation, guint size)
{
    for (guint i = 0; i < size; i++)
        world_join_one(world, i, generation, size);
}

typedef struct {
    WorldRank *rank;
    void (*body)(WorldRank *rank);
} Work;

static void *work(void *data)
{
    const Work *it = data;

    it->body(it->rank);
    return NULL;
}

void world_run(World *world, guint size, void (*body)(WorldRank *rank), gconstpointer data)
{
    pthread_t threads[WORLD_MOST];
    Work works[WORLD_MOST];

    for (guint i = 0; i < size; i++) {
        world->ranks[i].data = data;
        works[i] = (Work){&world->ranks[i], body};
        g_assert_cmpint(pthread_create(&threads[i], NULL, work, &works[i]), ==, 0);
    }
    for (guint i = 0; i < size; i++)
        pthread_join(threads[i], NULL);
}

/* ---- calls -------------------------------------------------------------------------- */

float *rank_buffer(const WorldRank *rank, gint64 count)
{
    GError *error = NULL;
    float *buffer = rank->plugin->buffer_new(rank->self, count, &error);

    g_assert_no_error(error);
    g_assert_cmpuint((guintptr)buffer % 64, ==, 0);
    for (gint64 i = 0; i < count; i++)
        g_assert_true(buffer[i] == 0);
    return buffer;
}

void rank_buffer_free(const WorldRank *rank, float *buffer)
{
    rank->plugin->buffer_free(rank->self, buffer);
}

void rank_sum(const WorldRank *rank, float *buffer, gint64 count)
{
    GError *error = NULL;

    rank->plugin->sum_start(rank->self, buffer, count, &error);
    g_assert_no_error(error);
    const LoomFlow flow = rank->plugin->sum_wait(rank->self, &error);
    g_assert_no_error(error);
    g_assert_cmpint(flow, ==, LOOM_FLOW_OK);
}

GPtrArray *rank_gather(const WorldRank *rank, const char *text, gsize size)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    g_autoptr(GBytes) mine = g_bytes_new(text, size);
    GError *error = NULL;
    const LoomFlow flow = rank->plugin->gather(rank->self, mine, all, &error);

    g_assert_no_error(error);
    g_assert_cmpint(flow, ==, LOOM_FLOW_OK);
    g_assert_cmpuint(all->len, ==, rank->size);
    return all;
}

/* ---- numbers ------------------------------------------------------------------------ */

/* Magnitudes from 2^-20 to 2^19 and both signs: every order of adding rounds another way. */
float world_value(guint rank, guint64 round, gint64 i)
{
    guint64 x = (guint64)i * 0x9e3779b97f4a7c15u + round * 0xbf58476d1ce4e5b9u + rank;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    x ^= x >> 31;
    const float fraction = 1 + (float)(x & 0x7fffff) * 0x1p-23f;
    return ldexpf(x >> 63 ? -fraction : fraction, (int)(x >> 40 & 63) % 40 - 20);
}

/* Where part @i of @size begins, as mesh.h documents it. */
static gint64 bound(gint64 count, guint size, guint i)
{
    return i == size ? count : (count / size * i + count % size * i / size) / 16 * 16;
}

float world_sum(const char *collective, guint size, guint64 round, gint64 count, gint64 i)
{
    guint first = 0;
    float sum;

    if (g_str_equal(collective, "ring"))
        while (bound(count, size, first + 1) <= i) /* part s begins its way at rank s */
            first++;
    else
        g_assert_cmpstr(collective, ==, "direct"); /* another one documents its order here */
    sum = world_value(first, round, i);
    for (guint k = 1; k < size; k++)
        sum += world_value((first + k) % size, round, i);
    return sum;
}

void rank_fill(const WorldRank *rank, float *buffer, guint64 round, gint64 count)
{
    for (gint64 i = 0; i < count; i++)
        buffer[i] = world_value(rank->rank, round, i);
}

void rank_check(const WorldRank *rank, const float *buffer, guint64 round, gint64 count)
{
    const char *name = rank->plugin->base.name;

    for (gint64 i = 0; i < count; i++) {
        const float wanted = world_sum(name, rank->size, round, count, i);

        if (memcmp(&buffer[i], &wanted, sizeof wanted) != 0)
            g_error("rank %u of %u, float %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                    ": %.9g, want %.9g",
                    rank->rank, rank->size, i, count, (double)buffer[i], (double)wanted);
    }
}
