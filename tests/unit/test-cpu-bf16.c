/* How the backend `cpu` keeps numbers in maps of bf16: every set of kernels that runs here
 * rounds to the nearest, and where two are as near to the even one; maps of few channels keep
 * all. */
#include "loom_test.h"

#include "../../plugins/backend/cpu.h"

#include <math.h>
#include <string.h>

static const struct {
    guint32 bits, kept; /* of an f32 */
} roundings[] = {
    {0x00000000, 0x00000000}, /* 0 */
    {0x3f800000, 0x3f800000}, /* 1 */
    {0x3f807fff, 0x3f800000}, /* below the middle of 1 and 1 + 2^-7 */
    {0x3f808000, 0x3f800000}, /* the middle: 1 is even */
    {0x3f808001, 0x3f810000}, /* above it */
    {0x3f818000, 0x3f820000}, /* the next middle: up to the even one */
    {0xbf818000, 0xbf820000}, /* the same below 0 */
    {0x3fffffff, 0x40000000}, /* into the next power of 2 */
    {0x7f7fffff, 0x7f800000}, /* the largest number: infinite */
    {0x7f7f7fff, 0x7f7f0000}, /* the largest that is not */
    {0x7f800000, 0x7f800000}, /* infinite stays so */
    {0xff800000, 0xff800000},
    {0x00008000, 0x00000000}, /* subnormal, half of the smallest: to even */
    {0x00018000, 0x00020000}, /* subnormals are kept, not made 0 */
    {0x807f8001, 0x80800000},
};
#define N_ROUNDINGS G_N_ELEMENTS(roundings)

/* What is none stays none, of whatever bits. */
static const guint32 no_numbers[] = {0x7fc00000, 0xffc00000, 0x7f800001,
                                     0xff800001, 0x7fffffff, 0xffffffff};

static float float_of(guint32 bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static guint32 bits_of(float value)
{
    guint32 bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

typedef void (*PerBuild)(const CpuKernels *kernels);

static void each_build(CpuPrecision precision, PerBuild test)
{
    static const char *const names[] = {"portable", "avx2", "avx512"};

    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        const CpuKernels *kernels = isa_pick(isa_processor(), names[i], precision, NULL);

        if (!kernels)
            continue; /* not on this machine */
        g_test_message("%s", names[i]);
        test(kernels);
    }
}

/* The value goes in as each of the 16 channels of voxel 1, and must come out as @kept: NaN for
 * any; the others are 1. */
static void kept_as(const CpuKernels *kernels, float value, float kept, gint64 lanes,
                    gboolean narrow)
{
    guint8 memory[3 * CPU_BLOCK * sizeof(float)] __attribute__((aligned(64)));
    const CpuPlane plane = {.data = memory, .lanes = lanes, .narrow = narrow};
    float in[CPU_BLOCK * 3], out[CPU_BLOCK * 3];

    memset(memory, 0xff, sizeof memory);
    for (guint i = 0; i < G_N_ELEMENTS(in); i++)
        in[i] = i % 3 == 1 ? value : 1.0f;
    kernels->to_plane(in, 3, &plane, 0, 0, 3);
    kernels->from_plane(&plane, 0, 0, 3, out, 3);
    for (guint i = 0; i < 3 * lanes; i++) {
        const float want = i % 3 == 1 ? kept : 1.0f;

        g_assert_true(isnan(want) ? isnan(out[i]) : bits_of(out[i]) == bits_of(want));
    }
}

static void rounds(const CpuKernels *kernels)
{
    for (guint i = 0; i < N_ROUNDINGS; i++)
        kept_as(kernels, float_of(roundings[i].bits), float_of(roundings[i].kept), 16, FALSE);
    for (guint i = 0; i < G_N_ELEMENTS(no_numbers); i++)
        kept_as(kernels, float_of(no_numbers[i]), NAN, 16, FALSE);
}

static void test_rounding(void)
{
    each_build(CPU_BF16, rounds);
}

static void keeps(const CpuKernels *kernels)
{
    for (guint i = 0; i < N_ROUNDINGS; i++)
        for (gint64 lanes = 1; lanes <= 8; lanes++)
            kept_as(kernels, float_of(roundings[i].bits), float_of(roundings[i].bits), lanes,
                    TRUE);
}

static void test_narrow(void)
{
    each_build(CPU_F32, keeps);
    each_build(CPU_BF16, keeps);
}

/* Of a narrow map nothing is touched but its own numbers: those behind a voxel are the next
 * one's, or nobody's. */
static void stays_inside(const CpuKernels *kernels)
{
    for (gint64 lanes = 1; lanes <= 8; lanes++) {
        float *memory = g_new(float, (gsize)(2 * lanes)); /* no more: AddressSanitizer sees */
        const CpuPlane plane = {.data = memory, .lanes = lanes, .narrow = TRUE};
        float voxel[CPU_BLOCK] __attribute__((aligned(64)));
        float in[16], out[16];

        for (guint i = 0; i < 16; i++)
            in[i] = (float)i;
        kernels->to_plane(in, 2, &plane, 0, 0, 2);
        kernels->from_plane(&plane, 0, 0, 2, out, 2);
        g_assert_cmpint(memcmp(in, out, (gsize)(2 * lanes) * sizeof *in), ==, 0);
        kernels->first_voxel(&plane, 0, voxel);
        for (gint64 l = 0; l < CPU_BLOCK; l++)
            g_assert_cmpfloat(voxel[l], ==, l < lanes ? 2.0f * (float)l : 0.0f);
        g_free(memory);
    }
}

static void test_inside(void)
{
    each_build(CPU_F32, stays_inside);
    each_build(CPU_BF16, stays_inside);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/bf16/rounding", test_rounding);
    g_test_add_func("/cpu/bf16/narrow", test_narrow);
    g_test_add_func("/cpu/bf16/inside", test_inside);
    return loom_test_run();
}
