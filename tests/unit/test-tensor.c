/* Tensors, packets, random streams and the pool keep their promises. */
#include "loom_test.h"

#include <math.h>
#include <string.h>

static void test_shape(void)
{
    g_autoptr(LoomTensor) t = loom_test_f32("CDHW", SHAPE(1, 2, 3, 4), (float[24]){1}, 24);
    g_autofree char *text = loom_tensor_describe(t);

    g_assert_cmpstr(text, ==, "f32 (C,D,H,W) = (1,2,3,4)");
    g_assert_cmpint(loom_tensor_count(t), ==, 24);
    g_assert_cmpint(loom_tensor_count_from(t, 'H'), ==, 12);
    g_assert_cmpint(loom_tensor_size(t, 'D'), ==, 2);
    g_assert_cmpint(loom_tensor_size(t, 'N'), ==, 1); /* no such axis */
    g_assert_cmpuint(loom_tensor_bytes(t), ==, 96);
    g_assert_cmpuint((guintptr)loom_tensor_f32(t) % 64, ==, 0);
}

static void test_refused(void)
{
    g_autoptr(GError) zero = NULL, huge = NULL, dtype = NULL;
    g_autoptr(LoomTensor) u8 = loom_test_u8("DHW", SHAPE(1, 1, 2), U8(0, 1));

    loom_assert_failed(loom_tensor_new(LOOM_F32, "CD", (const gint64[]){1, 0}, &zero), zero,
                       LOOM_ERROR, LOOM_ERROR_SHAPE, "size 0 along D, want at least 1");
    loom_assert_failed(
        loom_tensor_new(LOOM_F32, "CDH", (const gint64[]){1 << 30, 1 << 30, 1 << 30}, &huge),
        huge, LOOM_ERROR, LOOM_ERROR_LIMIT, "overflows");
    loom_assert_failed(loom_tensor_check(u8, LOOM_F32, "DHW", "image", &dtype), dtype,
                       LOOM_ERROR, LOOM_ERROR_SHAPE,
                       "'image' is u8 (D,H,W) = (1,1,2), want f32 (D,H,W)");
}

static void test_copy_on_write(void)
{
    g_autoptr(LoomPacket) a = loom_packet_new();
    g_autoptr(GError) error = NULL;

    loom_packet_set(a, "image", loom_test_f32("C", SHAPE(2), F32(1, 2)));
    g_autoptr(LoomPacket) b = loom_packet_fork(a);
    g_assert_true(loom_packet_get(a, "image") == loom_packet_get(b, "image"));
    loom_tensor_f32_mut(loom_packet_edit(b, "image", &error))[0] = 9;
    g_assert_no_error(error);
    g_assert_cmpfloat(loom_tensor_f32(loom_packet_get(a, "image"))[0], ==, 1);
    g_assert_cmpfloat(loom_tensor_f32(loom_packet_get(b, "image"))[0], ==, 9);
    g_assert_true(loom_packet_edit(b, "image", NULL) == loom_packet_get(b, "image"));

    loom_packet_set_id(a, "case_7");
    loom_assert_failed(loom_packet_need(a, "label", &error), error, LOOM_ERROR,
                       LOOM_ERROR_SHAPE, "case 'case_7' has no 'label'");
}

static gint opaque_freed;

static void opaque_free(gpointer owner, gpointer data)
{
    g_assert_cmpstr(owner, ==, "owner");
    g_assert_cmpstr(data, ==, "tape");
    opaque_freed++;
}

static void test_opaque(void)
{
    char owner[] = "owner", tape[] = "tape";
    LoomPacket *packet = loom_packet_new();

    loom_packet_set_opaque(packet, "tape", tape, owner, opaque_free);
    g_assert_true(loom_packet_take_opaque(packet, "tape") == tape);
    g_assert_null(loom_packet_take_opaque(packet, "tape"));
    loom_packet_set_opaque(packet, "tape", tape, owner, opaque_free);
    LoomPacket *fork = loom_packet_fork(packet); /* opaque slots have one owner */
    g_assert_null(loom_packet_take_opaque(fork, "tape"));
    loom_packet_free(fork);
    g_assert_cmpint(opaque_freed, ==, 0);
    loom_packet_free(packet);
    g_assert_cmpint(opaque_freed, ==, 1);
}

static void test_grids(void)
{
    g_autoptr(LoomPacket) packet = loom_packet_new(), fork = NULL;
    LoomGeometry file, fine, coarse;

    loom_geometry_plain(&file, (const gint64[]){4, 5, 6}, (const double[]){1, 1, 1});
    loom_geometry_plain(&fine, (const gint64[]){8, 10, 12}, (const double[]){0.5, 0.5, 0.5});
    loom_geometry_plain(&coarse, (const gint64[]){2, 2, 3}, (const double[]){2, 2, 2});
    g_assert_null(loom_packet_native(packet));
    loom_packet_set_geometry(packet, &file);
    g_assert_true(loom_packet_native(packet) == loom_packet_geometry(packet));
    loom_packet_regrid(packet, &fine);
    loom_packet_regrid(packet, &coarse); /* the native grid stays that of the file */
    fork = loom_packet_fork(packet);
    g_assert_cmpint(loom_packet_geometry(fork)->size[0], ==, 2);
    g_assert_cmpint(loom_packet_native(fork)->size[0], ==, 4);
    loom_packet_set_geometry(packet, &fine); /* read anew */
    g_assert_cmpint(loom_packet_native(packet)->size[0], ==, 8);
}

