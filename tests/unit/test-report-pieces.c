/* The pieces of report.html: escaping, numbers for people, tables read back, curves. */
#include "loom_test.h"

#include "csv_table.h"
#include "html.h"
#include "plot.h"

#include <math.h>
#include <string.h>

/* ---- text --------------------------------------------------------------------------- */

static void assert_html(const char *text, const char *expected)
{
    g_autoptr(GString) page = g_string_new(NULL);

    html_text(page, text);
    g_assert_cmpstr(page->str, ==, expected);
}

static void test_escape(void)
{
    g_autoptr(GString) page = g_string_new(NULL);

    assert_html("Grünes <script>alert(\"1\" & '2')</script>",
                "Grünes &lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;");
    assert_html("a\tb\nc", "a\tb\nc");
    assert_html("\x01\x1b[31m\x7f\xc2\x85",
                "\xef\xbf\xbd\xef\xbf\xbd[31m\xef\xbf\xbd\xef\xbf\xbd");
    assert_html("\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"); /* no UTF-8 */
    assert_html(NULL, "");
    html_element(page, "th scope=\"row\"", "a<b");
    g_assert_cmpstr(page->str, ==, "<th scope=\"row\">a&lt;b</th>");
    g_string_truncate(page, 0);
    html_number(page, 0.98765, 3);
    html_number(page, NAN, 3);
    html_number(page, INFINITY, 3);
    g_assert_cmpstr(page->str, ==,
                    "<td class=\"n\">0.988</td><td class=\"n\">–</td><td class=\"n\">–</td>");
    g_string_truncate(page, 0);
    html_png(page, "\x89PNG", 4);
    g_assert_cmpstr(page->str, ==, "data:image/png;base64,iVBORw==");
}

/* @text may have blanks that do not break. */
static void assert_said(char *text, const char *expected)
{
    g_autofree char *mine = text;
    g_autoptr(GString) plain = g_string_new(mine);

    g_string_replace(plain, "\302\240", " ", 0);
    g_string_replace(plain, "\xe2\x80\xaf", " ", 0);
    g_assert_cmpstr(plain->str, ==, expected);
}

static void test_people(void)
{
    assert_said(html_seconds(0), "0.00 s");
    assert_said(html_seconds(0.00042), "0.42 ms");
    assert_said(html_seconds(0.42), "0.42 s");
    assert_said(html_seconds(9.996), "10 s");
    assert_said(html_seconds(59.6), "1 min 0 s");
    assert_said(html_seconds(185), "3 min 5 s");
    assert_said(html_seconds(7800), "2 h 10 min");
    assert_said(html_seconds(NAN), "–");
    assert_said(html_percent(0), "0 %");
    assert_said(html_percent(0.00001), "< 0.01 %");
    assert_said(html_percent(0.00064), "0.064 %");
    assert_said(html_percent(0.0312), "3.1 %");
    assert_said(html_percent(0.973), "97 %");
    assert_said(html_percent(NAN), "–");
    assert_said(html_count(7), "7");
    assert_said(html_count(1234567), "1 234 567");
    assert_said(html_count(-1234), "-1 234");
}

/* ---- tables ------------------------------------------------------------------------- */

