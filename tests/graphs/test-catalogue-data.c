/* The bad-input catalogue, D2: labels and cases that do not go together, rows 49 to 74.
 * catalogue.h says how a row is met.  Elsewhere:
 *   62         image and label on one grid after resampling: the stage's own tests
 */
#include "catalogue.h"

#include <glib/gstdio.h>

#include <unistd.h>

/* ---- labels and cases ------------------------------------------------------------ */

BEND(integers, f->datatype = 4; f->bitpix = 16)
BEND(label_smaller, f->dim[3] = 7)
BEND(label_spacing, f->srow[0][0] = f->pixdim[1] = 2)
BEND(label_moved, f->srow[0][3] = 0.5)
BEND(label_noise, f->srow[0][3] = 1e-4)
BEND(label_float, f->datatype = 16; f->bitpix = 32)
BEND(label_turned, f->srow[0][0] = -1)
BEND(larger, f->srow[0][0] = f->pixdim[1] = 20)

static double label_seven(gint64 v)
{
    return v == 10 ? 7 : v == 30 ? 9 : catalogue_label(v);
}

static double label_fraction(gint64 v)
{
    return v == 10 ? 2.0235 : catalogue_label(v);
}

static double label_negative(gint64 v)
{
    return v == 10 ? -1 : catalogue_label(v);
}

static double background(G_GNUC_UNUSED gint64 v)
{
    return 0;
}

static double image_elsewhere(gint64 v) /* 0 wherever there is a label */
{
    return catalogue_label(v) > 0 ? 0 : catalogue_image(v);
}

static void labels_gap(void)
{
    catalogue_json("\"background\": 0, \"ball\": 2", "\"0\": \"CT\"", CASES, FALSE);
}

static void class_nowhere(void)
{
    catalogue_json("\"background\": 0, \"ball\": 1, \"cube\": 2", "\"0\": \"CT\"", CASES,
                   FALSE);
}

/* Only a03, which the list lets validate, has class 2. */
static double label_two(gint64 v)
{
    return v == 10 ? 2 : catalogue_label(v);
}

static void class_validates(void)
{
    const NiftiFields fields = catalogue_case(3);

    class_nowhere();
    g_free(catalogue_text("val.txt", "a03\n", -1));
    catalogue_file("labelsTr", 3, &fields, label_two, NULL, NULL);
}

static void file_remove(const char *name)
{
    g_autofree char *path = g_build_filename(catalogue_folder, name, NULL);

    g_assert_cmpint(g_unlink(path), ==, 0);
}

static void label_missing(void)
{
    file_remove("labelsTr/a02.nii");
}

static void label_left_over(void)
{
    const NiftiFields fields = catalogue_case(1);

    catalogue_file("labelsTr", 9, &fields, catalogue_label, NULL, NULL);
}

static void channel_missing(void)
{
    catalogue_json("\"background\": 0, \"ball\": 1", "\"0\": \"CT\", \"1\": \"PET\"", CASES,
                   FALSE);
}

static void number_wrong(void)
{
    catalogue_json("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", CASES + 2, FALSE);
}

static void linked(void)
{
    g_autofree char *from =
        g_build_filename(catalogue_folder, "imagesTr", "a02_0000.nii", NULL);
    g_autofree char *to = g_build_filename(catalogue_folder, "imagesTr", "a03_0000.nii", NULL);

    g_unlink(to);
    g_assert_cmpint(symlink(from, to), ==, 0);
}

static void copied(void)
{
    g_autofree char *from =
        g_build_filename(catalogue_folder, "imagesTr", "a02_0000.nii", NULL);
    g_autofree char *to = g_build_filename(catalogue_folder, "imagesTr", "a03_0000.nii", NULL);
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(from, &bytes, &length, NULL));
    g_assert_true(g_file_set_contents(to, bytes, (gssize)length, NULL));
}

static void file_rename(const char *kind, const char *from, const char *to, const char *end)
{
    g_autofree char *a = g_strconcat(catalogue_folder, kind, from, end, NULL);
    g_autofree char *b = g_strconcat(catalogue_folder, kind, to, end, NULL);

    g_assert_cmpint(g_rename(a, b), ==, 0);
}

static void case_rename(const char *from, const char *to)
{
    file_rename("/imagesTr/", from, to, "_0000.nii");
    file_rename("/labelsTr/", from, to, ".nii");
}

/* One visit trains, the other validates. */
static void visits(void)
{
    case_rename("a00", "p7_visit1");
    case_rename("a01", "p7_visit2");
    g_free(catalogue_text("val.txt", "p7_visit2\n", -1));
}

static void odd_names(void)
{
    case_rename("a00", "caf\xc3\xa9 100% \xe2\x80\x93 x");
    case_rename("a02", "line\nbreak");
}

static void latin_name(void)
{
    case_rename("a00", "caf\xe9");
}

static void hounsfield(void)
{
    for (guint i = 0; i < 8; i++) {
        NiftiFields fields = catalogue_case(i);

        integers(&fields);
        fields.intercept = i == 5 ? 0 : -1000.0 - i;
        catalogue_file("imagesTr", i, &fields, catalogue_image, NULL, NULL);
        fields = catalogue_case(i);
        catalogue_file("labelsTr", i, &fields, catalogue_label, NULL, NULL);
    }
    catalogue_json("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", 8, FALSE);
}

