/* suggest - the word that was probably meant.
 *
 * Distance: optimal string alignment, the smallest number of letters inserted, left out,
 * changed or swapped with their neighbour; upper and lower case of ASCII do not count. Source:
 * Damerau 1964; Oommen and Loke 1997 (the restricted form). */
#include "config/yaml.h"

#include <string.h>

#define MAX_WORD 64 /* longer ones are no typing mistakes, and the table is on the stack */

static guint word_distance(const char *a, const char *b)
{
    guint d[MAX_WORD + 1][MAX_WORD + 1];
    gsize n = strlen(a), m = strlen(b);

    for (gsize i = 0; i <= n; i++)
        d[i][0] = (guint)i;
    for (gsize j = 0; j <= m; j++)
        d[0][j] = (guint)j;
    for (gsize i = 1; i <= n; i++) {
        for (gsize j = 1; j <= m; j++) {
            char x = g_ascii_tolower(a[i - 1]), y = g_ascii_tolower(b[j - 1]);

            d[i][j] = MIN(MIN(d[i - 1][j], d[i][j - 1]) + 1, d[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == g_ascii_tolower(b[j - 2])
                && y == g_ascii_tolower(a[i - 2]))
                d[i][j] = MIN(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[n][m];
}

char *loom_did_you_mean(const char *word, const char *const *known)
{
    gsize length = strlen(word);
    guint best = MAX((guint)MIN(length, MAX_WORD) / 3, 1) + 1; /* must be beaten */
    const char *nearest = NULL;

    for (; length <= MAX_WORD && known && *known; known++) {
        guint distance;

        if (strlen(*known) > MAX_WORD)
            continue;
        distance = word_distance(word, *known);
        if (distance < best && distance < length) { /* some letter of the word is in it */
            best = distance;
            nearest = *known;
        }
    }
    return nearest ? g_strdup_printf(", did you mean '%s'?", nearest) : g_strdup("");
}
