/* survey - each case of a data set looked at: files that cannot be read, grids that differ,
 * values that are no label.  What the run reads and what is checked go through one reader. */
#include "survey.h"

#include <string.h>

#define SURVEY_NAMED 5       /* values that a message lists */
#define SURVEY_NOISE 1e-6    /* of a voxel edge: float32 */
#define SURVEY_ON_IMAGE 1e-3 /* least share of the foreground where the image is not 0 */

typedef struct {
    LoomSurvey *survey;
    LoomFindings **findings; /* one a case, so that no two threads share one */
} Pass;

/* An error that is no refusal of the reader: about @path. */
static void error_add(LoomFindings *findings, const char *path, GError *error)
{
    g_prefix_error(&error, "'%s': ", path);
    loom_findings_take(findings, error);
}

/* ---- files -------------------------------------------------------------------------- */

/* x.nii beside x.nii.gz: which of them is meant? */
static void twin_check(const char *path, LoomFindings *findings)
{
    const gboolean gzip = g_str_has_suffix(path, ".nii.gz");
    g_autofree char *other = NULL;

    if (gzip)
        other = g_strndup(path, strlen(path) - 3);
    else if (g_str_has_suffix(path, ".nii"))
        other = g_strconcat(path, ".gz", NULL);
    if (other && g_file_test(other, G_FILE_TEST_EXISTS))
        loom_finding_add(findings, "E-DATA-TWO-FILES", path, NULL,
                         "'%s' is there as well: which of them is meant? want one file", other);
}

/* Do two grids of a case lie on each other?  What is less than the tolerance is a note. */
static void grid_check(const LoomGeometry *image, const char *image_path,
                       const LoomGeometry *other, const char *other_path,
                       LoomFindings *findings)
{
    g_autoptr(GError) error = NULL;
    const double edge =
        MIN(MIN(image->spacing_mm[0], image->spacing_mm[1]), image->spacing_mm[2]);

    if (!image->size[0] || !other->size[0])
        return;
    if (!loom_geometry_check(image, image_path, other, other_path, LOOM_GRID_TOLERANCE,
                             &error)) {
        error_add(findings, other_path, g_steal_pointer(&error));
        return;
    }
    const double apart = loom_geometry_apart(image, other);
    if (apart > SURVEY_NOISE * edge)
        loom_finding_add(
            findings, "N-GRID-NOISE", other_path, NULL,
            "lies %.2g mm off the grid of the image: within the tolerance of %g mm", apart,
            LOOM_GRID_TOLERANCE * edge);
}

/* One image file a channel: no series, no vectors; or as many volumes as the data set says. */
static void volumes_check(const LoomDataset *dataset, const char *path,
                          const LoomVolumeHeader *header, LoomFindings *findings)
{
    const gint64 wanted = dataset->n_volumes ? dataset->n_volumes : 1;
    GError *error = NULL;
    gint64 volumes = 1;

    for (guint i = 3; i < header->n_dims; i++)
        volumes *= header->shape[i];
    if (volumes == wanted)
        return;
    if (wanted == 1)
        loom_fail_as(&error, "E-NII-4D", LOOM_ERROR_SHAPE,
                     "%u-D, %" G_GINT64_FORMAT " volumes in one file, want one file a channel "
                     "(or one case a volume)",
                     header->n_dims, volumes);
    else
        loom_fail_as(&error, "E-NII-4D", LOOM_ERROR_SHAPE,
                     "%" G_GINT64_FORMAT " volumes along the fourth axis, the data set has "
                     "%" G_GINT64_FORMAT " channels",
                     volumes, wanted);
    error_add(findings, path, error);
}

/* ---- images ------------------------------------------------------------------------- */

/* The channels of a case; their bits add up in @seen. */
static void images_survey(const Pass *pass, guint i, LoomImageScan *seen)
{
    const LoomSurvey *survey = pass->survey;
    const LoomDataset *dataset = survey->dataset;
    const LoomCase *one = &dataset->cases[i];
    LoomCaseSurvey *of = &survey->cases[i];
    LoomFindings *findings = pass->findings[i];

    if (survey->voxels)
        of->images = g_new0(LoomImageScan, loom_dataset_files(dataset));
    for (guint c = 0; c < loom_dataset_files(dataset); c++) {
        LoomVolumeHeader header;

        twin_check(one->images[c], findings);
        if (survey->voxels) {
            loom_image_scan(one->images[c], &dataset->policy, findings, &header, seen);
            of->images[c] = *seen;
            of->images[c].nonzero = NULL;
        } else {
            loom_header_scan(one->images[c], &dataset->policy, findings, &header);
        }
        if (header.n_dims)
            volumes_check(dataset, one->images[c], &header, findings);
        if (c == 0)
            of->geometry = header.geometry;
        else
            grid_check(&of->geometry, one->images[0], &header.geometry, one->images[c],
                       findings);
    }
}

/* ---- labels ------------------------------------------------------------------------- */

