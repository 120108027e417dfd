/* fix - what a survey found, put right in a copy: only where the file itself, or the policy of
 * the data set, says what is right.  The input is never written to. */
#include "fix.h"

#include "nifti/volume_repair.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

/* Findings that writing the file anew settles. */
static const struct {
    const char *code, *deed;
} deeds[] = {
    {"W-GZ-AFTER", "bytes after the gzip data left out"},
    {"W-NII-LONG", "bytes after the voxels left out"},
    {"W-GZ-NAME", "written uncompressed, as its name says"},
    {"N-GZ-NAME", "compressed, as its name says"},
    {"N-NII-SLOPE", "slope set to 1"},
    {"N-NII-QFAC", "qfac set to 1 or -1"},
    {"N-NII-FORMS", "sform and qform made one"},
    {"N-NII-QUATERNION", "qform made from the sform"},
    {"N-NII-ORIENTATION", "the assumed orientation written as sform"},
    {"N-NII-4D", "written with three axes"},
    {"N-NII-OFFSET", "voxels moved to where they usually begin"},
    {"N-NII-EXTENSION", "header extensions left out"},
    {"W-NII-PIXDIM", "pixdim set to the voxel edges"},
    {"W-NII-UNITS", "lengths written in mm"},
    {"N-GRID-NOISE", "grid set to the image's"},
    {"N-LABEL-ROUNDED", "labels rounded to uint8"},
    {"N-NII-NAN", "NaN and infinite voxels set to 0"},
};

static const char *deed_of(const LoomFinding *finding)
{
    /* no unit at all: that it is mm is a guess */
    if (g_str_equal(finding->code, "W-NII-UNITS") && strstr(finding->text, "is assumed"))
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(deeds); i++)
        if (g_str_equal(finding->code, deeds[i].code))
            return deeds[i].deed;
    return NULL;
}

void loom_fixed_free(LoomFixed *fixed)
{
    g_free(fixed->file);
    g_free(fixed->id);
    g_free(fixed->done);
    g_free(fixed->left);
    g_free(fixed);
}

static void word_add(GString *text, const char *word)
{
    if (!strstr(text->str, word))
        g_string_append_printf(text, "%s%s", text->len ? ", " : "", word);
}

/* What is to be done to @path, and what cannot be; @noise: the image's grid is to be taken. */
static LoomFixed *file_judge(const LoomFindings *findings, const char *path, gboolean *noise)
{
    g_autoptr(GString) done = g_string_new(NULL), left = g_string_new(NULL);
    LoomFixed *fixed = g_new0(LoomFixed, 1);
    gboolean broken = FALSE;

    *noise = FALSE;
    for (guint i = 0; i < loom_findings_count(findings); i++) {
        const LoomFinding *finding = loom_findings_at(findings, i);
        const char *deed = deed_of(finding);

        if (g_strcmp0(finding->place, path) != 0)
            continue;
        broken = broken || finding->severity == LOOM_SEVERITY_ERROR;
        *noise = *noise || g_str_equal(finding->code, "N-GRID-NOISE");
        if (deed)
            word_add(done, deed);
        else if (finding->severity != LOOM_SEVERITY_NOTE)
            word_add(left, finding->code);
    }
    if (done->len && !broken)
        fixed->done = g_strdup(done->str);
    if (left->len)
        fixed->left = g_strdup(left->str);
    return fixed;
}

/* One file of a case: written anew, or linked.  @below: @path without the folder. */
static gboolean file_fix(const LoomSurvey *survey, const LoomFindings *findings, guint i,
                         const char *path, const char *below, gboolean labels,
                         const char *folder, GPtrArray *all, GError **error)
{
    const LoomDataset *dataset = survey->dataset;
    g_autofree char *to = g_build_filename(folder, below, NULL);
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    gboolean noise;
    LoomFixed *fixed = file_judge(findings, path, &noise);

    fixed->file = g_strdup(below);
    fixed->id = g_strdup(dataset->cases[i].id);
    g_ptr_array_add(all, fixed);
    if (fixed->done) {
        g_autoptr(GError) cause = NULL;

        if (loom_volume_repair(path, to, &dataset->policy, labels,
                               noise ? &survey->cases[i].geometry : NULL, &cause))
            return TRUE;
        /* no room, no permission: the next would fail too */
        if (cause->code == LOOM_ERROR_IO) {
            g_propagate_error(error, g_steal_pointer(&cause));
            return FALSE;
        }
        g_clear_pointer(&fixed->done, g_free);
        g_free(fixed->left);
        fixed->left = g_strdup(cause->message);
    }
    if (!fixed->left)
        g_ptr_array_remove(all, fixed); /* nothing to say */
    return symlink(absolute, to) == 0
           || loom_fail(error, LOOM_ERROR_IO, "'%s': cannot link it: %s", to,
                        g_strerror(errno));
}

