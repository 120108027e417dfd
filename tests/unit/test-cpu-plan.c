/* Which way for each convolution: what was measured is written down, found
 * again, resumed with, and whatever else lies in its place does no harm. */
#include "loom_test.h"

#include "../../plugins/backend/cpu.h"
#include "graph/place.h"
#include "graph/state.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern const LoomModule loom_module; /* of the backend, linked into this test */

static char *cache; /* the file, in a folder of this test's own */

/* ---- the backend ---------------------------------------------------------------------- */

typedef struct {
    LoomRun run;
    LoomHost host;
    Cpu cpu;
} Device;

static Device *device_new_of(CpuPrecision precision, const char *folder, gboolean resume,
                             guint threads)
{
    Device *d = g_new0(Device, 1);
    GError *error = NULL;

    d->cpu.precision = (int)precision;
    d->run.pool = loom_pool_new(threads);
    d->run.folder = g_strdup(folder);
    d->run.options.resume = resume;
    d->host = (LoomHost){&d->run, "test", NULL};
    g_assert_true(loom_module.plugins[0]->open(&d->cpu, &d->host, &error));
    g_assert_no_error(error);
    return d;
}

static Device *device_new(const char *folder, gboolean resume, guint threads)
{
    return device_new_of(CPU_F32, folder, resume, threads);
}

static void device_free(Device *d)
{
    loom_module.plugins[0]->close(&d->cpu);
    loom_pool_free(d->run.pool);
    g_free(d->run.folder);
    g_free(d);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Device, device_free)

static LoomBlockSpec cube(gint64 channels, gint64 edge)
{
    return (LoomBlockSpec){.n = 1,
                           .c_in = {channels, 0},
                           .c_out = channels,
                           .in = {edge, edge, edge},
                           .out = {edge, edge, edge},
                           .kernel = {3, 3, 3},
                           .stride = {1, 1, 1},
                           .training = TRUE};
}

/* "4 2 0", as record_find has it for a small cube; it must find something. */
static char *found(Device *d)
{
    const LoomBlockSpec spec = cube(2, 4);
    gint64 m[CPU_WAYS];

    g_assert_true(record_find(&d->cpu, &spec, m));
    return g_strdup_printf("%d %d %d", (int)m[0], (int)m[1], (int)m[2]);
}

static char *found_by_new(const char *folder, gboolean resume)
{
    g_autoptr(Device) d = device_new(folder, resume, 1);

    return found(d);
}

/* ---- files ---------------------------------------------------------------------------- */

#define SHAPE_KEY "1x 2+0->2 4x4x4"

static char *machine(void)
{
    g_autoptr(Device) d = device_new(NULL, FALSE, 1);

    return g_strdup(d->cpu.machine);
}