static void outlier(void)
{
    for (guint i = 0; i < 6; i++) {
        NiftiFields fields = catalogue_case(i);

        fields.srow[1][1] = fields.pixdim[2] = i == 4 ? 5 : 1;
        catalogue_file("imagesTr", i, &fields, catalogue_image, NULL, NULL);
        catalogue_file("labelsTr", i, &fields, catalogue_label, NULL, NULL);
    }
    catalogue_json("\"background\": 0, \"ball\": 1", "\"0\": \"CT\"", 6, FALSE);
}

static void list_of_windows(void)
{
    g_free(catalogue_text("val.txt",
                          "\xef\xbb\xbf"
                          "a01 \r\n",
                          -1));
}

static void list_unknown(void)
{
    g_free(catalogue_text("val.txt", "a01\na77\n", -1));
}

/* ---- the table ----------------------------------------------------------------------- */

static const CatalogueRow rows[] = {
    {49, "E-GRID-SIZE", "8 x 8 x 8 voxels but", .label = label_smaller},
    {50, "E-GRID-SPACING", "2 x 1 x 1.125 mm", .label = label_spacing},
    {51, "E-GRID-PLACE", "lie up to 0.5 mm apart, want at most 0.001", .label = label_moved},
    {51, "N-GRID-NOISE", "within the tolerance", .label = label_noise},
    {52, "W-LABEL-OFF-IMAGE", "only 0 of 73 foreground voxels", .value = image_elsewhere},
    {53, "E-LABEL-UNKNOWN",
     "value 7 at i,j,k = 2,1,0 is none of the labels 0 to 1; 2 voxels are like that: 7 (1), 9 "
     "(1)",
     .label_value = label_seven},
    {54, "E-DATA", "without a gap", .arrange = labels_gap},
    {55, "E-LABEL-FRACTION", "0.0235 from the nearest whole number", .label = label_float,
     .label_value = label_fraction},
    {56, "E-LABEL-NEGATIVE", "the value -1 at i,j,k = 2,1,0 is no label", .label = integers,
     .label_value = label_negative},
    {57, "W-LABEL-EMPTY", "no foreground", .label_value = background},
    {58, "E-CLASS-ABSENT", "has a voxel of label 2 ('cube')", .arrange = class_nowhere},
    {59, "W-CLASS-VALIDATES", "label 2 ('cube') is in 1 case that validates, and in none",
     .arrange = class_validates, .data = "validate: val.txt", .fails = TRUE}, /* and row 58 */
    {60, "W-CLASS-TINY", "has 73 voxels, after resampling to 4 x 4 x 4 mm about 1.1",
     .yaml = "segloom: 1\n" DATA "graphs:\n  train:\n    load: {use: nifti_load}\n"
             "    fine: {use: resample, from: load, spacing: [4, 4, 4]}\n" RUN},
    {61, "N-IMAGE-SMALL",
     "8 x 8 x 8 voxels (D, H, W), the patch of stage 'patch' has 16 x 4 x 4",
     .yaml = CROP("size: [16, 4, 4]")},
    {63, "E-DATA-MISSING", "1 file is missing: label of a02 (looked for imagesTr/NAME_0000.nii",
     .arrange = label_missing},
    {64, "W-DATA", "labelsTr/a09.nii' has no image", .arrange = label_left_over},
    {65, "E-DATA-MISSING", "4 files are missing: PET of all 4 cases",
     .arrange = channel_missing},
    {66, "E-DATA-NUMBER", "numTraining 6, but there are 4 cases, 2 too few",
     .arrange = number_wrong},
    {67, "E-DATA-TWICE", "is the file of case 'a02' as well", .arrange = linked},
    {67, "W-DATA-SAME-VOXELS", "has the voxels of case 'a02'", .arrange = copied,
     .fails = TRUE},
    {68, "W-SPLIT-PATIENT", "patient 'p7' trains and validates", .arrange = visits,
     .data = "validate: val.txt"},
    {68, "E-SPLIT-PATIENT", "patient 'p7' trains and validates", .arrange = visits,
     .data = "validate: val.txt, patient_key: '^(p[0-9]+)_'"},
    {68, "E-DATA-PATIENT-KEY", "is no regular expression", .data = "patient_key: '('"},
    {69, "W-IMAGE-OUTLIER", "are these Hounsfield units?", .arrange = hounsfield},
    {70, "W-GRID-MIXED-AXES", "(RAS in 3, LAS in 1)", .both = label_turned},
    {71, "W-GRID-ANISOTROPIC", "times as long as wide", .both = larger},
    {71, "W-GRID-OUTLIER", "voxel edge along j is 5 mm, in most cases 1 mm",
     .arrange = outlier},
    {72, "N-LIST-TRIMMED", "byte order mark, carriage returns, trailing blanks",
     .arrange = list_of_windows, .data = "validate: val.txt"},
    {73, NULL, NULL, .arrange = odd_names},
    {73, "E-DATA-NAME", "is not UTF-8: want its files renamed", .arrange = latin_name},
    {74, "E-SPLIT", "val.txt:2: there is no case 'a77'", .arrange = list_unknown,
     .data = "validate: val.txt"},
};

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    catalogue_add(rows, G_N_ELEMENTS(rows));
    return loom_test_run();
}