static gboolean folders_make(const LoomDataset *dataset, const char *folder, GError **error)
{
    g_autofree char *from = g_build_filename(dataset->folder, "dataset.json", NULL);
    g_autofree char *to = g_build_filename(folder, "dataset.json", NULL);
    g_autofree char *json = NULL;
    g_autoptr(GError) cause = NULL;
    gsize length;

    if (g_file_test(folder, G_FILE_TEST_EXISTS))
        return loom_fail(error, LOOM_ERROR_CONFIG,
                         "'%s' exists already, want the name of a new folder", folder);
    if (g_mkdir_with_parents(folder, 0777) != 0)
        return loom_fail(error, LOOM_ERROR_IO, "'%s': cannot make it: %s", folder,
                         g_strerror(errno));
    if (g_file_test(from, G_FILE_TEST_EXISTS)
        && (!g_file_get_contents(from, &json, &length, &cause)
            || !g_file_set_contents(to, json, (gssize)length, &cause)))
        return loom_fail(error, LOOM_ERROR_IO, "%s", cause->message);
    return TRUE;
}

/* @path without the folder of the data set; (transfer full).  A '..' in it is resolved before:
 * what lies outside would be copied out of the copy, and perhaps onto itself. */
static char *path_below(const LoomDataset *dataset, const char *path, GError **error)
{
    g_autofree char *top = g_canonicalize_filename(dataset->folder, NULL);
    g_autofree char *prefix = g_strconcat(top, "/", NULL);
    g_autofree char *whole = g_canonicalize_filename(path, NULL);

    if (!g_str_has_prefix(whole, prefix))
        return loom_fail_null(error, LOOM_ERROR_CONFIG, "'%s' does not lie below '%s'", path,
                              dataset->folder);
    return g_strdup(whole + strlen(prefix));
}

/* The folder in which the copy will lie. */
static gboolean parent_make(const char *folder, const char *below, GError **error)
{
    g_autofree char *to = g_build_filename(folder, below, NULL);
    g_autofree char *parent = g_path_get_dirname(to);

    return g_mkdir_with_parents(parent, 0777) == 0
           || loom_fail(error, LOOM_ERROR_IO, "'%s': cannot make it: %s", parent,
                        g_strerror(errno));
}

GPtrArray *loom_fix(const LoomSurvey *survey, const LoomFindings *findings, const char *folder,
                    GError **error)
{
    const LoomDataset *dataset = survey->dataset;
    g_autoptr(GPtrArray) all =
        g_ptr_array_new_with_free_func((GDestroyNotify)(void (*)(void))loom_fixed_free);

    if (!dataset->folder)
        return loom_fail_null(error, LOOM_ERROR_CONFIG, "loose files have no folder to copy");
    if (!folders_make(dataset, folder, error))
        return NULL;
    for (guint i = 0; i < dataset->n_cases; i++) {
        const LoomCase *one = &dataset->cases[i];

        for (guint c = 0; c <= loom_dataset_files(dataset); c++) {
            const gboolean labels = c == loom_dataset_files(dataset);
            const char *path = labels ? one->label : one->images[c];

            g_autofree char *below = path ? path_below(dataset, path, error) : NULL;
            if (path
                && (!below || !parent_make(folder, below, error)
                    || !file_fix(survey, findings, i, path, below, labels, folder, all, error)))
                return NULL;
        }
    }
    return g_steal_pointer(&all);
}
