/* The records of a run as lines for people, in a window of 80 columns. */
#include "loom_test.h"

#include "progress.h"

#include <math.h>
#include <string.h>

static void test_step(void)
{
    const LoomField fields[] = {{"loss", 0.41349, NULL},      {"dice", 0.675, NULL},
                                {"dice/Tumour", 0.71, NULL},  {"dice/Cyst", 0.64, NULL},
                                {"recall/Tumour", 0.5, NULL}, {"rate", 0.01, NULL},
                                {"seconds_left", 62, NULL},   {"queues", 0, "batch 3/4"}};
    const guint n = G_N_ELEMENTS(fields);
    g_autofree char *text = progress_step_text(12, 300, fields, n, 79);
    g_autofree char *narrow = progress_step_text(12, 300, fields, n, 55);
    g_autofree char *mean = progress_step_text(12, 300, fields, n, 40);
    const LoomField alone[] = {{"loss", 0.41349, NULL}, {"queues", 0, ""}};
    g_autofree char *endless = progress_step_text(12, 0, alone, 2, 79);

    g_assert_cmpstr(text, ==,
                    "step 12/300  loss 0.413  dice 0.710 0.640  1:02 left  [batch 3/4]");
    g_assert_cmpstr(narrow, ==, "step 12/300  loss 0.413  dice 0.675  1:02 left");
    g_assert_cmpstr(mean, ==, "step 12/300  loss 0.413  dice 0.675");
    g_assert_cmpstr(endless, ==, "step 12  loss 0.413");
}

/* Of sixty classes those that leave room for the rest, in 79 columns. */
static void test_step_classes(void)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    LoomField fields[64] = {{"loss", 1.5, NULL}, {"dice", 0.5, NULL}};

    for (guint k = 0; k < 60; k++) {
        g_ptr_array_add(names, g_strdup_printf("dice/c%u", k));
        fields[2 + k] = (LoomField){names->pdata[k], 0.5, NULL};
    }
    fields[62] = (LoomField){"seconds_left", 3661, NULL};
    fields[63] = (LoomField){"queues", 0, "batch 8/8"};
    g_autofree char *text = progress_step_text(7, 100, fields, 64, 79);
    g_assert_cmpstr(text, ==,
                    "step 7/100  loss 1.500  dice 0.500 0.500 0.500 ...  1:01:01 left  "
                    "[batch 8/8]");
    g_assert_cmpuint(strlen(text), <=, 79);
}

static void test_metrics(void)
{
    const LoomField fields[] = {{"cases", 40, NULL},           {"dice", 0.871, NULL},
                                {"dice/Anterior", 0.88, NULL}, {"dice/Posterior", 0.862, NULL},
                                {"iou", 0.772, NULL},          {"iou/Anterior", 0.7, NULL},
                                {"precision", NAN, NULL},      {"recall", 0.9, NULL}};
    g_autofree char *wide = progress_text("metrics", 100, fields, 8, 160);
    g_autofree char *usual = progress_text("metrics", 100, fields, 8, 80);
    g_autofree char *narrow = progress_text("metrics", 100, fields, 8, 64);
    g_autofree char *least = progress_text("metrics", 100, fields, 8, 50);

    g_assert_cmpstr(wide, ==,
                    "metrics after step 100:  cases 40  dice 0.871 (Anterior 0.880, Posterior "
                    "0.862)  iou 0.772  precision -  recall 0.900");
    g_assert_cmpstr(usual, ==, /* 79 columns */
                    "metrics after step 100:  cases 40  dice 0.871 (Anterior 0.880, Posterior "
                    "0.862)");
    g_assert_cmpstr(narrow, ==,
                    "metrics after step 100:  cases 40  dice 0.871 (...)  iou 0.772");
    g_assert_cmpstr(least, ==, "metrics after step 100:  cases 40  dice 0.871 (...)");
}

static void test_moves(void)
{
    const LoomMove move = {.graph = "validate", .done = 12, .all = 40};
    const LoomMove inside = {
        .graph = "validate", .done = 12, .all = 40, .part = 5, .parts = 16};
    const LoomMove other = {.graph = "inspect", .done = 3};
    g_autofree char *text = progress_move_text(100, 300, &move);
    g_autofree char *part = progress_move_text(100, 300, &inside);
    g_autofree char *unknown = progress_move_text(100, 0, &other);

    g_assert_cmpstr(text, ==, "step 100/300  validating 12/40");
    g_assert_cmpstr(part, ==, "step 100/300  validating 12/40, the next 31 %");
    g_assert_cmpstr(unknown, ==, "step 100  graph inspect 3");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tools/progress/step", test_step);
    g_test_add_func("/tools/progress/step-classes", test_step_classes);
    g_test_add_func("/tools/progress/metrics", test_metrics);
    g_test_add_func("/tools/progress/moves", test_moves);
    return loom_test_run();
}
