/* overlay_cases - the cases of one validation: see overlay_cases.h. */
#include "overlay_cases.h"

#include <string.h>

#define CASES_TYPE "a(xsdaxsxay)" /* number, id, Dice, counts, plane, slice, PNG */

static void shown_free(gpointer data)
{
    OverlayShown *shown = data;

    g_free(shown->id);
    g_free(shown->plane);
    g_free(shown->score);
    overlay_slice_free(shown->cut);
    g_free(shown->file);
    g_clear_pointer(&shown->png, g_bytes_unref);
    g_free(shown);
}

void overlay_cases_init(OverlayCases *cases, guint most)
{
    cases->most = most;
    cases->all = g_ptr_array_new_with_free_func(shown_free);
    cases->drawn = g_ptr_array_new();
}

void overlay_cases_clear(OverlayCases *cases)
{
    g_clear_pointer(&cases->drawn, g_ptr_array_unref);
    g_clear_pointer(&cases->all, g_ptr_array_unref);
}

void overlay_cases_reset(OverlayCases *cases)
{
    g_ptr_array_set_size(cases->drawn, 0);
    g_ptr_array_set_size(cases->all, 0);
}

/* ---- worst and best ----------------------------------------------------------------- */

static gint shown_compare(gconstpointer a, gconstpointer b)
{
    const OverlayShown *x = *(const OverlayShown *const *)a,
                       *y = *(const OverlayShown *const *)b;

    return x->dice != y->dice ? (x->dice < y->dice ? -1 : 1)
                              : (x->number > y->number) - (x->number < y->number);
}

static gint numbers_compare(gconstpointer a, gconstpointer b)
{
    const OverlayShown *x = *(const OverlayShown *const *)a,
                       *y = *(const OverlayShown *const *)b;

    return (x->number > y->number) - (x->number < y->number);
}

/* Into the worst half and the best half of those seen so far: what falls out stands between
 * them. */
static gboolean shown_rank(OverlayCases *cases, OverlayShown *shown)
{
    g_ptr_array_add(cases->drawn, shown);
    g_ptr_array_sort(cases->drawn, shown_compare);
    if (cases->drawn->len <= cases->most)
        return TRUE;
    OverlayShown *out = g_ptr_array_remove_index(cases->drawn, (cases->most + 1) / 2);
    g_clear_pointer(&out->png, g_bytes_unref);
    g_clear_pointer(&out->cut, overlay_slice_free);
    return out != shown;
}

gboolean overlay_cases_add(OverlayCases *cases, OverlayShown *shown)
{
    g_ptr_array_add(cases->all, shown);
    return shown_rank(cases, shown);
}

/* ---- of all ranks ------------------------------------------------------------------- */

GBytes *overlay_cases_pack(const OverlayCases *cases)
{
    g_autoptr(GVariantBuilder) builder = g_variant_builder_new(G_VARIANT_TYPE(CASES_TYPE));

    for (guint i = 0; i < cases->all->len; i++) {
        const OverlayShown *shown = cases->all->pdata[i];
        gsize length = 0;
        gconstpointer png = shown->png ? g_bytes_get_data(shown->png, &length) : "";

        g_variant_builder_add(builder, "(xsd@axsx@ay)", shown->number, shown->id, shown->dice,
                              g_variant_new_fixed_array(G_VARIANT_TYPE_INT64, shown->counts,
                                                        G_N_ELEMENTS(shown->counts),
                                                        sizeof *shown->counts),
                              shown->plane ? shown->plane : "", shown->slice,
                              g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, png, length, 1));
    }
    g_autoptr(GVariant) packed = g_variant_ref_sink(g_variant_builder_end(builder));
    return g_variant_get_data_as_bytes(packed);
}

static gboolean cases_unpack(OverlayCases *cases, GBytes *bytes, GError **error)
{
    g_autoptr(GVariant) packed =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(CASES_TYPE), bytes, FALSE));
    GVariantIter iter;
    GVariant *counts, *png;
    OverlayShown one = {0};

    g_variant_iter_init(&iter, packed);
    while (g_variant_iter_next(&iter, "(xsd@axsx@ay)", &one.number, &one.id, &one.dice, &counts,
                               &one.plane, &one.slice, &png)) {
        OverlayShown *shown = g_memdup2(&one, sizeof one);
        gsize n = 0, length = 0;
        const gint64 *values = g_variant_get_fixed_array(counts, &n, sizeof *values);
        gconstpointer picture = g_variant_get_fixed_array(png, &length, 1);

        if (n == G_N_ELEMENTS(shown->counts))
            memcpy(shown->counts, values, sizeof shown->counts);
        shown->png = length ? g_bytes_new(picture, length) : NULL;
        g_variant_unref(counts);
        g_variant_unref(png);
        g_ptr_array_add(cases->all, shown);
        if (n != G_N_ELEMENTS(shown->counts))
            return loom_fail(error, LOOM_ERROR_FORMAT,
                             "another rank counted %zu classes of '%s', this one %zu", n,
                             shown->id, G_N_ELEMENTS(shown->counts));
    }
    return TRUE;
}

gboolean overlay_cases_unite(OverlayCases *cases, const GPtrArray *all, GError **error)
{
    overlay_cases_reset(cases);
    for (guint r = 0; r < all->len; r++)
        if (!cases_unpack(cases, all->pdata[r], error))
            return FALSE;
    g_ptr_array_sort(cases->all, numbers_compare);
    for (guint i = 0; i < cases->all->len; i++)
        if (((OverlayShown *)cases->all->pdata[i])->png)
            shown_rank(cases, cases->all->pdata[i]);
    return TRUE;
}
