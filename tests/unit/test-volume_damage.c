/* Files that are cut, bent, packed or no files at all: whole voxels or a named refusal, never
 * less. */
#include "loom_test.h"
#include "nifti_bytes.h"

#include <math.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static char *folder; /* of all files here */

static double value_index(gint64 v)
{
    return (double)v;
}

static LoomTensor *read_all(const char *path, GError **error)
{
    return loom_volume_read(path, LOOM_NAN_REFUSE, 0, NULL, error);
}

/* ---- gzip --------------------------------------------------------------------------- */

/* 5 x 4 x 3 of int16 with some structure: about 150 bytes of gzip. */
static GByteArray *small_file(void)
{
    NiftiFields fields = nifti_fields(5, 4, 3);

    fields.datatype = 4;
    fields.bitpix = 16;
    return nifti_file(&fields, value_index);
}

static void assert_small(const LoomTensor *volume)
{
    g_assert_cmpint(loom_tensor_count(volume), ==, 60);
    for (guint v = 0; v < 60; v++)
        g_assert_cmpfloat((double)loom_tensor_f32(volume)[v], ==, v);
}

static void read_small(const char *name, const GByteArray *bytes)
{
    g_autofree char *path = nifti_write(folder, name, bytes);
    g_autoptr(GError) error = NULL;
    g_autoptr(LoomTensor) volume = read_all(path, &error);

    g_assert_no_error(error);
    assert_small(volume);
}

/* Cut anywhere, inside the header too: members are legal, and so is what follows the last. */
static void test_members(void)
{
    g_autoptr(GByteArray) plain = small_file();
    g_autoptr(GByteArray) whole = nifti_gzip(plain->data, plain->len);

    read_small("plain.nii", plain);
    read_small("plain-named.nii.gz", plain);
    read_small("gzip.nii.gz", whole);
    read_small("gzip-named.nii", whole);
    for (guint cut = 0; cut <= plain->len; cut += 13) {
        g_autoptr(GByteArray) two = nifti_gzip(plain->data, cut);
        g_autoptr(GByteArray) second = nifti_gzip(plain->data + cut, plain->len - cut);

        g_byte_array_append(two, second->data, second->len);
        read_small("members.nii.gz", two);
        g_byte_array_append(two, (const guint8 *)"\0\0\0\0", 4); /* padding of tapes */
        read_small("padded.nii.gz", two);
    }
}