static void file_write(const char *path, const char *text)
{
    g_autofree char *folder = g_path_get_dirname(path);

    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static char *file_read(const char *path)
{
    GError *error = NULL;
    char *text;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static void cache_remove(void)
{
    g_autofree char *folder = g_path_get_dirname(cache);

    loom_test_folder_remove(folder);
}

/* The cache holds one line for this machine and the small cube, with these ways. */
static void cache_has(const char *ways)
{
    g_autofree char *text = file_read(cache), *key = machine();
    g_autofree char *line = g_strdup_printf("%s%s\t%s\n", key, SHAPE_KEY, ways);

    if (!strstr(text, line))
        g_error("'%s' is not in:\n%s", line, text);
}

static void cache_say(const char *ways)
{
    g_autofree char *key = machine();
    g_autofree char *line = g_strdup_printf("%s%s\t%s\n", key, SHAPE_KEY, ways);

    file_write(cache, line);
}

/* ---- measured, written, read ---------------------------------------------------------- */

static void test_measured(void)
{
    const LoomBlockSpec spec = cube(16, 28); /* large enough to be worth it */
    g_autofree char *key = machine(), *line = NULL, *other = NULL, *text = NULL;
    LoomBlock *block;

    cache_remove();
    for (guint i = 0; i < 2; i++) {
        g_autoptr(Device) d = device_new(NULL, FALSE, 1);

        block = block_new(&d->cpu, &spec, NULL);
        g_assert_nonnull(block);
        g_free(line);
        line = g_strdup_printf("%s1x 16+0->16 28x28x28\t%d %d %d\n", key, (int)block->way[0].m,
                               (int)block->way[1].m, (int)block->way[2].m);
        block_free(&d->cpu, block);
        if (i == 0) { /* what the second one finds is not what would be measured */
            text = file_read(cache);
            g_assert_cmpstr(text, ==, line);
            other = g_strdup_printf("%s1x 16+0->16 28x28x28\t%s\n", key,
                                    g_str_has_suffix(line, "\t2 0 2\n") ? "0 2 0" : "2 0 2");
            file_write(cache, other);
        }
    }
    g_assert_cmpstr(line, ==, other);
}

/* Too little work to measure, nothing to choose, and a plan that is given: no file. */
static void test_not_measured(void)
{
    LoomBlockSpec specs[] = {cube(2, 4), cube(16, 28), cube(16, 28)};

    cache_remove();
    specs[1].stride[0] = 2;
    specs[1].out[0] = 14;
    for (guint i = 0; i < G_N_ELEMENTS(specs); i++) {
        g_autoptr(Device) d = device_new(NULL, FALSE, 1);

        d->cpu.plan = i == 2 ? CPU_PLAN_FIXED : CPU_PLAN_MEASURE;
        block_free(&d->cpu, block_new(&d->cpu, &specs[i], NULL));
        g_assert_false(g_file_test(cache, G_FILE_TEST_EXISTS));
    }
}

/* One of several ranks has the plan that every other makes by itself, whatever the cache says:
 * that of `plan: fixed`. */
static void test_ranks(void)
{
    g_autofree char *key = machine();
    g_autofree char *line = g_strdup_printf("%s1x 16+0->16 28x28x28\t0 0 0\n", key);
    const LoomBlockSpec spec = cube(16, 28);
    LoomPlace place = {.size = 2};
    gint64 m[2][CPU_WAYS];

    file_write(cache, line);
    for (guint i = 0; i < 2; i++) {
        g_autoptr(Device) d = device_new(NULL, FALSE, 1);

        loom_module.plugins[0]->close(&d->cpu);
        d->cpu = (Cpu){.plan = i ? CPU_PLAN_FIXED : CPU_PLAN_MEASURE};
        d->run.place = i ? NULL : &place;
        g_assert_true(loom_module.plugins[0]->open(&d->cpu, &d->host, NULL));
        LoomBlock *block = block_new(&d->cpu, &spec, NULL);
        for (guint w = 0; w < CPU_WAYS; w++)
            m[i][w] = block->way[w].m;
        block_free(&d->cpu, block);
    }
    g_assert_cmpint(memcmp(m[0], m[1], sizeof m[0]), ==, 0);
    g_assert_cmpint(m[0][0], !=, 0); /* not what the cache says */
}

static void test_obeyed(void)
{
    static const char *const all[] = {"0 0 0", "2 4 0", "4 4 4", "0 2 4"};

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        cache_say(all[i]);
        g_autofree char *ways = found_by_new(NULL, FALSE);
        g_assert_cmpstr(ways, ==, all[i]);
        cache_has(all[i]);
    }
}

/* The largest case of the contract tests, by every build of the kernels that is here: more
 * blocks of tiles than partial sums, the last block not full. */
static void test_blocks(void)
{
    static const char *const builds[] = {"portable", "avx2", "avx512"};
    g_autoptr(Device) d = device_new(NULL, FALSE, 1);
    const CpuKernels *here = d->cpu.kernels;
    LoomBlockSpec spec = cube(5, 19);

    spec.n = 2;
    memcpy(spec.c_in, (gint64[]){3, 2}, sizeof spec.c_in);
    memcpy(spec.in, (gint64[]){19, 17, 29}, sizeof spec.in);
    memcpy(spec.out, spec.in, sizeof spec.out);
    for (guint i = 0; i < 2 * G_N_ELEMENTS(builds); i++) {
        if (!(d->cpu.kernels = isa_pick(isa_processor(), builds[i / 2], CPU_F32, NULL)))
            continue; /* not on this machine */
        d->cpu.plan = i % 2 ? CPU_PLAN_F4 : CPU_PLAN_F2;
        LoomBlock *block = block_new(&d->cpu, &spec, NULL); /* sizes: no kernel runs */
        const CpuWay *way = &block->way[CPU_GRADIENT];
        const CpuTiles *t = &way->tiles;

        g_assert_cmpint(way->slots, >, 1);
        g_assert_cmpint(t->n * t->blocks, >, way->slots);
        g_assert_cmpint(t->tiles[0] * t->tiles[1] * t->tiles[2] % t->block, !=, 0);
        block_free(&d->cpu, block);
    }
    d->cpu.kernels = here;
}

/* ---- what cannot be obeyed ------------------------------------------------------------ */

/* A new backend measures the small cube, and the file is ours again. */
static void measured_anew(void)
{
    g_autofree char *ways = found_by_new(NULL, FALSE);

    cache_has(ways);
}

static void test_damaged(void)
{
    static const char *const damage[] = {
        "\t3 0 0\n", "\t2 4\n",   "\t2 4 \n", "\t2 4 0 0\n",   "\t\n",
        "\t-2 4 0",  "\t24 0\n",  "\n",       "\t2 4 0 \n",    " 2 4 0\n",
        "\t2  4 0",  "\t2 4 0\r", "\t2 4 0x", "\t2.0 4 0\t\t", "\t99999999999999999999 0 0\n"};
    g_autofree char *key = machine();

    for (guint i = 0; i < G_N_ELEMENTS(damage); i++) {
        g_autofree char *text = g_strconcat(key, SHAPE_KEY, damage[i], NULL);

        file_write(cache, text);
        measured_anew();
    }
    file_write(cache, "");
    measured_anew();
    file_write(cache, "\n\n\t\n{\"plans\": []}\n");
    measured_anew();
    cache_say("2 4 0");
    g_assert_true(g_file_set_contents(cache, "\xff\xfe\0\t2 4 0\n", 10, NULL));
    measured_anew();
}

/* Lines of another processor, instruction set, number of threads or version stay and are not
 * used: ours is written beside them. */
static void test_foreign(void)
{
    g_autofree char *key = machine();
    g_auto(GStrv) others = g_new0(char *, 5);

    others[0] = g_strconcat("Another ", key, NULL);
    others[1] = g_strdelimit(g_strdup(key), "12", '7');
    others[2] = g_strconcat(key, "avx9000, ", NULL);
    others[3] = g_strdup("");
    g_assert_nonnull(strstr(key, ", 1 threads, version "));
    for (guint i = 0; others[i]; i++) {
        g_autofree char *text = g_strdup_printf("%s%s\t2 4 0\n", others[i], SHAPE_KEY);

        file_write(cache, text);
        measured_anew();
        g_autofree char *after = file_read(cache);
        g_auto(GStrv) lines = g_strsplit(after, "\n", -1);
        g_assert_cmpuint(g_strv_length(lines), ==, 3); /* two, and the nothing behind */
        g_assert_nonnull(strstr(after, text));
    }
    for (guint threads = 1; threads <= 2; threads++) {
        g_autoptr(Device) d = device_new(NULL, FALSE, threads);
        g_autofree char *want =
            g_strdup_printf(", %s, %u threads, version ", d->cpu.kernels->name, threads);

        g_assert_nonnull(strstr(d->cpu.machine, want));
    }
    g_assert_null(strstr(key, "bf16"));
    g_autoptr(Device) half = device_new_of(CPU_BF16, NULL, FALSE, 1);
    g_assert_nonnull(strstr(half->cpu.machine, " bf16, 1 threads, "));
}

static void test_processor(void)
{
    static const struct {
        const char *text, *name;
    } all[] = {
        {"processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n"
         "model name\t: AMD EPYC\nstepping\t: 1\n\nprocessor\t: 1\nmodel\t\t: 99\n",
         "AMD EPYC 25 17 1"},
        {"model name\t: AMD EPYC\nmodel\t: 17\nstepping\t: 2\n", "AMD EPYC 17 2"},
        {"processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x3\n"
         "CPU part\t: 0xd0c\nCPU revision\t: 1\n",
         "0x41 0xd0c 0x3 1"},
        {"model name : a\tb\n", "a b"},
        {"model name :", "unknown"},
        {"model names\n: 3", "unknown"},
        {"", "unknown"},
        {"\n\n", "unknown"},
    };

    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        g_autofree char *name = record_processor(all[i].text);

        g_assert_cmpstr(name, ==, all[i].name);
    }
    g_autofree char *valid = record_processor("model name : \xff\n");
    g_assert_true(g_utf8_validate(valid, -1, NULL));
}

