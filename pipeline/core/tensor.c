/* tensor - contiguous, refcounted arrays with named axes; memory is aligned for vector loads.
 */
#include "tensor.h"

#include "packet.h"

#include <stdlib.h>
#include <string.h>

#define TENSOR_ALIGNMENT 64 /* a cache line, and the widest vector of AVX-512 */

struct _LoomTensor {
    gint refs;
    LoomDtype dtype;
    char axes[LOOM_MAX_RANK + 1];
    gint64 shape[LOOM_MAX_RANK];
    gint64 count;
    gpointer data;
    GDestroyNotify release; /* of foreign memory, which nobody writes; NULL: our own */
    gpointer owner;
};

static gint tensors_alive; /* atomic */

gsize loom_dtype_bytes(LoomDtype dtype)
{
    switch (dtype) {
    case LOOM_F32:
        return sizeof(float);
    case LOOM_U8:
        return sizeof(guint8);
    case LOOM_F64:
        return sizeof(double);
    case LOOM_ANY:
        break;
    }
    g_assert_not_reached();
}

static const char *dtype_name(LoomDtype dtype)
{
    return dtype == LOOM_F32   ? "f32"
           : dtype == LOOM_U8  ? "u8"
           : dtype == LOOM_F64 ? "f64"
                               : "?";
}

gboolean loom_tensor_measure(LoomDtype dtype, const char *axes, const gint64 *shape,
                             gsize *bytes, GError **error)
{
    const gsize rank = strlen(axes);

    g_assert(rank <= LOOM_MAX_RANK);
    *bytes = loom_dtype_bytes(dtype);
    for (gsize i = 0; i < rank; i++) {
        if (shape[i] < 1)
            return loom_fail(error, LOOM_ERROR_SHAPE,
                             "size %" G_GINT64_FORMAT " along %c, want at least 1", shape[i],
                             axes[i]);
        if (!g_size_checked_mul(bytes, *bytes, (gsize)shape[i]) || *bytes > G_MAXSSIZE / 2)
            return loom_fail(error, LOOM_ERROR_LIMIT,
                             "the product of the sizes along %s overflows", axes);
    }
    return TRUE;
}

/* All but the memory. */
static LoomTensor *tensor_begin(LoomDtype dtype, const char *axes, const gint64 *shape,
                                gsize bytes)
{
    const gsize rank = strlen(axes);
    LoomTensor *tensor = g_new0(LoomTensor, 1);

    tensor->refs = 1;
    tensor->dtype = dtype;
    memcpy(tensor->axes, axes, rank);
    if (rank)
        memcpy(tensor->shape, shape, rank * sizeof *shape);
    tensor->count = (gint64)(bytes / loom_dtype_bytes(dtype));
    g_atomic_int_inc(&tensors_alive);
    return tensor;
}

LoomTensor *loom_tensor_new(LoomDtype dtype, const char *axes, const gint64 *shape,
                            GError **error)
{
    gsize bytes;
    LoomTensor *tensor;

    if (!loom_tensor_measure(dtype, axes, shape, &bytes, error))
        return NULL;
    tensor = tensor_begin(dtype, axes, shape, bytes);
    bytes = (bytes + TENSOR_ALIGNMENT - 1) / TENSOR_ALIGNMENT * TENSOR_ALIGNMENT;
    tensor->data = aligned_alloc(TENSOR_ALIGNMENT, bytes);
    if (!tensor->data) {
        loom_tensor_unref(tensor);
        return loom_fail_null(
            error, LOOM_ERROR_LIMIT,
            "%" G_GSIZE_FORMAT " MiB of memory for one tensor are not to be had", bytes >> 20);
    }
    memset(tensor->data, 0, bytes);
    return tensor;
}

LoomTensor *loom_tensor_new_over(LoomDtype dtype, const char *axes, const gint64 *shape,
                                 const void *data, GDestroyNotify release, gpointer owner,
                                 GError **error)
{
    gsize bytes;
    LoomTensor *tensor;

    g_assert(release && (guintptr)data % loom_dtype_bytes(dtype) == 0);
    if (!loom_tensor_measure(dtype, axes, shape, &bytes, error))
        return NULL;
    tensor = tensor_begin(dtype, axes, shape, bytes);
    memcpy(&tensor->data, &data, sizeof data); /* const goes; loom_tensor_shared guards it */
    tensor->release = release;
    tensor->owner = owner;
    return tensor;
}

/* Nothing is released, but who asks is told that it may not be written. */
static void sketch_release(G_GNUC_UNUSED gpointer owner)
{
}

LoomTensor *loom_tensor_sketch(LoomDtype dtype, const char *axes, const gint64 *shape,
                               GError **error)
{
    return loom_tensor_new_over(dtype, axes, shape, NULL, sketch_release, NULL, error);
}

LoomTensor *loom_tensor_new_like(const LoomTensor *like, GError **error)
{
    return loom_tensor_new(like->dtype, like->axes, like->shape, error);
}

LoomTensor *loom_tensor_new_scalar(double value)
{
    LoomTensor *tensor = loom_tensor_new(LOOM_F64, "", NULL, NULL);

    g_assert(tensor); /* 64 bytes */
    *(double *)tensor->data = value;
    return tensor;
}

LoomTensor *loom_tensor_copy(const LoomTensor *from, GError **error)
{
    LoomTensor *copy = loom_tensor_new_like(from, error);

    if (copy)
        memcpy(copy->data, from->data, loom_tensor_bytes(from));
    return copy;
}

