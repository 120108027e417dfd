/* Event files of TensorBoard: checks against published vectors, records against TensorBoard's
 * own writer, and what the stage log writes read back. */
#include "loom_test.h"

#include "../stages/report/events.h"
#include "../stages/report/tfrecord.h"
#include "events.pb-c.h"
#include "graph/state.h"

#include <math.h>
#include <string.h>

/* ---- checks ------------------------------------------------------------------------- */

/* RFC 3720, appendix B.4; and the usual check of a CRC, of the digits 1 to 9. */
static void test_crc(void)
{
    guint8 bytes[32];

    memset(bytes, 0, sizeof bytes);
    g_assert_cmphex(tfrecord_crc(bytes, 32), ==, 0x8a9136aa);
    memset(bytes, 0xff, sizeof bytes);
    g_assert_cmphex(tfrecord_crc(bytes, 32), ==, 0x62a8ab43);
    for (guint i = 0; i < 32; i++)
        bytes[i] = (guint8)i;
    g_assert_cmphex(tfrecord_crc(bytes, 32), ==, 0x46dd794e);
    for (guint i = 0; i < 32; i++)
        bytes[i] = (guint8)(31 - i);
    g_assert_cmphex(tfrecord_crc(bytes, 32), ==, 0x113fdb5c);
    g_assert_cmphex(tfrecord_crc((const guint8 *)"123456789", 9), ==, 0xe3069283);
    g_assert_cmphex(tfrecord_crc(NULL, 0), ==, 0);
}

/* Written by TensorBoard 2.21, tensorboard.summary.writer.record_writer: the version at 1.5 s,
 * a start at 2.5 s and step 7, train/loss = 0.25 and train/dice/a = 0 at 1700000000.25 s. */
static const guint8 golden[] = {
    0x18, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa3, 0x7f, 0x4b, 0x22, 0x09, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x3f, 0x1a, 0x0d, 0x62, 0x72, 0x61, 0x69, 0x6e,
    0x2e, 0x45, 0x76, 0x65, 0x6e, 0x74, 0x3a, 0x32, 0x2a, 0x28, 0x64, 0x6c, 0x0f, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x6d, 0x53, 0x2b, 0x09, 0x09, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x04, 0x40, 0x10, 0x07, 0x3a, 0x02, 0x08, 0x01, 0x9a, 0xaf, 0x83,
    0xce, 0x35, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd6, 0xc5, 0x5d, 0xe6, 0x09,
    0x00, 0x00, 0x10, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10, 0x07, 0x2a, 0x28, 0x0a, 0x11,
    0x0a, 0x0a, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00,
    0x00, 0x80, 0x3e, 0x0a, 0x13, 0x0a, 0x0c, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x64,
    0x69, 0x63, 0x65, 0x2f, 0x61, 0x15, 0x00, 0x00, 0x00, 0x00, 0x4f, 0xd5, 0xde, 0x8e,
};

static void test_golden(void)
{
    const LoomField fields[] = {{"loss", 0.25, NULL},
                                {"norm", NAN, NULL},
                                {"queues", 0, "batch 1/4"},
                                {"dice/a", 0, NULL}};
    g_autoptr(GByteArray) bytes = g_byte_array_new();

    events_version_append(bytes, 1.5);
    events_start_append(bytes, 2.5, 7);
    events_scalars_append(bytes, 1700000000.25, 7, "train", fields, G_N_ELEMENTS(fields));
    events_scalars_append(bytes, 3, 8, "train", fields + 1, 2); /* no number: no event */
    g_assert_cmpuint(bytes->len, ==, sizeof golden);
    g_assert_true(memcmp(bytes->data, golden, sizeof golden) == 0);
}

/* ---- the stage log ------------------------------------------------------------------ */

/* The events of a file, both checks of each compared; (transfer full). */
static GPtrArray *events_read(const char *path)
{
    GPtrArray *events = g_ptr_array_new();
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    gsize length, at = 0;

    g_file_get_contents(path, &text, &length, &error);
    g_assert_no_error(error);
    const guint8 *bytes = (const guint8 *)text;
    while (at < length) {
        guint64 size;
        guint32 size_check, check;

        g_assert_cmpuint(at + 16, <=, length);
        memcpy(&size, bytes + at, 8);
        memcpy(&size_check, bytes + at + 8, 4);
        g_assert_cmphex(size_check, ==, tfrecord_mask(tfrecord_crc(bytes + at, 8)));
        g_assert_cmpuint(at + 16 + size, <=, length);
        memcpy(&check, bytes + at + 12 + size, 4);
        g_assert_cmphex(check, ==, tfrecord_mask(tfrecord_crc(bytes + at + 12, size)));
        Segloom__Event *event = segloom__event__unpack(NULL, size, bytes + at + 12);
        g_assert_nonnull(event);
        g_ptr_array_add(events, event);
        at += 16 + size;
    }
    return events;
}

static void events_free(GPtrArray *events)
{
    for (guint i = 0; i < events->len; i++)
        segloom__event__free_unpacked(events->pdata[i], NULL);
    g_ptr_array_unref(events);
}

/* NaN: there is no such value. */
static double value_of(const Segloom__Event *event, const char *tag)
{
    for (gsize i = 0;
         event->what_case == SEGLOOM__EVENT__WHAT_SUMMARY && i < event->summary->n_value; i++)
        if (g_str_equal(event->summary->value[i]->tag, tag))
            return (double)event->summary->value[i]->simple_value;
    return NAN;
}