/* What is larger than we ever write is not even read, nor is what is no file. */
static void test_no_file(void)
{
    g_autofree char *folder = g_path_get_dirname(cache), *ways = NULL;

    cache_say("2 4 0");
    g_assert_cmpint(truncate(cache, (off_t)8 << 30), ==, 0); /* a hole */
    measured_anew();
    g_assert_cmpint(g_unlink(cache), ==, 0);
    g_assert_cmpint(mkfifo(cache, 0600), ==, 0); /* who reads it waits for ever */
    measured_anew();
    g_assert_cmpint(g_unlink(cache), ==, 0);
    g_assert_cmpint(symlink("/dev/zero", cache), ==, 0);
    measured_anew();
    cache_say("2 4 0");
    g_assert_cmpint(g_chmod(cache, 0), ==, 0); /* root reads it all the same */
    g_free(found_by_new(NULL, FALSE));
    cache_remove();
    g_assert_cmpint(g_mkdir_with_parents(cache, 0755), ==, 0); /* a folder where it should be */
    g_free(found_by_new(NULL, FALSE));
    g_assert_true(g_file_test(cache, G_FILE_TEST_IS_DIR));
    cache_remove();
    g_assert_true(
        g_file_set_contents(folder, "", 0, NULL)); /* a file where its folder should */
    g_free(found_by_new(NULL, FALSE));
    g_assert_cmpint(g_unlink(folder), ==, 0);
    g_assert_cmpint(g_mkdir(folder, 0500), ==, 0); /* root writes into it all the same */
    g_free(found_by_new(NULL, FALSE));
    g_assert_cmpint(g_chmod(folder, 0700), ==, 0);
}

