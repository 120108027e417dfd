/* study_report - the scores of a study as a table for people, CSV and JSON.  The table has the
 * four readings that show the balance; CSV and JSON have all that the metrics gave. */
#include "study_report.h"

#include "csv_table.h"

#include <json-glib/json-glib.h>
#include <math.h>
#include <string.h>

static const char *const shown[] = {"dice", "iou", "precision", "recall"};

static const char method[] =
    "Means over the cases in which a value is defined, [2.5 %, 97.5 %] of 10,000 bootstrap "
    "samples of the cases; a case's value is its mean over the seeds.  p: Wilcoxon's "
    "signed-rank test over the cases, two-sided, zeros dropped, exact up to 25 pairs without "
    "zeros and ties, else normal with corrections for ties and continuity; Holm's correction "
    "over all losses and classes of a reading.";

/* ---- for people --------------------------------------------------------------------- */

/* ".42", or "1.0", so that an interval takes little room. */
static void short_append(GString *text, double value)
{
    char number[32];

    if (isnan(value)) {
        g_string_append(text, " - ");
        return;
    }
    g_snprintf(number, sizeof number, "%.2f", value);
    if (g_str_has_prefix(number, "0."))
        g_string_append(text, number + 1);
    else
        g_string_append_printf(text, "%.1f", value);
}

/* "0.412 [.33 .49]" */
static void mean_append(GString *text, const StudyCell *cell)
{
    if (isnan(cell->mean)) {
        g_string_append_printf(text, "  %-15s", "  -");
        return;
    }
    g_string_append_printf(text, "  %5.3f [", cell->mean);
    short_append(text, cell->interval.low);
    g_string_append_c(text, ' ');
    short_append(text, cell->interval.high);
    g_string_append_c(text, ']');
}

static void p_append(GString *text, const StudyCell *cell)
{
    char number[32] = "-";

    if (!isnan(cell->holm))
        g_snprintf(number, sizeof number, cell->holm < 0.001 ? "< 0.001" : "%.3f", cell->holm);
    g_string_append_printf(text, "  %+6.3f %-8s", cell->difference, number);
}

/* Ends a line without blanks before its end. */
static void line_end(GString *text)
{
    while (text->len && text->str[text->len - 1] == ' ')
        g_string_truncate(text, text->len - 1);
    g_string_append_c(text, '\n');
}

static guint widest_loss(const StudyScores *scores)
{
    glong width = 4;

    for (guint i = 0; i < scores->n_losses; i++)
        width = MAX(width, g_utf8_strlen(scores->losses[i], -1));
    return (guint)width;
}

static void heading_append(GString *text, const StudyScores *scores, const char *first)
{
    g_string_append_printf(text, "  %-*s", (int)widest_loss(scores), first);
    for (guint i = 0; i < G_N_ELEMENTS(shown); i++)
        if (study_scores_reading(scores, shown[i]) >= 0)
            g_string_append_printf(text, "  %-15s", shown[i]);
    line_end(text);
}

static void class_append(GString *text, const StudyScores *scores, guint class_, guint from,
                         void (*append)(GString *text, const StudyCell *cell))
{
    for (guint loss = from; loss < scores->n_losses; loss++) {
        g_string_append_printf(text, "  %-*s", (int)widest_loss(scores), scores->losses[loss]);
        for (guint i = 0; i < G_N_ELEMENTS(shown); i++) {
            const gint reading = study_scores_reading(scores, shown[i]);

            if (reading >= 0)
                append(text, study_scores_cell(scores, loss, class_, (guint)reading));
        }
        line_end(text);
    }
}

/* Losses whose values are not there for as many cases as the others'. */
static void missing_append(GString *text, const StudyScores *scores, guint class_)
{
    const gint reading = study_scores_reading(scores, shown[2]);

    for (guint loss = 0; reading >= 0 && loss < scores->n_losses; loss++) {
        const StudyCell *cell = study_scores_cell(scores, loss, class_, (guint)reading);

        if (cell->n < scores->cases->len)
            g_string_append_printf(text,
                                   "  %s: precision is undefined in %u of %u cases (nothing "
                                   "predicted, or no result)\n",
                                   scores->losses[loss], scores->cases->len - cell->n,
                                   scores->cases->len);
    }
}

char *study_report_table(const StudyScores *scores)
{
    GString *text = g_string_new(NULL);

    for (guint k = 0; k < scores->n_classes; k++) {
        g_string_append_printf(text, "%s, %u cases: mean [95 %% interval]\n",
                               (char *)scores->classes->pdata[k], scores->cases->len);
        heading_append(text, scores, "loss");
        class_append(text, scores, k, 0, mean_append);
        missing_append(text, scores, k);
        if (scores->n_losses > 1) {
            g_string_append_printf(text, "against %s: mean difference, p (Holm)\n",
                                   scores->losses[0]);
            class_append(text, scores, k, 1, p_append);
        }
        g_string_append_c(text, '\n');
    }
    return g_string_free(text, FALSE);
}

/* ---- for machines ------------------------------------------------------------------- */

