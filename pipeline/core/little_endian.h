/* little_endian.h - GVariants whose bytes are the same on every machine. */
#pragma once

#include <glib.h>

/* From this machine's order of bytes to little-endian, or back.
 * @variant: (transfer full).  Returns: (transfer full). */
static inline GVariant *loom_little_endian(GVariant *variant)
{
#if G_BYTE_ORDER == G_BIG_ENDIAN
    GVariant *swapped = g_variant_byteswap(variant);

    g_variant_unref(variant);
    return swapped;
#else
    return variant;
#endif
}
