/* cpu_array - weights, and the optimisers that move them, by all threads. */
#include "cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PORTION 65536 /* numbers that one thread takes at a time */

static void array_touch(gpointer self, LoomArray *array)
{
    array->version = __atomic_add_fetch(&((Cpu *)self)->version, 1, __ATOMIC_RELAXED);
}

LoomArray *array_new(gpointer self, gint64 count, GError **error)
{
    float *floats = memory_new(count, "an array", error);
    LoomArray *array;

    if (!floats)
        return NULL;
    array = g_new(LoomArray, 1);
    *array = (LoomArray){.data = floats, .count = count};
    array_touch(self, array);
    return array;
}

void array_free(G_GNUC_UNUSED gpointer self, LoomArray *array)
{
    if (!array)
        return;
    free(array->data);
    g_free(array);
}

void array_write(gpointer self, LoomArray *array, const float *from)
{
    memcpy(array->data, from, (gsize)array->count * sizeof *from);
    array_touch(self, array);
}

void array_read(G_GNUC_UNUSED gpointer self, const LoomArray *array, float *to)
{
    memcpy(to, array->data, (gsize)array->count * sizeof *to);
}

void array_zero(gpointer self, LoomArray *array)
{
    memset(array->data, 0, (gsize)array->count * sizeof *array->data);
    array_touch(self, array);
}

double array_norm2(G_GNUC_UNUSED gpointer self, const LoomArray *array)
{
    double sum[8] = {0}, total = 0.0; /* eight at once are one vector */
    gint64 i = 0;

    for (; i + 8 <= array->count; i += 8)
        for (gint64 k = 0; k < 8; k++)
            sum[k] += (double)array->data[i + k] * (double)array->data[i + k];
    for (; i < array->count; i++)
        total += (double)array->data[i] * (double)array->data[i];
    for (gint64 k = 0; k < 8; k++)
        total += sum[k];
    return total;
}

/* ---- optimisers ----------------------------------------------------------------------- */

typedef struct {
    const CpuKernels *kernels;
    const double *update;
    gint64 count;
    float *value, *moment[2];
    const float *grad;
} Update;

static void update_portion(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Update *u = data;
    const gint64 at = i * PORTION, count = MIN(PORTION, u->count - at);

    if (u->moment[1])
        u->kernels->adam(u->update, count, u->value + at, u->grad + at, u->moment[0] + at,
                         u->moment[1] + at);
    else
        u->kernels->sgd(u->update, count, u->value + at, u->grad + at, u->moment[0] + at);
}

static void update_all(Cpu *cpu, Update *update, LoomArray *value)
{
    update->kernels = cpu->kernels;
    update->count = value->count;
    update->value = value->data;
    loom_pool_run(cpu->pool, (value->count + PORTION - 1) / PORTION, update_portion, update);
    array_touch(cpu, value);
}

void array_sgd(gpointer self, const LoomSgdUpdate *update, LoomArray *value,
               const LoomArray *grad, LoomArray *velocity)
{
    const double numbers[] = {update->rate, update->momentum, update->decay, update->scale,
                              update->nesterov ? 1.0 : 0.0};
    Update all = {.update = numbers, .grad = grad->data, .moment = {velocity->data, NULL}};

    g_assert(grad->count == value->count && velocity->count == value->count);
    update_all(self, &all, value);
}

void array_adam(gpointer self, const LoomAdamUpdate *update, LoomArray *value,
                const LoomArray *grad, LoomArray *mean, LoomArray *square)
{
    const double step = (double)update->step;
    const double numbers[] = {1.0 - update->rate * update->decay,
                              update->beta1,
                              1.0 - update->beta1,
                              update->beta2,
                              1.0 - update->beta2,
                              update->rate / (1.0 - pow(update->beta1, step)),
                              1.0 / sqrt(1.0 - pow(update->beta2, step)),
                              update->epsilon,
                              update->scale};
    Update all = {.update = numbers, .grad = grad->data, .moment = {mean->data, square->data}};

    g_assert(grad->count == value->count && mean->count == value->count);
    g_assert(square->count == value->count && update->step >= 1);
    update_all(self, &all, value);
}
