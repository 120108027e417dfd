/* The presets of the papers on small folders laid out as their challenges gave them out:
 * checked, trained for two steps, validated; BraTS also by regions; predicted and evaluated. */
#include "loom_test.h"
#include "typed.h"

#include <glib/gstdio.h>
#include <string.h>

/* The sizes of a network and of patches that train in a second.  Voxels of the phantoms are of
 * 12 to 15 mm: on the 1.6 mm of KiTS19's preset a case would be of 2 million. */
#define SMALL                                                                                  \
    " --set 'models.seg.features=[4, 8]' --set run.steps=2 --set graphs.train.check.every=2"   \
    " --set 'graphs.train.patch.size=[8, 16, 16]'"                                             \
    " --set 'graphs.train.spatial.size=[8, 16, 16]'"                                           \
    " --set 'graphs.validate.predict.size=[8, 16, 16]'"
#define KITS                                                                                   \
    "%s/configs/kits19.yaml --set data.dataset=k --set \"data.train=''\""                      \
    " --set \"data.validate=''\" --set data.folds=2"                                           \
    " --set 'graphs.train.grid.spacing=[15, 12, 12]'"                                          \
    " --set 'graphs.validate.grid.spacing=[10, 12, 12]'" SMALL
#define BRATS "%s/configs/brats20.yaml --set data.dataset=b --set data.folds=2" SMALL
#define REGIONS                                                                                \
    " --set 'data.label_names=[]' --set 'data.label_map={}' --set 'data.channels=[]'"          \
    " --set 'data.regions={whole: [1, 2, 3], core: [1, 3], rim: [3]}'"                         \
    " --set models.seg.in_channels=4 --set models.seg.classes=3"                               \
    " --set models.seg.deep_supervision=true --set graphs.train.loss.regions=true"

static char *folder, *source;

/* segloom with @format, whose one %s is where the sources are; it must end with @code. */
static Typed typed(int code, const char *format, ...) G_GNUC_PRINTF(2, 3);
static Typed typed(int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    g_autofree char *line = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    const Typed said = typed_run(folder, line, NULL);

    if (said.code != code)
        g_error("'%s' ended with %d: %s", line, said.code, said.err);
    return said;
}