static gint names_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names in events/, in order; (transfer full). */
static GPtrArray *files_of(const char *folder)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *path = g_build_filename(folder, "events", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir)))
        g_ptr_array_add(names, g_build_filename(path, name, NULL));
    g_ptr_array_sort(names, names_compare);
    return names;
}

static LoomPacket *trained(double loss)
{
    LoomPacket *packet = loom_packet_new();

    loom_packet_set(packet, "loss", loom_tensor_new_scalar(loss));
    loom_packet_set(packet, "rate", loom_tensor_new_scalar(0.5));
    return packet;
}

static void step_done(LoomTestStage *stage, gint64 step, double loss)
{
    loom_test_stage_run(stage)->step = step;
    g_assert_cmpint(loom_test_push(stage, trained(loss), step - 1, NULL), ==, LOOM_FLOW_OK);
}

/* As the stage metrics would, of a validation after the step that is done. */
static void validated(LoomTestStage *stage, double dice)
{
    LoomRun *run = loom_test_stage_run(stage);
    const LoomField fields[] = {{"cases", 2, NULL},
                                {"dice", dice, NULL},
                                {"dice/Tumour", dice, NULL},
                                {"precision", NAN, NULL}};

    loom_run_record(run, "metrics", run->step, fields, G_N_ELEMENTS(fields));
}

static LoomTestStage *log_new(const char *folder, gint64 resumed)
{
    g_autofree char *sections = g_strdup_printf(
        "backend: {use: reference}\nmodels: {m: {use: toy, resumes: %d}}", (int)resumed);
    const LoomTestSetup setup = {
        .folder = folder, .sections = resumed ? sections : NULL, .resume = resumed > 0};

    return loom_test_stage("{use: log, every: 2, tensorboard: true}", &setup, NULL);
}

static void test_log(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomTestStage) stage = log_new(folder, 0);

    step_done(stage, 1, 1);
    step_done(stage, 2, 0);
    validated(stage, 0.75);
    step_done(stage, 3, 0.5);
    loom_test_finish(stage, NULL);
    g_autoptr(GPtrArray) files = files_of(folder);
    g_assert_cmpuint(files->len, ==, 1);
    GPtrArray *events = events_read(files->pdata[0]);
    g_assert_cmpuint(events->len, ==, 2 + 3);
    const Segloom__Event *version = events->pdata[0], *start = events->pdata[1],
                         *first = events->pdata[2], *metrics = events->pdata[3],
                         *last = events->pdata[4];
    g_assert_cmpstr(version->file_version, ==, "brain.Event:2");
    g_assert_cmpint(start->what_case, ==, SEGLOOM__EVENT__WHAT_SESSION_LOG);
    g_assert_cmpint(start->step, ==, 1);
    g_assert_cmpint(first->step, ==, 2);
    loom_assert_near(value_of(first, "train/loss"), 0.5, 0);
    loom_assert_near(value_of(first, "train/rate"), 0.5, 0);
    g_assert_cmpint(metrics->step, ==, 2);
    loom_assert_near(value_of(metrics, "validate/dice/Tumour"), 0.75, 0);
    loom_assert_near(value_of(metrics, "validate/cases"), 2, 0);
    g_assert_true(isnan(value_of(metrics, "validate/precision"))); /* null in the log */
    g_assert_true(isnan(value_of(metrics, "validate/step")));
    g_assert_cmpint(last->step, ==, 3);
    loom_assert_near(value_of(last, "train/loss"), 0.5, 0);
    events_free(events);
    loom_test_folder_remove(folder);
}

/* A start in the same second begins a file that sorts behind, and says from which step on. */
static void test_resumed(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autoptr(LoomTestStage) stage = log_new(folder, 0);

    step_done(stage, 1, 1);
    step_done(stage, 2, 0);
    validated(stage, 0.75);
    loom_test_finish(stage, NULL);
    step_done(stage, 3, 0);
    step_done(stage, 4, 0);
    g_autoptr(LoomTestStage) again = log_new(folder, 2);
    step_done(again, 3, 3);
    step_done(again, 4, 5);
    g_autoptr(GPtrArray) files = files_of(folder);
    g_assert_cmpuint(files->len, ==, 2);
    GPtrArray *events = events_read(files->pdata[1]);
    g_assert_cmpuint(events->len, ==, 2 + 1); /* the validation is in the file before */
    const Segloom__Event *start = events->pdata[1], *step = events->pdata[2];
    g_assert_cmpint(start->step, ==, 3);
    g_assert_cmpint(step->step, ==, 4);
    loom_assert_near(value_of(step, "train/loss"), 4, 0);
    events_free(events);
    loom_test_folder_remove(folder);
}

/* Nothing unless it is asked for. */
static void test_silent(void)
{
    g_autofree char *folder = loom_test_folder();
    const LoomTestSetup setup = {.folder = folder};
    g_autoptr(LoomTestStage) stage = loom_test_stage("{use: log, every: 1}", &setup, NULL);

    step_done(stage, 1, 1);
    g_autoptr(GPtrArray) files = files_of(folder);
    g_assert_cmpuint(files->len, ==, 0);
    loom_test_folder_remove(folder);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_setenv("LOOM_MODULE_PATH", TOY_MODULES, TRUE);
    g_test_add_func("/stages/events/crc", test_crc);
    g_test_add_func("/stages/events/golden", test_golden);
    g_test_add_func("/stages/events/log", test_log);
    g_test_add_func("/stages/events/resumed", test_resumed);
    g_test_add_func("/stages/events/silent", test_silent);
    return loom_test_run();
}
