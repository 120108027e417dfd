/* unet3d_place - offsets in one piece of memory by lifetime: the largest first, each as low as
 * those let it that are needed at the same time.
 * Source: Pisarchyk, Lee 2020 (greedy by size, for tensors of a network). */
#include "unet3d_place.h"

#include <stdlib.h>

#define ALIGNMENT 64

static int compare_places(gconstpointer a, gconstpointer b)
{
    const UnetPlace *p = *(UnetPlace *const *)a, *q = *(UnetPlace *const *)b;

    if (p->bytes != q->bytes)
        return p->bytes > q->bytes ? -1 : 1;
    if (p->first != q->first)
        return p->first < q->first ? -1 : 1;
    return p < q ? -1 : p > q;
}

static gboolean meet(const UnetPlace *p, const UnetPlace *q)
{
    return p->first <= q->last && q->first <= p->last;
}

/* The lowest offset where @place is clear of the @n in @laid, which lie already. */
static guint64 lowest(const UnetPlace *place, UnetPlace *const *laid, guint n)
{
    guint64 offset = 0;
    gboolean moved = TRUE;

    while (moved) {
        moved = FALSE;
        for (guint i = 0; i < n; i++)
            if (meet(place, laid[i]) && offset < laid[i]->offset + laid[i]->bytes
                && laid[i]->offset < offset + place->bytes) {
                offset = laid[i]->offset + laid[i]->bytes;
                moved = TRUE;
            }
    }
    return offset;
}

guint64 unet_places_lay(UnetPlace *places, guint n)
{
    UnetPlace *order[UNET_MAX_PLACES];
    guint64 end = 0;

    g_assert(n <= UNET_MAX_PLACES);
    for (guint i = 0; i < n; i++) {
        if (places[i].bytes > G_MAXINT64 / UNET_MAX_PLACES)
            return G_MAXUINT64;
        places[i].bytes = (places[i].bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        order[i] = &places[i];
    }
    qsort(order, n, sizeof *order, compare_places);
    for (guint i = 0; i < n; i++) {
        order[i]->offset = lowest(order[i], order, i);
        end = MAX(end, order[i]->offset + order[i]->bytes);
    }
    return end;
}