typedef struct {
    const char *name;
    double (*value)(const StudyCell *cell);
} Column;

static double mean_of(const StudyCell *cell)
{
    return cell->mean;
}

static double low_of(const StudyCell *cell)
{
    return cell->interval.low;
}

static double high_of(const StudyCell *cell)
{
    return cell->interval.high;
}

static double cases_of(const StudyCell *cell)
{
    return cell->n;
}

static double difference_of(const StudyCell *cell)
{
    return cell->difference;
}

static double pairs_of(const StudyCell *cell)
{
    return isnan(cell->test.p) ? NAN : (double)cell->test.n;
}

static double zeros_of(const StudyCell *cell)
{
    return isnan(cell->test.p) ? NAN : (double)cell->test.zeros;
}

static double statistic_of(const StudyCell *cell)
{
    return isnan(cell->test.p) ? NAN : MIN(cell->test.larger, cell->test.smaller);
}

static double p_of(const StudyCell *cell)
{
    return cell->test.p;
}

static double holm_of(const StudyCell *cell)
{
    return cell->holm;
}

static const Column columns[] = {
    {"cases", cases_of},
    {"mean", mean_of},
    {"low", low_of},
    {"high", high_of},
    {"difference", difference_of},
    {"pairs", pairs_of},
    {"zeros", zeros_of},
    {"wilcoxon_t", statistic_of},
    {"p", p_of},
    {"p_holm", holm_of},
};

static void row_append(GString *text, const StudyScores *scores, guint loss, guint class_,
                       guint reading)
{
    const StudyCell *cell = study_scores_cell(scores, loss, class_, reading);

    csv_text_append(text, scores->losses[loss]);
    g_string_append_c(text, ',');
    csv_text_append(text, scores->classes->pdata[class_]);
    g_string_append_c(text, ',');
    csv_text_append(text, scores->readings->pdata[reading]);
    for (guint i = 0; i < G_N_ELEMENTS(columns); i++) {
        const double value = columns[i].value(cell);
        char number[G_ASCII_DTOSTR_BUF_SIZE] = "";

        if (!isnan(value))
            g_ascii_formatd(number, sizeof number, "%.9g", value);
        g_string_append_printf(text, ",%s", number);
    }
    g_string_append_c(text, '\n');
}

char *study_report_csv(const StudyScores *scores)
{
    GString *text = g_string_new("loss,class,reading");

    for (guint i = 0; i < G_N_ELEMENTS(columns); i++)
        g_string_append_printf(text, ",%s", columns[i].name);
    g_string_append_c(text, '\n');
    for (guint k = 0; k < scores->n_classes; k++)
        for (guint r = 0; r < scores->n_readings; r++)
            for (guint loss = 0; loss < scores->n_losses; loss++)
                row_append(text, scores, loss, k, r);
    return g_string_free(text, FALSE);
}

static void names_set(JsonBuilder *builder, const char *member, gpointer *names, guint n)
{
    json_builder_set_member_name(builder, member);
    json_builder_begin_array(builder);
    for (guint i = 0; i < n; i++)
        json_builder_add_string_value(builder, names[i]);
    json_builder_end_array(builder);
}

static void cell_set(JsonBuilder *builder, const char *member, const StudyCell *cell)
{
    json_builder_set_member_name(builder, member);
    json_builder_begin_object(builder);
    for (guint i = 0; i < G_N_ELEMENTS(columns); i++) {
        const double value = columns[i].value(cell);

        json_builder_set_member_name(builder, columns[i].name);
        if (isnan(value))
            json_builder_add_null_value(builder);
        else
            json_builder_add_double_value(builder, value);
    }
    if (!isnan(cell->test.p)) {
        json_builder_set_member_name(builder, "exact");
        json_builder_add_boolean_value(builder, cell->test.exact);
    }
    json_builder_end_object(builder);
}

static void loss_set(JsonBuilder *builder, const StudyScores *scores, guint loss)
{
    json_builder_set_member_name(builder, scores->losses[loss]);
    json_builder_begin_object(builder);
    for (guint k = 0; k < scores->n_classes; k++) {
        json_builder_set_member_name(builder, scores->classes->pdata[k]);
        json_builder_begin_object(builder);
        for (guint r = 0; r < scores->n_readings; r++)
            cell_set(builder, scores->readings->pdata[r],
                     study_scores_cell(scores, loss, k, r));
        json_builder_end_object(builder);
    }
    json_builder_end_object(builder);
}

char *study_report_json(const StudyScores *scores)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "method");
    json_builder_add_string_value(builder, method);
    json_builder_set_member_name(builder, "baseline");
    json_builder_add_string_value(builder, scores->losses[0]);
    names_set(builder, "cases", scores->cases->pdata, scores->cases->len);
    names_set(builder, "classes", scores->classes->pdata, scores->n_classes);
    json_builder_set_member_name(builder, "losses");
    json_builder_begin_object(builder);
    for (guint loss = 0; loss < scores->n_losses; loss++)
        loss_set(builder, scores, loss);
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    g_autofree char *text = json_to_string(root, TRUE);
    return g_strconcat(text, "\n", NULL);
}
