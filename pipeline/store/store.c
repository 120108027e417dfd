/* store - named f32 tensors and a map of strings, in memory. */
#include <loom/store.h>

#include <string.h>

static void stored_tensor_free(gpointer data)
{
    LoomStoredTensor *tensor = data;

    g_free(tensor->name);
    g_free(tensor->data);
    g_free(tensor);
}

LoomStore *loom_store_new(void)
{
    LoomStore *store = g_new0(LoomStore, 1);

    store->tensors = g_ptr_array_new_with_free_func(stored_tensor_free);
    store->metadata = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return store;
}

void loom_store_free(LoomStore *store)
{
    if (!store)
        return;
    g_ptr_array_unref(store->tensors);
    g_hash_table_unref(store->metadata);
    g_free(store);
}

void loom_store_add(LoomStore *store, const char *name, guint rank, const gint64 *shape,
                    float *data)
{
    LoomStoredTensor *tensor = g_new0(LoomStoredTensor, 1);

    g_assert(rank <= G_N_ELEMENTS(tensor->shape) && !loom_store_find(store, name));
    g_assert(g_utf8_validate(name, -1, NULL));
    tensor->name = g_strdup(name);
    tensor->rank = rank;
    tensor->count = 1;
    for (guint i = 0; i < rank; i++) {
        g_assert(shape[i] > 0);
        tensor->shape[i] = shape[i];
        tensor->count *= shape[i];
    }
    tensor->data = data;
    g_ptr_array_add(store->tensors, tensor);
}

const LoomStoredTensor *loom_store_find(const LoomStore *store, const char *name)
{
    for (guint i = 0; i < store->tensors->len; i++) {
        const LoomStoredTensor *tensor = g_ptr_array_index(store->tensors, i);

        if (g_str_equal(tensor->name, name))
            return tensor;
    }
    return NULL;
}