LoomTensor *loom_tensor_ref(LoomTensor *tensor)
{
    g_atomic_int_inc(&tensor->refs);
    return tensor;
}

void loom_tensor_unref(LoomTensor *tensor)
{
    if (!tensor || !g_atomic_int_dec_and_test(&tensor->refs))
        return;
    if (tensor->release)
        tensor->release(tensor->owner);
    else
        free(tensor->data);
    g_free(tensor);
    g_atomic_int_add(&tensors_alive, -1);
}

LoomDtype loom_tensor_dtype(const LoomTensor *tensor)
{
    return tensor->dtype;
}

const char *loom_tensor_axes(const LoomTensor *tensor)
{
    return tensor->axes;
}

guint loom_tensor_rank(const LoomTensor *tensor)
{
    return (guint)strlen(tensor->axes);
}

const gint64 *loom_tensor_shape(const LoomTensor *tensor)
{
    return tensor->shape;
}

gint64 loom_tensor_size(const LoomTensor *tensor, char axis)
{
    const char *at = axis ? strchr(tensor->axes, axis) : NULL;

    return at ? tensor->shape[at - tensor->axes] : 1;
}

gint64 loom_tensor_count(const LoomTensor *tensor)
{
    return tensor->count;
}

gint64 loom_tensor_count_from(const LoomTensor *tensor, char axis)
{
    const char *at = strchr(tensor->axes, axis);
    gint64 count = 1;

    g_assert(at && *at);
    for (gsize i = (gsize)(at - tensor->axes); tensor->axes[i]; i++)
        count *= tensor->shape[i];
    return count;
}

gsize loom_tensor_bytes(const LoomTensor *tensor)
{
    return (gsize)tensor->count * loom_dtype_bytes(tensor->dtype);
}

const float *loom_tensor_f32(const LoomTensor *tensor)
{
    g_assert(tensor->dtype == LOOM_F32);
    return tensor->data;
}

const guint8 *loom_tensor_u8(const LoomTensor *tensor)
{
    g_assert(tensor->dtype == LOOM_U8);
    return tensor->data;
}

double loom_tensor_scalar(const LoomTensor *tensor)
{
    g_assert(tensor->dtype == LOOM_F64 && tensor->count == 1);
    return *(const double *)tensor->data;
}

float *loom_tensor_f32_mut(LoomTensor *tensor)
{
    g_assert(tensor->dtype == LOOM_F32 && !loom_tensor_shared(tensor));
    return tensor->data;
}

guint8 *loom_tensor_u8_mut(LoomTensor *tensor)
{
    g_assert(tensor->dtype == LOOM_U8 && !loom_tensor_shared(tensor));
    return tensor->data;
}

const void *loom_tensor_memory(const LoomTensor *tensor)
{
    return tensor->data;
}

void *loom_tensor_memory_mut(LoomTensor *tensor)
{
    g_assert(!loom_tensor_shared(tensor));
    return tensor->data;
}

gboolean loom_tensor_shared(LoomTensor *tensor)
{
    return tensor->release || g_atomic_int_get(&tensor->refs) != 1;
}

char *loom_tensor_describe(const LoomTensor *tensor)
{
    GString *text = g_string_new(dtype_name(tensor->dtype));
    const guint rank = loom_tensor_rank(tensor);

    if (!rank)
        g_string_append(text, " scalar");
    for (guint i = 0; i < rank; i++)
        g_string_append_printf(text, "%s%c", i ? "," : " (", tensor->axes[i]);
    for (guint i = 0; i < rank; i++)
        g_string_append_printf(text, "%s%" G_GINT64_FORMAT, i ? "," : ") = (",
                               tensor->shape[i]);
    if (rank)
        g_string_append_c(text, ')');
    return g_string_free(text, FALSE);
}

gboolean loom_tensor_check(const LoomTensor *tensor, LoomDtype dtype, const char *axes,
                           const char *what, GError **error)
{
    g_autofree char *found = NULL;
    g_autoptr(GString) wanted = NULL;

    if ((dtype == LOOM_ANY || tensor->dtype == dtype) && g_str_equal(tensor->axes, axes))
        return TRUE;
    found = loom_tensor_describe(tensor);
    wanted = g_string_new(NULL);
    for (const char *axis = axes; *axis; axis++)
        g_string_append_printf(wanted, "%s%c", axis == axes ? "" : ",", *axis);
    return loom_fail(error, LOOM_ERROR_SHAPE, "'%s' is %s, want %s (%s)", what, found,
                     dtype == LOOM_ANY ? "any type" : dtype_name(dtype), wanted->str);
}

gboolean loom_tensor_check_grid(const LoomTensor *a, const char *a_name, const LoomTensor *b,
                                const char *b_name, GError **error)
{
    g_autofree char *a_text = NULL, *b_text = NULL;

    if (loom_tensor_size(a, 'D') == loom_tensor_size(b, 'D')
        && loom_tensor_size(a, 'H') == loom_tensor_size(b, 'H')
        && loom_tensor_size(a, 'W') == loom_tensor_size(b, 'W'))
        return TRUE;
    a_text = loom_tensor_describe(a);
    b_text = loom_tensor_describe(b);
    return loom_fail(error, LOOM_ERROR_SHAPE, "'%s' is %s but '%s' is %s: D, H, W must agree",
                     a_name, a_text, b_name, b_text);
}

gint loom_tensor_alive(void)
{
    return g_atomic_int_get(&tensors_alive);
}
