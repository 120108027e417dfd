/* postprocess_choice: what helps is kept, what costs another class something is not. */
#include "loom_test.h"

#include "postprocess_choice.h"

#include <math.h>
#include <string.h>

static char *const labels[] = {"background", "organ", "lesion", NULL};

static void case_free(gpointer data)
{
    PostprocessCase *one = data;

    g_free(one->id);
    g_free(one->truth);
    g_free(one->prediction);
    g_free(one);
}

/* One plane of digits and dots, voxels of 5 mm3. */
static char *map_write(const char *folder, const char *name, const char *digits, gint64 width)
{
    const gint64 height = (gint64)strlen(digits) / width, size[3] = {width, height, 1};
    const double spacing[3] = {1, 1, 5};
    g_autoptr(LoomTensor) label =
        loom_tensor_new(LOOM_U8, "DHW", (gint64[]){1, height, width}, NULL);
    g_autoptr(GError) error = NULL;
    char *path = g_build_filename(folder, name, NULL);
    LoomGeometry geometry;

    for (gint64 v = 0; v < height * width; v++)
        loom_tensor_u8_mut(label)[v] = digits[v] == '.' ? 0 : (guint8)(digits[v] - '0');
    loom_geometry_plain(&geometry, size, spacing);
    loom_volume_write(path, label, &geometry, &error);
    g_assert_no_error(error);
    return path;
}

static GPtrArray *case_of(const char *folder, const char *truth, const char *prediction,
                          gint64 width)
{
    GPtrArray *cases = g_ptr_array_new_with_free_func(case_free);
    PostprocessCase *one = g_new0(PostprocessCase, 1);

    one->id = g_strdup("a");
    one->truth = map_write(folder, "truth.nii", truth, width);
    one->prediction = map_write(folder, "prediction.nii", prediction, width);
    g_ptr_array_add(cases, one);
    return cases;
}

static void unsaid(G_GNUC_UNUSED const char *id)
{
}

static PostprocessChoice choose(const char *truth, const char *prediction, gint64 width,
                                GPtrArray **trials)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(GPtrArray) cases = case_of(folder, truth, prediction, width);
    g_autoptr(GError) error = NULL;
    PostprocessChoice choice;

    *trials = postprocess_choose(cases, labels, 3, NULL, &choice, unsaid, &error);
    g_assert_no_error(error);
    g_assert_cmpuint((*trials)->len, ==, 4); /* foreground, two classes, volumes */
    loom_test_folder_remove(folder);
    return choice;
}

/* The organ is one and has a false part beside it; lesions are two, both true, and a speck of 5
 * mm3 is false.
 * Dice of the organ 12/13 before, 1 after; of the lesion 8/9 before, 1 without the speck. */
static void test_chosen(void)
{
    static const char truth[] = "111......"
                                "111..22.."
                                "........."
                                ".22......"
                                ".........";
    static const char prediction[] = "111......"
                                     "111..22.."
                                     "........."
                                     ".22.....1"
                                     "....2....";
    g_autoptr(GPtrArray) trials = NULL;
    const PostprocessChoice choice = choose(truth, prediction, 9, &trials);
    const PostprocessTrial *foreground = trials->pdata[0], *organ = trials->pdata[1],
                           *lesion = trials->pdata[2], *small = trials->pdata[3];

    g_assert_false(choice.foreground); /* it would cost the lesions everything */
    g_assert_true(choice.largest[1]);
    g_assert_false(choice.largest[2]);
    loom_assert_near(choice.small_mm3, 10, 0);
    g_assert_false(foreground->kept);
    loom_assert_near(organ->before, (12.0 / 13 + 8.0 / 9) / 2, 1e-12);
    loom_assert_near(organ->after, (1 + 8.0 / 9) / 2, 1e-12);
    g_assert_cmpstr(organ->name, ==, "largest component of 'organ'");
    g_assert_cmpfloat(lesion->after, <, lesion->before);
    loom_assert_near(small->before, (1 + 8.0 / 9) / 2, 1e-12); /* on top of what was chosen */
    loom_assert_near(small->after, 1, 1e-12);
    g_assert_cmpstr(small->name, ==, "no component below 10 mm3");
}

/* Organ and lesion touch; what is false lies apart from both. */
static void test_foreground(void)
{
    g_autoptr(GPtrArray) trials = NULL;
    const PostprocessChoice choice = choose("11122....", "11122.1.2", 9, &trials);

    g_assert_true(choice.foreground);
    g_assert_false(choice.largest[1] || choice.largest[2]); /* nothing is left to gain */
    loom_assert_near(choice.small_mm3, 0, 0);
    loom_assert_near(((PostprocessTrial *)trials->pdata[0])->after, 1, 1e-12);
}

/* The mean would rise, but the lesion, which is in two parts, would lose: Dice is 10/14 and 1
 * before, 1 and 4/5 after. */
static void test_no_class_worse(void)
{
    g_autoptr(GPtrArray) trials = NULL;
    const PostprocessChoice choice = choose("1111122......2", "1111122.1111.2", 14, &trials);
    const PostprocessTrial *foreground = trials->pdata[0];

    loom_assert_near(foreground->before, (10.0 / 14 + 1) / 2, 1e-12);
    loom_assert_near(foreground->after, 0.9, 1e-12);
    g_assert_false(choice.foreground);
    g_assert_true(choice.largest[1]);
}

/* Nothing to remove: equal is not better. */
static void test_perfect(void)
{
    g_autoptr(GPtrArray) trials = NULL;
    const PostprocessChoice choice = choose("111.22.", "111.22.", 7, &trials);

    g_assert_false(choice.foreground || choice.largest[1] || choice.largest[2]);
    loom_assert_near(choice.small_mm3, 0, 0);
}

static void test_grids(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(GPtrArray) cases = case_of(folder, "11.", "11.", 3);
    PostprocessCase *one = cases->pdata[0];
    g_autoptr(GError) error = NULL;
    PostprocessChoice choice;

    g_free(one->prediction);
    one->prediction = map_write(folder, "other.nii", "11..", 4);
    loom_assert_failed(postprocess_choose(cases, labels, 3, NULL, &choice, unsaid, &error),
                       error, LOOM_ERROR, LOOM_ERROR_SHAPE, "case 'a': ");
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/postprocess/choice/chosen", test_chosen);
    g_test_add_func("/postprocess/choice/foreground", test_foreground);
    g_test_add_func("/postprocess/choice/no-class-worse", test_no_class_worse);
    g_test_add_func("/postprocess/choice/perfect", test_perfect);
    g_test_add_func("/postprocess/choice/grids", test_grids);
    return loom_test_run();
}