static void unknown_check(const LoomDataset *dataset, const LoomCase *one,
                          const LoomLabelScan *scan, const gint64 size[3],
                          LoomFindings *findings)
{
    g_autoptr(GString) values = g_string_new(NULL);
    guint n = 0, first = 0;
    gint64 voxels = 0;

    for (guint k = 0; k < 256; k++) {
        if (!scan->of[k].n || loom_dataset_label_of(dataset, k) >= 0)
            continue;
        if (n++ == 0 || scan->of[k].first < scan->of[first].first)
            first = k;
        voxels += scan->of[k].n;
        if (n <= SURVEY_NAMED)
            g_string_append_printf(values, "%s%u (%" G_GINT64_FORMAT ")", n > 1 ? ", " : "", k,
                                   scan->of[k].n);
    }
    if (!n)
        return;
    const gint64 v = scan->of[first].first;
    loom_finding_add(
        findings, "E-LABEL-UNKNOWN", one->label, NULL,
        "value %u at i,j,k = %" G_GINT64_FORMAT ",%" G_GINT64_FORMAT ",%" G_GINT64_FORMAT
        " is none of the labels 0 to %u; %" G_GINT64_FORMAT " voxel%s like that%s%s%s (data: "
        "{label_map: {%u: LABEL}} gives it one)",
        first, v % size[0], v / size[0] % size[1], v / size[0] / size[1], dataset->n_labels - 1,
        voxels, voxels == 1 ? " is" : "s are", n > 1 ? ": " : "", n > 1 ? values->str : "",
        n > SURVEY_NAMED ? ", ..." : "", first);
}

/* From values of the file to classes; what counts nowhere stays as LOOM_IGNORED. */
static void labels_map(const LoomDataset *dataset, LoomLabelScan *scan)
{
    const LoomLabelScan values = *scan;

    memset(scan->of, 0, sizeof scan->of);
    for (guint value = 0; value < 256; value++) {
        const gint label = loom_dataset_label_of(dataset, value);
        LoomLabelCount *count = &scan->of[MAX(label, 0)];

        if (label < 0 || !values.of[value].n)
            continue;
        count->first =
            count->n ? MIN(count->first, values.of[value].first) : values.of[value].first;
        count->n += values.of[value].n;
    }
}

static void foreground_check(const LoomCase *one, const LoomLabelScan *scan,
                             const LoomImageScan *seen, LoomFindings *findings)
{
    gint64 foreground = 0;

    for (guint k = 1; k < LOOM_IGNORED; k++)
        foreground += scan->of[k].n;
    if (!foreground)
        loom_finding_add(findings, "W-LABEL-EMPTY", one->label, NULL,
                         "no foreground: patches of this case show background only");
    else if (seen->nonzero && (double)scan->on_image < SURVEY_ON_IMAGE * (double)foreground)
        loom_finding_add(findings, "W-LABEL-OFF-IMAGE", one->label, NULL,
                         "only %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                         " foreground voxels lie where the image is not 0: of another patient?",
                         scan->on_image, foreground);
}

static void label_survey(const Pass *pass, guint i, const LoomImageScan *seen)
{
    const LoomDataset *dataset = pass->survey->dataset;
    const LoomCase *one = &dataset->cases[i];
    LoomCaseSurvey *of = &pass->survey->cases[i];
    LoomFindings *findings = pass->findings[i];
    LoomLabelScan *scan = g_new(LoomLabelScan, 1);
    LoomVolumeHeader header;

    twin_check(one->label, findings);
    const gboolean whole = loom_label_scan(one->label, &dataset->policy, findings, &header,
                                           seen->nonzero, seen->nonzero_bits, scan);
    grid_check(&of->geometry, one->images[0], &header.geometry, one->label, findings);
    if (!whole) {
        g_free(scan);
        return;
    }
    of->label = scan;
    unknown_check(dataset, one, scan, header.geometry.size, findings);
    labels_map(dataset, scan);
    foreground_check(one, scan, seen, findings);
}

/* ---- all ---------------------------------------------------------------------------- */

static void case_survey(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Pass *pass = data;
    LoomImageScan seen = {0};

    images_survey(pass, (guint)i, &seen);
    if (pass->survey->dataset->cases[i].label)
        label_survey(pass, (guint)i, &seen);
    g_free(seen.nonzero);
}

LoomSurvey *loom_survey_new(const LoomDataset *dataset, LoomPool *pool, gboolean voxels)
{
    LoomSurvey *survey = g_new0(LoomSurvey, 1);
    Pass pass = {survey, g_new(LoomFindings *, MAX(dataset->n_cases, 1))};

    survey->dataset = dataset;
    survey->voxels = voxels;
    survey->findings = loom_findings_new();
    survey->cases = g_new0(LoomCaseSurvey, MAX(dataset->n_cases, 1));
    for (guint i = 0; i < dataset->n_cases; i++)
        pass.findings[i] = loom_findings_new();
    loom_pool_run(pool, dataset->n_cases, case_survey, &pass);
    for (guint i = 0; i < dataset->n_cases; i++) {
        loom_findings_move(survey->findings, pass.findings[i], dataset->cases[i].id);
        loom_findings_free(pass.findings[i]);
    }
    g_free(pass.findings);
    return survey;
}

void loom_survey_free(LoomSurvey *survey)
{
    if (!survey)
        return;
    for (guint i = 0; i < survey->dataset->n_cases; i++) {
        g_free(survey->cases[i].images);
        g_free(survey->cases[i].label);
    }
    g_free(survey->cases);
    loom_findings_free(survey->findings);
    g_free(survey);
}