static void test_after(void)
{
    g_autoptr(GByteArray) plain = small_file();
    g_autoptr(GError) error = NULL;

    g_byte_array_append(plain, (const guint8 *)"after the voxels", 16);
    read_small("after.nii", plain);
    g_autoptr(GByteArray) whole = nifti_gzip(plain->data, plain->len);
    read_small("after.nii.gz", whole);

    /* the CRC behind those bytes is checked as well; nifti2_io never reaches it */
    whole->data[whole->len - 8] ^= 1;
    g_autofree char *path = nifti_write(folder, "after-crc.nii.gz", whole);
    loom_assert_failed(read_all(path, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "incorrect data check");
}

static void test_truncated(void)
{
    g_autoptr(GByteArray) plain = small_file();
    g_autoptr(GByteArray) whole = nifti_gzip(plain->data, plain->len);

    for (guint gzip = 0; gzip < 2; gzip++) {
        GByteArray *bytes = gzip ? whole : plain;

        for (guint length = bytes->len; length-- > 0;) {
            const char *name = gzip ? "cut.nii.gz" : "cut.nii";
            g_autoptr(GError) error = NULL;

            g_byte_array_set_size(bytes, length);
            g_autofree char *path = nifti_write(folder, name, bytes);
            g_assert_null(read_all(path, &error));
            nifti_assert_named(error, path);
        }
    }
}

/* Every single bit: refused, or the same voxels.  Those are bits that mean nothing: flags, time
 * and system in gzip's header of 10 bytes, and what fills the last byte of the deflate data,
 * before the 8 bytes of CRC and size. */
static void test_flipped(void)
{
    g_autoptr(GByteArray) plain = small_file();
    g_autoptr(GByteArray) whole = nifti_gzip(plain->data, plain->len);
    guint read = 0;

    for (guint bit = 0; bit < whole->len * 8; bit++) {
        g_autoptr(GError) error = NULL;

        whole->data[bit / 8] ^= (guint8)(1u << bit % 8);
        g_autofree char *path = nifti_write(folder, "flipped.nii.gz", whole);
        g_autoptr(LoomTensor) volume = read_all(path, &error);
        if (volume) {
            read++;
            assert_small(volume);
            g_assert_true(bit / 8 < 10 || bit / 8 == whole->len - 9);
        } else {
            nifti_assert_named(error, path);
        }
        whole->data[bit / 8] ^= (guint8)(1u << bit % 8);
    }
    g_assert_cmpuint(read, <=, 7 * 8 + 7); /* FLG, MTIME, XFL, OS; the filling */
}

/* A header that promises 32767^2 voxels in 200 bytes of gzip: refused before memory is asked.
 */
static void test_bomb(void)
{
    NiftiFields fields = nifti_fields(32767, 32767, 1);
    g_autoptr(GByteArray) header = nifti_header(&fields);
    g_autoptr(GByteArray) claim = nifti_gzip(header->data, header->len);
    g_autofree char *path = nifti_write(folder, "claim.nii.gz", claim);
    g_autoptr(GError) error = NULL;

    loom_assert_failed(read_all(path, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "holds at most");
    g_clear_error(&error);

    /* a true bomb behind small voxels: 80 MiB of zeros in 80 KiB */
    g_autoptr(GByteArray) small = small_file();
    g_autofree guint8 *zeros = g_malloc0((gsize)80 << 20);
    memcpy(zeros, small->data, small->len);
    g_autoptr(GByteArray) bomb = nifti_gzip(zeros, (gsize)80 << 20);
    g_autofree char *bomb_path = nifti_write(folder, "bomb.nii.gz", bomb);
    loom_assert_failed(read_all(bomb_path, &error), error, LOOM_ERROR, LOOM_ERROR_LIMIT,
                       "more than 64 MiB follow the voxels");
}

/* ---- what is no file ---------------------------------------------------------------- */

static void test_not_files(void)
{
    g_autofree char *fifo = g_build_filename(folder, "fifo.nii", NULL);
    g_autofree char *none = g_build_filename(folder, "none.nii", NULL);
    g_autoptr(GError) error = NULL;

    g_assert_cmpint(mkfifo(fifo, 0600), ==, 0);
    loom_assert_failed(read_all(fifo, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "is a FIFO, want a regular file");
    nifti_assert_named(error, fifo);
    g_clear_error(&error);
    loom_assert_failed(read_all(folder, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "is a folder");
    g_clear_error(&error);
    loom_assert_failed(read_all("/dev/zero", &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "is a device");
    g_clear_error(&error);
    loom_assert_failed(read_all(none, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "No such file");
    nifti_assert_named(error, none);
}

/* ---- pairs -------------------------------------------------------------------------- */

static void test_pairs(void)
{
    NiftiFields fields = nifti_fields(5, 4, 3);
    g_autoptr(GByteArray) voxels = g_byte_array_new();
    g_autoptr(GError) error = NULL;

    fields.pair = TRUE;
    for (guint v = 0; v < 60; v++)
        nifti_append(voxels, &fields, v);
    g_autoptr(GByteArray) header = nifti_header(&fields);
    g_autoptr(GByteArray) header_gz = nifti_gzip(header->data, header->len);
    g_autoptr(GByteArray) voxels_gz = nifti_gzip(voxels->data, voxels->len);

    g_autofree char *alone = nifti_write(folder, "alone.hdr", header);
    loom_assert_failed(read_all(alone, &error), error, LOOM_ERROR, LOOM_ERROR_IO,
                       "alone.img.gz' exists");
    nifti_assert_named(error, alone);
    g_clear_error(&error);
    g_autofree char *misnamed = nifti_write(folder, "pair.nii", header);
    loom_assert_failed(read_all(misnamed, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT,
                       "does not end with .hdr");
    g_clear_error(&error);

    g_autofree char *image = nifti_write(folder, "p.img", voxels);
    read_small("p.hdr", header);
    read_small("p.hdr.gz", header_gz);
    g_free(nifti_write(folder, "q.img.gz", voxels_gz));
    read_small("q.hdr", header);
    g_autoptr(LoomTensor) by_image = read_all(image, &error); /* either half names the pair */
    g_assert_no_error(error);
    assert_small(by_image);

    voxels_gz->data[voxels_gz->len - 8] ^= 1;
    g_autofree char *bent = nifti_write(folder, "q.img.gz", voxels_gz);
    g_autofree char *whole = g_build_filename(folder, "q.hdr", NULL);
    loom_assert_failed(read_all(whole, &error), error, LOOM_ERROR, LOOM_ERROR_FORMAT, bent);
    nifti_assert_named(error, whole);
}

/* ---- mutations ---------------------------------------------------------------------- */

/* Seeded damage: 1 to 4 bytes of the header, or anywhere, of plain, gzip and NIfTI-2 files.  A
 * reader may accept what is still consistent; it may not crash, and it may not ask for more
 * than the file can hold: 1032 times its size, as f32 4 times that. */
static void test_mutations(void)
{
    NiftiFields two = nifti_fields(5, 4, 3);
    g_autoptr(GByteArray) plain = small_file();
    LoomRng rng = loom_rng(20, "mutations", 0);
    struct rusage used;
    guint accepted = 0;

    two.version = 2;
    two.qform_code = 1;
    two.sform_code = 0;
    g_autoptr(GByteArray) second = nifti_file(&two, value_index);
    for (guint round = 0; round < 24000; round++) {
        const GByteArray *base = round % 3 == 1 ? second : plain;
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        g_autoptr(GError) error = NULL;
        const gboolean outside = round % 3 == 2 && round % 2; /* damage the gzip itself */
        const gint64 n = 1 + loom_rng_below(&rng, 4);

        g_byte_array_append(bytes, base->data, base->len);
        for (gint64 i = 0; i < n && !outside; i++)
            bytes->data[loom_rng_below(&rng, round % 4 ? 348 : bytes->len)] =
                (guint8)loom_rng_below(&rng, 256);
        g_autoptr(GByteArray) gzip = nifti_gzip(bytes->data, bytes->len);
        for (gint64 i = 0; i < n && outside; i++)
            gzip->data[loom_rng_below(&rng, gzip->len)] = (guint8)loom_rng_below(&rng, 256);
        const GByteArray *file = round % 3 == 2 ? gzip : bytes;
        g_autofree char *path = nifti_write(folder, "mutation.nii", file);
        g_autoptr(LoomTensor) volume = loom_volume_read(path, LOOM_NAN_ZERO, 0, NULL, &error);

        if (!volume) {
            nifti_assert_named(error, path);
            continue;
        }
        accepted++;
        g_assert_cmpuint(loom_tensor_bytes(volume), <=, 4 * 1032 * (gsize)file->len);
    }
    /* KiB: what was refused asked for no memory either (ASan keeps up to 256 MiB of freed) */
    g_assert_cmpint(getrusage(RUSAGE_SELF, &used), ==, 0);
    g_assert_cmpint(used.ru_maxrss, <, 640 << 10);
    g_assert_cmpuint(accepted, >, 1000); /* else the damage is too coarse to test anything */
    g_assert_cmpuint(accepted, <, 23000);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    folder = g_dir_make_tmp("loom-volume-XXXXXX", NULL);
    g_test_add_func("/volume/gzip/members", test_members);
    g_test_add_func("/volume/gzip/after", test_after);
    g_test_add_func("/volume/truncated", test_truncated);
    g_test_add_func("/volume/gzip/flipped", test_flipped);
    g_test_add_func("/volume/gzip/bomb", test_bomb);
    g_test_add_func("/volume/not-files", test_not_files);
    g_test_add_func("/volume/pairs", test_pairs);
    g_test_add_func("/volume/mutations", test_mutations);
    const int result = loom_test_run();
    nifti_remove(folder);
    g_free(folder);
    return result;
}
