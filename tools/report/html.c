/* html - pieces of a page: see html.h. */
#include "html.h"

#include <math.h>
#include <string.h>

void html_text(GString *page, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    for (const char *at = valid; at && *at; at = g_utf8_next_char(at)) {
        const gunichar letter = g_utf8_get_char(at);

        switch (letter) {
        case '&':
            g_string_append(page, "&amp;");
            break;
        case '<':
            g_string_append(page, "&lt;");
            break;
        case '>':
            g_string_append(page, "&gt;");
            break;
        case '"':
            g_string_append(page, "&quot;");
            break;
        case '\'':
            g_string_append(page, "&#39;");
            break;
        default:
            if ((letter < 0x20 && letter != '\n' && letter != '\t')
                || (letter >= 0x7f && letter < 0xa0))
                g_string_append(page, "\xef\xbf\xbd"); /* U+FFFD */
            else
                g_string_append_unichar(page, letter);
        }
    }
}

void html_element(GString *page, const char *name, const char *text)
{
    g_string_append_printf(page, "<%s>", name);
    html_text(page, text);
    g_string_append_printf(page, "</%.*s>", (int)strcspn(name, " "), name);
}

void html_number(GString *page, double value, int decimals)
{
    if (isfinite(value))
        g_string_append_printf(page, "<td class=\"n\">%.*f</td>", decimals, value);
    else
        g_string_append(page, "<td class=\"n\">–</td>");
}

void html_png(GString *page, const char *bytes, gsize length)
{
    g_autofree char *text = g_base64_encode((const guchar *)bytes, length);

    g_string_append_printf(page, "data:image/png;base64,%s", text);
}

/* ---- for people --------------------------------------------------------------------- */

char *html_seconds(double seconds)
{
    const gint64 s = isfinite(seconds) && seconds < 1e12 ? llround(MAX(seconds, 0)) : 0;

    if (!isfinite(seconds))
        return g_strdup("–");
    if (seconds > 0 && seconds < 0.099)
        return g_strdup_printf("%.2g\302\240ms", 1000 * seconds);
    if (seconds < 9.995)
        return g_strdup_printf("%.2f\302\240s", MAX(seconds, 0));
    if (s < 60)
        return g_strdup_printf("%d\302\240s", (int)s);
    if (s < 3600)
        return g_strdup_printf("%d\302\240min %d\302\240s", (int)(s / 60), (int)(s % 60));
    return g_strdup_printf("%" G_GINT64_FORMAT "\302\240h %d\302\240min", s / 3600,
                           (int)(s % 3600 / 60));
}

char *html_percent(double share)
{
    const double percent = 100 * share;

    if (!isfinite(percent))
        return g_strdup("–");
    if (percent != 0 && fabs(percent) < 0.01)
        return g_strdup("<\302\2400.01\302\240%");
    if (percent != 0 && fabs(percent) < 0.995)
        return g_strdup_printf("%.2g\302\240%%", percent);
    return g_strdup_printf(
        percent == 0 || fabs(percent) >= 9.95 ? "%.0f\302\240%%" : "%.1f\302\240%%", percent);
}

char *html_count(gint64 n)
{
    g_autofree char *digits = g_strdup_printf("%" G_GINT64_FORMAT, n);
    GString *text = g_string_new(NULL);
    const gsize length = strlen(digits);

    for (gsize i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0 && digits[i - 1] != '-')
            g_string_append(text, "\xe2\x80\xaf"); /* U+202F */
        g_string_append_c(text, digits[i]);
    }
    return g_string_free(text, FALSE);
}