static void test_table(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *path = g_build_filename(folder, "t.csv", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_true(g_file_set_contents(path,
                                      "step,\"dice/a, b\",loss\n1,\"0.5\",\n2,,nan?\n3,1\n"
                                      "4,0.25,\"say \"\"1\"\"\"\n5,0.1,0.", /* cut short */
                                      -1, NULL));
    g_autoptr(CsvTable) table = csv_table_read(path, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(table->rows->len, ==, 3);
    g_assert_cmpuint(table->cut, ==, 1);
    g_assert_cmpint(csv_table_column(table, "dice/a, b"), ==, 1);
    g_assert_cmpint(csv_table_column(table, "dice"), ==, -1);
    loom_assert_near(csv_table_number(table, 0, 1), 0.5, 0);
    g_assert_true(isnan(csv_table_number(table, 0, 2)));
    g_assert_true(isnan(csv_table_number(table, 1, 2)));
    g_assert_true(isnan(csv_table_number(table, 1, -1)));
    g_assert_cmpstr(((char **)table->rows->pdata[2])[2], ==, "say \"1\"");

    g_assert_true(g_file_set_contents(path, "step", -1, NULL));
    loom_assert_failed(csv_table_read(path, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "has no header");
    loom_test_folder_remove(folder);
}

/* ---- curves ------------------------------------------------------------------------- */

static void test_axes(void)
{
    loom_assert_near(plot_step(1, 5), 0.2, 1e-12);
    loom_assert_near(plot_step(120, 6), 20, 1e-9);
    loom_assert_near(plot_step(0.0021, 5), 0.0005, 1e-12);
    loom_assert_near(plot_step(999, 5), 200, 1e-9);
    g_assert_true(plot_log_wanted((const double[]){0.01, NAN, 1}, 3));
    g_assert_false(plot_log_wanted((const double[]){0.01, 0.2}, 2)); /* a factor of 20 */
    g_assert_false(plot_log_wanted((const double[]){0, 1}, 2));
    g_assert_false(plot_log_wanted((const double[]){NAN}, 1));
    g_assert_false(plot_log_wanted(NULL, 0));
}

/* Of 1000 values in 10 parts the one peak and the one dip stay, where they are. */
static void test_thin(void)
{
    double x[1000], y[1000], to_x[20], to_y[20];
    gboolean peak = FALSE, dip = FALSE;

    for (guint i = 0; i < 1000; i++) {
        x[i] = i;
        y[i] = i == 777 ? 9 : i == 123 ? -9 : 0;
    }
    const guint n = plot_thin(x, y, 1000, 10, to_x, to_y);
    g_assert_cmpuint(n, <=, 20);
    for (guint i = 0; i < n; i++) {
        peak = peak || (to_x[i] == 777 && to_y[i] == 9);
        dip = dip || (to_x[i] == 123 && to_y[i] == -9);
        g_assert_true(i == 0 || to_x[i] > to_x[i - 1]);
    }
    g_assert_true(peak && dip);
    y[0] = NAN; /* does not win against numbers */
    g_assert_cmpuint(plot_thin(x, y, 3, 1, to_x, to_y), ==, 1);
    g_assert_cmpfloat(to_y[0], ==, 0);
    g_assert_cmpuint(plot_thin(x, y, 0, 10, to_x, to_y), ==, 0);
}

static guint count_of(const char *text, const char *part)
{
    guint n = 0;

    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        n++;
    return n;
}

/* Values that are not there interrupt the line; nothing that is not finite is written. */
static void test_curve(void)
{
    const double x[] = {0, 10, 20, 30, 40}, y[] = {1, 0.5, NAN, INFINITY, 0.25};
    const PlotSeries series = {"a<b", x, y, 5, 1, PLOT_MARKED};
    const Plot plot = {
        .title = "Dice & more", .x_name = "step", .high = 1, .series = &series, .n = 1};
    g_autoptr(GString) page = g_string_new(NULL);

    plot_append(page, &plot);
    g_assert_nonnull(strstr(page->str, "d=\"M52.0 12.0L155.5 120.0M466.0 174.0\""));
    g_assert_cmpuint(count_of(page->str, "<circle"), ==, 3 + 1); /* and one in the legend */
    g_assert_null(strstr(page->str, "nan"));
    g_assert_null(strstr(page->str, "inf"));
    g_assert_nonnull(strstr(page->str, "a&lt;b"));
    g_assert_nonnull(strstr(page->str, "Dice &amp; more"));
    g_assert_null(strstr(page->str, "logarithmic"));
}

static void test_logarithm(void)
{
    const double x[] = {0, 1, 2}, y[] = {100, 1, 10}, flat[] = {3, 3, 3};
    const PlotSeries series = {"loss", x, y, 3, 0, PLOT_LINE},
                     constant = {"rate", x, flat, 3, 0, PLOT_LINE},
                     none = {"none", x, (const double[]){NAN, NAN, NAN}, 3, 0, PLOT_LINE};
    g_autoptr(GString) page = g_string_new(NULL);

    plot_append(page,
                &(Plot){.title = "t", .x_name = "x", .log = TRUE, .series = &series, .n = 1});
    g_assert_nonnull(strstr(page->str, "logarithmic"));
    g_assert_nonnull(strstr(page->str, ">100</text>"));
    /* 10 lies in the middle of 1 and 100: 12 + (270 - 12 - 42) / 2 */
    g_assert_nonnull(strstr(page->str, "L466.0 120.0\""));
    plot_append(page, &(Plot){.title = "t", .x_name = "x", .series = &constant, .n = 1});
    plot_append(page,
                &(Plot){.title = "t", .x_name = "x", .log = TRUE, .series = &none, .n = 1});
    plot_append(page, &(Plot){.title = "t", .x_name = "x", .series = NULL, .n = 0});
    g_assert_null(strstr(page->str, "nan"));
    g_assert_null(strstr(page->str, "inf"));
}

/* Beyond 2^53 a number does not grow by 1: the ticks come to an end all the same. */
static void test_huge(void)
{
    const double x[] = {1e17, 1e17 + 32}, y[] = {1e17, 1e17 + 64};
    const PlotSeries series = {NULL, x, y, 2, 0, PLOT_LINE};
    const Plot plot = {.title = "t", .x_name = "x", .x_low = 1e17, .series = &series, .n = 1};
    g_autoptr(GString) page = g_string_new(NULL);

    plot_append(page, &plot);
    g_assert_cmpuint(count_of(page->str, "<text"), <=, 1 + (6 + 1) + (5 + 1));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/html/escape", test_escape);
    g_test_add_func("/tools/html/people", test_people);
    g_test_add_func("/tools/csv_table/read", test_table);
    g_test_add_func("/tools/plot/axes", test_axes);
    g_test_add_func("/tools/plot/thin", test_thin);
    g_test_add_func("/tools/plot/curve", test_curve);
    g_test_add_func("/tools/plot/logarithm", test_logarithm);
    g_test_add_func("/tools/plot/huge", test_huge);
    return loom_test_run();
}
