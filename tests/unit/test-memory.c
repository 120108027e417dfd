/* run: {memory: ...}: caches are cut to what is left, then queues, then what stages take; a
 * ceiling that cannot be kept is a named error before any work. */
#include "loom_test.h"

#include "graph/state.h"

#include <string.h>

#define EDGE 96
#define CASES 8
#define CASE_MIB (EDGE * EDGE * EDGE * 5 / 1048576.0) /* f32 and label: 4.2 MiB */

static void volume_write(const char *folder, const char *room, const char *name,
                         LoomDtype dtype)
{
    const gint64 size[3] = {EDGE, EDGE, EDGE};
    const double spacing[3] = {1, 1, 1};
    g_autofree char *path = g_build_filename(folder, room, name, NULL);
    g_autoptr(LoomTensor) volume = loom_tensor_new(dtype, "DHW", size, NULL);
    g_autoptr(GError) error = NULL;
    LoomGeometry geometry;

    if (dtype == LOOM_U8)
        loom_tensor_u8_mut(volume)[0] = 1;
    loom_geometry_plain(&geometry, size, spacing);
    loom_volume_write(path, volume, &geometry, &error);
    g_assert_no_error(error);
}

/* Eight cases with hardly anything in them: (transfer full). */
static char *set_make(void)
{
    char *folder = loom_test_folder();
    g_autofree char *images = g_build_filename(folder, "imagesTr", NULL);
    g_autofree char *labels = g_build_filename(folder, "labelsTr", NULL);
    g_autofree char *json = g_build_filename(folder, "dataset.json", NULL);

    g_assert_cmpint(g_mkdir_with_parents(images, 0755), ==, 0);
    g_assert_cmpint(g_mkdir_with_parents(labels, 0755), ==, 0);
    g_assert_true(g_file_set_contents(
        json,
        "{\"channel_names\": {\"0\": \"MR\"}, \"labels\": {\"background\": 0, \"ball\": 1}, "
        "\"numTraining\": 8, \"file_ending\": \".nii\"}",
        -1, NULL));
    for (guint i = 0; i < CASES; i++) {
        g_autofree char *image = g_strdup_printf("case_%u_0000.nii", i);
        g_autofree char *label = g_strdup_printf("case_%u.nii", i);

        volume_write(folder, "imagesTr", image, LOOM_F32);
        volume_write(folder, "labelsTr", label, LOOM_U8);
    }
    return folder;
}

/* A graph that reads every case of @folder twice. */
static LoomRun *run_open(const char *folder, const char *memory, LoomNode **config,
                         GError **error)
{
    g_autofree char *text =
        g_strdup_printf("segloom: 1\n"
                        "data: {dataset: %s, folds: 1}\n"
                        "graphs:\n"
                        "  all:\n"
                        "    load: {use: nifti_load, split: train, epochs: 2}\n"
                        "    cut:  {use: crop, from: load, queue: 2, size: [8, 8, 8]}\n"
                        "run: {graph: all%s}\n",
                        folder, memory);
    const LoomRunOptions options = {.folder = NULL};

    *config = loom_yaml_parse(text, strlen(text), "test", "/", error);
    return *config ? loom_run_open(*config, loom_test_registry(), &options, error) : NULL;
}

static const LoomHop *loader_of(const LoomRun *run)
{
    return run->main->hops->pdata[0];
}

static void test_without(void)
{
    g_autofree char *folder = set_make();
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomRun) run = run_open(folder, "", &config, &error);

    g_assert_no_error(error);
    loom_assert_near((double)loader_of(run)->plan.bytes / 1048576, CASES * CASE_MIB, 1e-9);
    loom_test_folder_remove(folder);
}

/* What the run needs at least, by the message of a ceiling that is too low. */
static double needed_mib(const char *folder)
{
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(GError) error = NULL;

    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*queues hold 1 packet at most");
    loom_assert_failed(run_open(folder, ", memory: 1MiB", &config, &error), error, LOOM_ERROR,
                       LOOM_ERROR_LIMIT, "memory is 1.0 MiB, at least ");
    g_test_assert_expected_messages();
    g_assert_true(g_str_has_prefix(error->message, "test:7:"));
    g_assert_cmpstr(loom_error_name(error), ==, "E-MEMORY");
    /* a case in the loader's hand, one in the queue, one in crop's with its patch of 8 voxels
     * along an edge, 2.5 kB */
    g_assert_nonnull(
        strstr(error->message, " for the program, 4.2 in queues, 8.4 for packets "));
    g_assert_nonnull(strstr(error->message, " by stage 'cut' (crop): "));
    g_assert_nonnull(strstr(error->message, "MiB, or smaller cases"));
    return g_ascii_strtod(strstr(error->message, "at least ") + strlen("at least "), NULL);
}

/* Room for 1.5 cases besides what is needed with a queue of 2: no queue is touched. */
static void test_cut(void)
{
    g_autofree char *folder = set_make();
    const double spare = 4.5 * CASE_MIB;
    g_autofree char *memory =
        g_strdup_printf(", memory: %.0fkB", (needed_mib(folder) + CASE_MIB + spare) * 1048.576);
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(GError) error = NULL;

    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*of the cases' * MiB, * are kept*");
    g_autoptr(LoomRun) run = run_open(folder, memory, &config, &error);
    g_assert_no_error(error);
    g_test_assert_expected_messages();
    /* Between the two opens the process itself may have grown or shrunk: pages that were freed
     * are given back when the system wants them.  Not by all that was asked for, though. */
    loom_assert_near((double)loader_of(run)->cache / 1048576, spare, 2.5 * CASE_MIB);
    g_assert_cmpuint(loader_of(run)->plan.bytes, ==, loader_of(run)->cache);
    g_assert_cmpuint(loom_run_memory_sum(loom_run_memory(run)), <=,
                     loom_run_memory(run)->ceiling);
    g_assert_cmpint(loom_run_execute(run, &error), ==, LOOM_RUN_DONE);
    g_assert_no_error(error);
    loom_test_folder_remove(folder);
}

/* Room for half a case less than a queue of 2 takes: it holds 1, and no case is kept. */
static void test_queue(void)
{
    g_autofree char *folder = set_make();
    g_autofree char *memory =
        g_strdup_printf(", memory: %.0fkB", (needed_mib(folder) + CASE_MIB / 2) * 1048.576);
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(GError) error = NULL;

    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*queues hold 1 packet at most");
    g_test_expect_message(NULL, G_LOG_LEVEL_MESSAGE, "*of the cases' * MiB, * are kept*");
    g_autoptr(LoomRun) run = run_open(folder, memory, &config, &error);
    g_assert_no_error(error);
    g_test_assert_expected_messages();
    g_assert_cmpint(((const LoomHop *)run->main->hops->pdata[1])->queue, ==, 1);
    g_assert_cmpuint(loader_of(run)->cache, <, (guint64)(CASE_MIB * 1048576));
    g_assert_cmpint(loom_run_execute(run, &error), ==, LOOM_RUN_DONE);
    loom_test_folder_remove(folder);
}

static void test_enough(void)
{
    g_autofree char *folder = set_make();
    g_autoptr(LoomNode) config = NULL;
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomRun) run = run_open(folder, ", memory: 8GiB", &config, &error);

    g_assert_no_error(error);
    loom_assert_near((double)loader_of(run)->cache / 1048576, CASES * CASE_MIB, 1e-9);
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/run/memory/without", test_without);
    g_test_add_func("/run/memory/cut", test_cut);
    g_test_add_func("/run/memory/queue", test_queue);
    g_test_add_func("/run/memory/enough", test_enough);
    return loom_test_run();
}
