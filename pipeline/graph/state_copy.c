/* state_copy - what a rank must hold to take part: the weights and moments of all models, their
 * hash, and the way they come from another rank. */
#include "ranks.h"

#include <loom/network.h>

typedef gboolean (*ArrayFunc)(const LoomInstance *backend, LoomArray *array, gint64 count,
                              gpointer data);

/* Every array of every model, in the order that all ranks have alike. */
static gboolean arrays_each(const LoomRun *run, ArrayFunc func, gpointer data)
{
    for (guint m = 0; m < run->models->len; m++) {
        const LoomInstance *instance = run->models->pdata[m];
        const LoomModel *model = (const LoomModel *)instance->plugin;
        const LoomInstance *backend = model->backend(instance->self);
        guint n;
        LoomWeight *weights = model->weights(instance->self, &n);

        for (guint i = 0; i < n; i++) {
            LoomArray *const arrays[] = {weights[i].value, weights[i].moment[0],
                                         weights[i].moment[1]};

            for (guint k = 0; k < G_N_ELEMENTS(arrays); k++)
                if (arrays[k] && !func(backend, arrays[k], weights[i].count, data))
                    return FALSE;
        }
    }
    return TRUE;
}

static const LoomBackend *device_of(const LoomInstance *backend)
{
    return (const LoomBackend *)backend->plugin;
}

static gboolean array_hash(const LoomInstance *backend, LoomArray *array, gint64 count,
                           gpointer data)
{
    g_autofree float *x = g_new(float, (gsize)count);

    device_of(backend)->array_read(backend->self, array, x);
    for (gint64 done = 0; done < count;) { /* g_checksum counts bytes in 31 bits on some */
        const gint64 part = MIN(count - done, 1 << 20);

        g_checksum_update(data, (const guchar *)(x + done), part * (gssize)sizeof *x);
        done += part;
    }
    return TRUE;
}

char *loom_state_hash(const LoomRun *run)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    arrays_each(run, array_hash, sum);
    return g_strdup(g_checksum_get_string(sum));
}

typedef struct {
    LoomRun *run;
    guint root;
    LoomFlow flow;
    GError **error;
} Copy;

static gboolean array_copy(const LoomInstance *backend, LoomArray *array, gint64 count,
                           gpointer data)
{
    Copy *copy = data;
    const LoomInstance *instance = copy->run->ranks->options.collective;
    const LoomCollective *collective = (const LoomCollective *)instance->plugin;
    g_autofree float *x = g_new(float, (gsize)count);

    device_of(backend)->array_read(backend->self, array, x);
    copy->flow = collective->broadcast(instance->self, x, count, copy->root, copy->error);
    if (copy->flow == LOOM_FLOW_OK)
        device_of(backend)->array_write(backend->self, array, x);
    return copy->flow == LOOM_FLOW_OK;
}

LoomFlow loom_state_broadcast(LoomRun *run, guint root, GError **error)
{
    Copy copy = {run, root, LOOM_FLOW_OK, error};

    arrays_each(run, array_copy, &copy);
    return copy.flow;
}
