/* host_array - weights in plain host memory, and the optimisers that move them. */
#include <loom/host.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

LoomArray *loom_host_array_new(G_GNUC_UNUSED gpointer self, gint64 count, GError **error)
{
    float *floats = loom_host_floats(count, "an array", error);
    LoomArray *array;

    if (!floats)
        return NULL;
    array = g_new(LoomArray, 1);
    *array = (LoomArray){floats, count};
    return array;
}

void loom_host_array_free(G_GNUC_UNUSED gpointer self, LoomArray *array)
{
    if (!array)
        return;
    free(array->data);
    g_free(array);
}

void loom_host_array_write(G_GNUC_UNUSED gpointer self, LoomArray *array, const float *from)
{
    memcpy(array->data, from, (gsize)array->count * sizeof *from);
}

void loom_host_array_read(G_GNUC_UNUSED gpointer self, const LoomArray *array, float *to)
{
    memcpy(to, array->data, (gsize)array->count * sizeof *to);
}

void loom_host_array_zero(G_GNUC_UNUSED gpointer self, LoomArray *array)
{
    memset(array->data, 0, (gsize)array->count * sizeof *array->data);
}

double loom_host_array_norm2(G_GNUC_UNUSED gpointer self, const LoomArray *array)
{
    double sum = 0.0;

    for (gint64 i = 0; i < array->count; i++)
        sum += (double)array->data[i] * (double)array->data[i];
    return sum;
}

void loom_host_sgd(G_GNUC_UNUSED gpointer self, const LoomSgdUpdate *update, LoomArray *value,
                   const LoomArray *grad, LoomArray *velocity)
{
    const float rate = (float)update->rate, momentum = (float)update->momentum;
    const float scale = (float)update->scale, decay = (float)update->decay;
    const float *dw = grad->data;
    float *restrict w = value->data, *restrict v = velocity->data;

    g_assert(grad->count == value->count && velocity->count == value->count);
    for (gint64 i = 0; i < value->count; i++) {
        const float g = scale * dw[i] + decay * w[i];

        v[i] = momentum * v[i] + g;
        w[i] -= rate * (update->nesterov ? g + momentum * v[i] : v[i]);
    }
}

void loom_host_adam(G_GNUC_UNUSED gpointer self, const LoomAdamUpdate *update, LoomArray *value,
                    const LoomArray *grad, LoomArray *mean, LoomArray *square)
{
    const double step = (double)update->step;
    const float beta1 = (float)update->beta1, beta2 = (float)update->beta2;
    const float rest1 = (float)(1.0 - update->beta1), rest2 = (float)(1.0 - update->beta2);
    const float keep = (float)(1.0 - update->rate * update->decay);
    const float scale = (float)update->scale, epsilon = (float)update->epsilon;
    const float rate = (float)(update->rate / (1.0 - pow(update->beta1, step)));
    const float root = (float)(1.0 / sqrt(1.0 - pow(update->beta2, step)));
    const float *dw = grad->data;
    float *restrict w = value->data, *restrict m = mean->data, *restrict s = square->data;

    g_assert(grad->count == value->count && mean->count == value->count);
    g_assert(square->count == value->count && update->step >= 1);
    for (gint64 i = 0; i < value->count; i++) {
        const float g = scale * dw[i];

        m[i] = beta1 * m[i] + rest1 * g;
        s[i] = beta2 * s[i] + rest2 * g * g;
        w[i] = keep * w[i] - rate * m[i] / (root * sqrtf(s[i]) + epsilon);
    }
}