static char *text_of(const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void test_kits19(void)
{
    g_auto(Typed) made = typed(0, "phantom k --layout kits19 --cases 4 --size 16,24,24");
    g_auto(Typed) lists = typed(2, "check %s/configs/kits19.yaml --set data.dataset=k", source);
    g_auto(Typed) looked = typed(0, "check " KITS, source);
    g_auto(Typed) run = typed(0, "run " KITS " -o kits", source);
    g_autofree char *scores = text_of("kits/metrics.csv");

    typed_assert_in(lists.out, "case_00004'"); /* the lists are of all of KiTS19 */
    typed_assert_in(looked.out, "labels    background, kidney, tumour");
    typed_assert_in(scores, "2,case_0000");
    typed_assert_in(scores, ",2,tumour,");
    g_autofree char *drawn = text_of("kits/overlays/overlays.json");
    typed_assert_in(drawn, "case_0000"); /* on the file's grid, however the image was moved */
    g_auto(Typed) all = typed(0, "predict kits k -o all");
    g_auto(GStrv) said = g_strsplit(all.out, "\n", -1);
    g_assert_cmpuint(g_strv_length(said), ==, 4 + 1); /* a line a mask */
    typed_assert_in(all.out, "/all/case_00002.nii.gz");
    g_auto(Typed) scored = typed(0, "evaluate k all --metric overlap --csv");
    typed_assert_in(scored.out, "case_00003,2,tumour,");
    g_auto(Typed) chosen = typed(0, "postprocess kits --dry-run");

    /* images without labels, as the last 90 were given out: named by their folders too */
    g_autofree char *label = g_build_filename(folder, "k/case_00002/segmentation.nii.gz", NULL);
    g_assert_cmpint(g_remove(label), ==, 0);
    g_auto(Typed) two =
        typed(0, "predict kits k/case_00002 k/case_00003/imaging.nii.gz -o two");
    g_autofree char *mask = g_build_filename(folder, "two/case_00002.nii.gz", NULL);
    typed_assert_in(two.out, "/two/case_00003.nii.gz");
    g_assert_true(g_file_test(mask, G_FILE_TEST_EXISTS));
    g_auto(Typed) twice = typed(2, "predict kits k k/case_00002 -o two");
    typed_assert_in(twice.err, "would be the same mask, 'case_00002'");
    g_auto(Typed) again = typed(2, "phantom k --layout kits19 --cases 1");
    typed_assert_in(again.err, "holds a data set already");
}

static void test_brats20(void)
{
    g_auto(Typed) made = typed(0, "phantom b --layout brats20 --cases 4 --size 24,24,24");
    g_auto(Typed) looked = typed(0, "check " BRATS, source);
    g_auto(Typed) run = typed(0, "run " BRATS " -o brats", source);
    g_autofree char *scores = text_of("brats/metrics.csv");

    g_auto(Typed) masks = typed(0, "predict brats b/brats20_001 b/brats20_002 -o masks");
    typed_assert_in(masks.err, "4 for 'enhancing'"); /* class 1 of two */
    typed_assert_in(looked.out, "masks     hold 4 for 'enhancing'");
    g_auto(Typed) scored = typed(0, "evaluate b masks --common --config brats --csv");
    typed_assert_in(scored.out, "brats20_001,4,enhancing,");
    typed_assert_in(masks.out, "/masks/brats20_001.nii.gz"); /* t1ce alone */
    g_autofree char *image =
        g_build_filename(folder, "b/brats20_003/brats20_003_t1ce.nii.gz", NULL);
    g_assert_cmpint(g_remove(image), ==, 0);
    g_auto(Typed) lacks = typed(2, "predict brats b -o masks");
    typed_assert_in(lacks.err, "case 'brats20_003' has no 't1ce' image");
    typed_assert_in(looked.out, "channels  t1ce\nlabels    background, enhancing");
    typed_assert_in(scores, ",1,enhancing,");
    g_autofree char *drawn = text_of("brats/overlays/overlays.json");
    typed_assert_in(drawn, "\"file\"");
}

/* All four channels, three regions that overlap; what is predicted are labels again. */
static void test_regions(void)
{
    g_auto(Typed) made = typed(0, "phantom b --layout brats20 --cases 4 --size 24,24,24");
    g_auto(Typed) lost = typed(2, "check " BRATS REGIONS, source);
    g_auto(Typed) run = typed(
        0, "run " BRATS REGIONS " --set 'graphs.validate.predict.regions=[2, 1, 3]' -o regions",
        source);
    g_autofree char *scores = text_of("regions/metrics.csv");
    g_autofree char *steps = text_of("regions/steps.csv");
    g_autofree char *model = text_of("regions/model/model.json");

    typed_assert_in(lost.out, "want regions: [2, 1, 3] in the sliding_window");
    typed_assert_in(scores, ",1,whole,");
    typed_assert_in(scores, ",3,rim,");
    typed_assert_in(steps, "dice/whole,dice/core,dice/rim");
    typed_assert_in(model, "\"written\" : 2");
    g_auto(Typed) masks = typed(0, "predict regions b -o masks");
    typed_assert_in(masks.err, "4 for 'enhancing'"); /* class 3, written for the region 'rim' */
    g_auto(Typed) scored = typed(0, "evaluate b masks --config regions --metric overlap --csv");
    typed_assert_in(scored.out, "brats20_004,3,rim,");
    g_auto(Typed) own = typed(0, "evaluate b masks --metric overlap --csv");
    typed_assert_in(own.out, "brats20_004,4,enhancing,");
    g_auto(Typed) classes =
        typed(2, "check " BRATS REGIONS " --set models.seg.classes=4", source);
    typed_assert_in(classes.out, "the network has 4 classes");
}

/* The label maps of the data set against themselves: 4 in the files is class 3. */
static void test_evaluate(void)
{
    g_auto(Typed) made = typed(0, "phantom b --layout brats20 --cases 2 --size 24,24,24");
    g_autofree char *first =
        g_build_filename(folder, "b/brats20_001/brats20_001_seg.nii.gz", NULL);
    g_autofree char *out = g_build_filename(folder, "out", NULL);
    g_autofree char *copy = g_build_filename(out, "brats20_001.nii.gz", NULL);
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(first, &bytes, &length, NULL));
    g_assert_cmpint(g_mkdir_with_parents(out, 0700), ==, 0);
    g_assert_true(g_file_set_contents(copy, bytes, (gssize)length, NULL));
    g_auto(Typed) lonely = typed(2, "evaluate b out --metric overlap --csv");
    typed_assert_in(lonely.err, "case 'brats20_002' has no prediction");
    typed_assert_in(lonely.out, "brats20_001,4,enhancing,1,1,1,1,1,0");
    g_auto(Typed) regions = typed(
        0, "evaluate b out --common --metric overlap --csv --data '{regions: {core: [1, 3]}}'");
    typed_assert_in(regions.out, "brats20_001,1,core,1,1,1,1,1,0");
    g_assert_null(strstr(regions.out, "enhancing"));
    g_auto(Typed) files =
        typed(0,
              "evaluate %s %s --metric overlap --csv --data '{label_names: [none, a, b, c], "
              "label_map: {2: ignore, 4: 3}}'",
              first, copy);
    typed_assert_in(files.out, ",4,c,1,1,1,1,1,0");
    typed_assert_in(files.out, ",2,b,,,,,1,"); /* every voxel of it is ignored */
}

typedef struct {
    const char *name;
    void (*test)(void);
} Test;

static void in_folder(gconstpointer data)
{
    folder = loom_test_folder();
    ((const Test *)data)->test();
    loom_test_folder_remove(folder);
    g_clear_pointer(&folder, g_free);
}

int main(int argc, char **argv)
{
    static const Test tests[] = {{"/presets/kits19", test_kits19},
                                 {"/presets/brats20", test_brats20},
                                 {"/presets/regions", test_regions},
                                 {"/presets/evaluate", test_evaluate}};

    g_test_init(&argc, &argv, NULL);
    source = g_get_current_dir();
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add_data_func(tests[i].name, &tests[i], in_folder);
    const int result = loom_test_run();
    g_free(source);
    return result;
}