/* ---- the folder of a run -------------------------------------------------------------- */

static void test_resumed(void)
{
    g_autofree char *folder = loom_test_folder();
    g_autofree char *plan = g_build_filename(folder, "plan.txt", NULL);

    cache_say("2 4 0");
    g_autofree char *first = found_by_new(folder, FALSE), *text = file_read(plan);
    g_assert_cmpstr(first, ==, "2 4 0");
    g_assert_cmpstr(text, ==, SHAPE_KEY "\t2 4 0\n");

    cache_say("4 0 2");
    g_autofree char *resumed = found_by_new(folder, TRUE);
    g_assert_cmpstr(resumed, ==, "2 4 0"); /* whatever the cache says now */
    cache_has("4 0 2");

    g_autofree char *begun_anew = found_by_new(folder, FALSE), *after = file_read(plan);
    g_assert_cmpstr(begun_anew, ==, "4 0 2");
    g_assert_cmpstr(after, ==, SHAPE_KEY "\t4 0 2\n");

    /* what cannot be read there comes from the cache, and is written there */
    file_write(plan, SHAPE_KEY "\t4 0 7\n");
    g_autofree char *repaired = found_by_new(folder, TRUE), *again = file_read(plan);
    g_assert_cmpstr(repaired, ==, "4 0 2");
    g_assert_cmpstr(again, ==, SHAPE_KEY "\t4 0 2\n");

    g_assert_cmpint(g_unlink(plan), ==, 0);
    g_autofree char *lost = found_by_new(folder, TRUE);
    g_assert_cmpstr(lost, ==, "4 0 2");
    loom_test_folder_remove(folder);
}

