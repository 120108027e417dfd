/* The picture of a study's balance: of any number of classes one that can be opened. */
#include "loom_test.h"
#include "study_balance.h"

#include <string.h>

/* Two losses, and @n classes with one score each. */
static StudyScores scores_of(guint n)
{
    static char *losses[] = {(char *)"dice", (char *)"focal", NULL};
    StudyScores scores = {.losses = losses, .n_losses = 2, .n_classes = n, .n_readings = 2};

    scores.classes = g_ptr_array_new_with_free_func(g_free);
    scores.readings = g_ptr_array_new();
    g_ptr_array_add(scores.readings, (char *)"precision");
    g_ptr_array_add(scores.readings, (char *)"recall");
    scores.cells = g_new0(StudyCell, (gsize)scores.n_losses * n * scores.n_readings);
    for (guint k = 0; k < n; k++)
        g_ptr_array_add(scores.classes, g_strdup_printf("organ %u", k + 1));
    for (guint i = 0; i < scores.n_losses * n * scores.n_readings; i++)
        scores.cells[i] = (StudyCell){.mean = 0.5, .interval = {0.4, 0.6}, .n = 3};
    return scores;
}

/* Width and height out of a PNG's first chunk. */
static void png_size(const char *folder, guint size[2])
{
    g_autofree char *path = g_build_filename(folder, "balance.png", NULL);
    g_autofree char *bytes = NULL;
    gsize length;

    g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
    g_assert_cmpuint(length, >, 24);
    g_assert_true(memcmp(bytes, "\x89PNG", 4) == 0);
    memcpy(size, bytes + 16, 8);
    size[0] = GUINT32_FROM_BE(size[0]);
    size[1] = GUINT32_FROM_BE(size[1]);
}

static void test_classes(void)
{
    static const guint classes[] = {1, 3, 4, 117, 254}; /* 117: TotalSegmentator */
    g_autofree char *folder = loom_test_folder();

    for (guint i = 0; i < G_N_ELEMENTS(classes); i++) {
        StudyScores scores = scores_of(classes[i]);
        GError *error = NULL;
        gboolean drawn = FALSE;
        guint size[2];

        g_assert_true(study_balance_write(&scores, folder, &drawn, &error));
        g_assert_no_error(error);
        g_assert_true(drawn);
        png_size(folder, size);
        g_assert_cmpuint(MAX(size[0], size[1]), <=, 12000);
        if (classes[i] < 5) /* one row, sharp on every screen */
            g_assert_cmpuint(size[1], ==, 824);
        g_ptr_array_unref(scores.classes);
        g_ptr_array_unref(scores.readings);
        g_free(scores.cells);
    }
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/study-balance/classes", test_classes);
    return loom_test_run();
}