static void test_random_streams(void)
{
    LoomRng a = loom_rng(7, "crop", 3), b = loom_rng(7, "crop", 3), c = loom_rng(7, "crop", 4),
            d = loom_rng(7, "flip", 3), e = loom_rng(8, "crop", 3);
    const guint64 first = loom_rng_u64(&a);

    g_assert_cmpuint(first, ==, loom_rng_u64(&b));
    g_assert_cmpuint(first, !=, loom_rng_u64(&c));
    g_assert_cmpuint(first, !=, loom_rng_u64(&d));
    g_assert_cmpuint(first, !=, loom_rng_u64(&e));
}

/* Mean and variance of 100,000 draws: 5 standard errors of the mean are 5 sd / sqrt(n). */
static void test_random_moments(void)
{
    const gint64 n = 100000;
    LoomRng rng = loom_rng(1, "moments", 0);
    double sum = 0, squares = 0, uniform = 0;
    gint64 counts[7] = {0};

    for (gint64 i = 0; i < n; i++) {
        const double x = loom_rng_normal(&rng);

        sum += x;
        squares += x * x;
        uniform += loom_rng_uniform(&rng, 2, 4);
        counts[loom_rng_below(&rng, 7)]++;
    }
    loom_assert_near(sum / (double)n, 0, 5 / sqrt((double)n));
    loom_assert_near(squares / (double)n, 1,
                     5 * sqrt(2) / sqrt((double)n)); /* var of x^2 is 2 */
    loom_assert_near(uniform / (double)n, 3, 5 * (2 / sqrt(12)) / sqrt((double)n));
    for (guint i = 0; i < 7; i++) /* binomial: sd = sqrt(n p (1-p)) */
        loom_assert_near((double)counts[i], (double)n / 7, 5 * sqrt((double)n * 6 / 49));
}

static void test_shuffle(void)
{
    gint64 values[100], seen[100] = {0}, moved = 0;
    LoomRng rng = loom_rng(1, "shuffle", 0);

    for (gint64 i = 0; i < 100; i++)
        values[i] = i;
    loom_rng_shuffle(&rng, values, 100);
    for (gint64 i = 0; i < 100; i++) {
        seen[values[i]]++;
        moved += values[i] != i;
    }
    for (gint64 i = 0; i < 100; i++)
        g_assert_cmpint(seen[i], ==, 1);
    g_assert_cmpint(moved, >, 90); /* one stays on average */
}

static void mark(gint64 i, guint worker, gpointer data)
{
    g_assert_cmpuint(worker, <, 4);
    __atomic_add_fetch(&((gint64 *)data)[i], 1 + i, __ATOMIC_RELAXED);
}

static void test_pool(void)
{
    g_autoptr(LoomPool) pool = loom_pool_new(4);
    gint64 marks[1000] = {0};

    g_assert_cmpuint(loom_pool_threads(pool), ==, 4);
    for (gint64 round = 1; round <= 50; round++) {
        loom_pool_run(pool, 1000, mark, marks);
        for (gint64 i = 0; i < 1000; i++)
            g_assert_cmpint(marks[i], ==, round * (1 + i));
    }
}

static void test_pool_none(void)
{
    gint64 marks[1000] = {0};

    g_assert_cmpuint(loom_pool_threads(NULL), ==, 1);
    loom_pool_run(NULL, 1000, mark, marks);
    for (gint64 i = 0; i < 1000; i++)
        g_assert_cmpint(marks[i], ==, 1 + i);
}

typedef struct {
    LoomPool *pool;
    gint64 marks[500];
} Caller;

static gpointer call_often(gpointer data)
{
    Caller *caller = data;

    for (guint i = 0; i < 50; i++)
        loom_pool_run(caller->pool, 500, mark, caller->marks);
    return NULL;
}

/* Two lanes at once: who finds the pool busy does its loop alone. */
static void test_pool_shared(void)
{
    g_autoptr(LoomPool) pool = loom_pool_new(3);
    Caller callers[2] = {{pool, {0}}, {pool, {0}}};
    GThread *threads[2];

    for (guint i = 0; i < 2; i++)
        threads[i] = g_thread_new("caller", call_often, &callers[i]);
    for (guint i = 0; i < 2; i++)
        g_thread_join(threads[i]);
    for (guint k = 0; k < 2; k++)
        for (gint64 i = 0; i < 500; i++)
            g_assert_cmpint(callers[k].marks[i], ==, 50 * (1 + i));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tensor/shape", test_shape);
    g_test_add_func("/tensor/refused", test_refused);
    g_test_add_func("/packet/copy-on-write", test_copy_on_write);
    g_test_add_func("/packet/grids", test_grids);
    g_test_add_func("/packet/opaque", test_opaque);
    g_test_add_func("/rng/streams", test_random_streams);
    g_test_add_func("/rng/moments", test_random_moments);
    g_test_add_func("/rng/shuffle", test_shuffle);
    g_test_add_func("/pool/every-index-once", test_pool);
    g_test_add_func("/pool/every-index-once/none", test_pool_none);
    g_test_add_func("/pool/shared", test_pool_shared);
    return loom_test_run();
}
