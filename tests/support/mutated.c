/* mutated - see mutated.h. */
#include "mutated.h"

#include <string.h>

char *mutated(GRand *random, const char *seed)
{
    static const char likely[] = "0123456789,-[]=;:/. nX\x01\xff\xc3";
    GString *text = g_string_new(seed);

    for (gint n = g_rand_int_range(random, 1, 6); n > 0 && text->len > 0; n--) {
        const gsize at = (gsize)g_rand_int_range(random, 0, (gint32)text->len);
        const char letter = likely[g_rand_int_range(random, 0, (gint32)strlen(likely))];
        const gsize piece = (gsize)g_rand_int_range(random, 0, 20) % (strlen(seed) + 1);

        switch (g_rand_int_range(random, 0, 4)) {
        case 0:
            text->str[at] = letter;
            break;
        case 1:
            g_string_insert_c(text, (gssize)at, letter);
            break;
        case 2:
            g_string_erase(text, (gssize)at, 1);
            break;
        default:
            g_string_insert_len(text, (gssize)at, seed, (gssize)piece);
        }
    }
    return g_string_free(text, FALSE);
}