/* ---- two at once ---------------------------------------------------------------------- */

#define SHAPES 24

/* Every line is whole: a key, a tab, three ways. */
static void file_is_whole(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    const guint n = g_strv_length(lines);

    g_assert_cmpuint(n, >, 0);
    g_assert_cmpstr(lines[n - 1], ==, ""); /* it ends with a line's end */
    for (guint i = 0; i + 1 < n; i++)
        g_assert_true(g_regex_match_simple("^[^\t]+, 1x [0-9]+\\+0->[0-9]+ 4x4x4\t[024] "
                                           "[024] [024]$",
                                           lines[i], 0, 0));
}

static pid_t child_writes(gint64 first)
{
    const pid_t child = fork();

    g_assert_cmpint(child, >=, 0);
    if (child)
        return child;
    for (gint64 i = 0; i < SHAPES; i++) {
        g_autoptr(Device) d = device_new(NULL, FALSE, 1);
        const LoomBlockSpec spec = cube(first + i, 4);
        gint64 m[CPU_WAYS];

        if (!record_find(&d->cpu, &spec, m))
            _exit(1);
    }
    _exit(0);
}

static void test_two_at_once(void)
{
    g_autofree char *folder = g_path_get_dirname(cache);
    pid_t children[2];
    guint ended = 0;

    cache_remove();
    for (guint i = 0; i < 2; i++)
        children[i] = child_writes(1 + (gint64)i * SHAPES);
    while (ended < 2) {
        g_autofree char *text = NULL;
        int status;

        if (g_file_get_contents(cache, &text, NULL, NULL))
            file_is_whole(text);
        if (waitpid(children[ended], &status, WNOHANG) == 0)
            continue;
        g_assert_cmpint(status, ==, 0);
        ended++;
    }
    g_assert_cmpuint(loom_test_folder_count(folder), ==, 1); /* nothing half written is left */
    measured_anew();
}

int main(int argc, char **argv)
{
    g_autofree char *folder = loom_test_folder();
    int status;

    g_setenv("XDG_CACHE_HOME", folder, TRUE); /* before GLib asks for it */
    cache = g_build_filename(folder, "segloom", "plans.txt", NULL);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/cpu/plan/measured", test_measured);
    g_test_add_func("/cpu/plan/not-measured", test_not_measured);
    g_test_add_func("/cpu/plan/ranks", test_ranks);
    g_test_add_func("/cpu/plan/obeyed", test_obeyed);
    g_test_add_func("/cpu/plan/blocks", test_blocks);
    g_test_add_func("/cpu/plan/damaged", test_damaged);
    g_test_add_func("/cpu/plan/foreign", test_foreign);
    g_test_add_func("/cpu/plan/processor", test_processor);
    g_test_add_func("/cpu/plan/no-file", test_no_file);
    g_test_add_func("/cpu/plan/resumed", test_resumed);
    g_test_add_func("/cpu/plan/two-at-once", test_two_at_once);
    status = loom_test_run();
    loom_test_folder_remove(folder);
    g_free(cache);
    return status;
}
