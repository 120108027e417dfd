/* cmd_doctor - segloom doctor: what this machine has and lacks. */
#include "command.h"
#include "machine.h"
#include "plugin_open.h"

#include "cluster/rendezvous.h"
#include "core/processors.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

static gboolean env_option;

static const GOptionEntry options[] = {
    {"env", 0, 0, G_OPTION_ARG_NONE, &env_option,
     "Say instead which rank this process would be, and why", NULL},
    G_OPTION_ENTRY_NULL,
};

static const CommandUsage usage = {
    .summary = "Says what this machine has and lacks; exit code 1 if something is wrong.",
    .example = "segloom doctor --env",
    .options = options,
    .flags = COMMAND_MODULES,
};

static void line_print(const char *name, const char *text)
{
    g_print("  %-10s %s\n", name, text);
}

static void bytes_print(const char *name, guint64 bytes, const char *of)
{
    g_autofree char *size = command_bytes(bytes);
    g_autofree char *text = g_strdup_printf("%s %s", bytes ? size : "unknown", of);

    line_print(name, text);
}

static void machine_print(void)
{
    g_autofree char *cpu = machine_cpu();
    g_autofree char *simd = machine_simd();
    const guint usable = loom_processors(), all = g_get_num_processors();
    g_autofree char *cores = usable < all ? g_strdup_printf("%u of %u may be used", usable, all)
                                          : g_strdup_printf("%u", all);
    struct statvfs disk;

    g_print("machine\n");
    line_print("cpu", cpu);
    line_print("processors", cores);
    line_print("vectors", *simd ? simd : "none known: the portable code runs");
    bytes_print("memory", machine_memory(), "installed");
    bytes_print("", machine_memory_available(), "available");
    if (statvfs(".", &disk) == 0)
        bytes_print("disk", (guint64)disk.f_bavail * disk.f_frsize, "free in this folder");
}

/* @unit: NULL: it is in bytes. */
static void limit_print(const char *name, int which, const char *unit)
{
    struct rlimit limit;
    g_autofree char *text = NULL;

    if (getrlimit((__rlimit_resource_t)which, &limit) != 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY)
        text = g_strdup("unlimited");
    else if (unit)
        text = g_strdup_printf("%" G_GUINT64_FORMAT " %s", (guint64)limit.rlim_cur, unit);
    else
        text = command_bytes((guint64)limit.rlim_cur);
    line_print(name, text);
}

static void limits_print(void)
{
    g_print("limits\n");
    limit_print("files", RLIMIT_NOFILE, "open at once");
    limit_print("memory", RLIMIT_AS, NULL);
    limit_print("stack", RLIMIT_STACK, NULL);
}

static void libraries_print(void)
{
    static const char *const libraries[] = {"libsegloom",  "libglib-2.0", "libyaml",
                                            "libopenblas", "libzmq",      "libnifti2",
                                            "libz.so",     "libcairo",    NULL};

    g_print("libraries\n");
    for (const char *const *library = libraries; *library; library++) {
        g_autofree char *file = machine_library(*library);

        if (file)
            line_print("", file);
    }
}

/* ---- modules ------------------------------------------------------------------------ */

static gint names_compare(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Loads a folder file by file, so that one refusal hides no other.  Returns how many failed. */
static guint folder_try(LoomRegistry *registry, const char *folder, guint *loaded)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &cause);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;
    guint refused = 0;

    if (!dir) {
        line_print("refused", cause->message);
        return 1;
    }
    while ((name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".so"))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, names_compare);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);
        g_autoptr(GError) error = NULL;

        if (loom_registry_load(registry, path, &error)) {
            (*loaded)++;
            continue;
        }
        line_print("refused", error->message);
        refused++;
    }
    return refused;
}

static guint modules_try(LoomRegistry *registry, char **more)
{
    g_autofree char *built_in = loom_registry_built_in();
    const char *listed = g_getenv("LOOM_MODULE_PATH");
    g_auto(GStrv) folders = g_strsplit(listed ? listed : "", ":", -1);
    guint loaded = 0, refused;

    g_print("modules\n");
    refused = folder_try(registry, built_in, &loaded);
    for (char **folder = folders; *folder; folder++)
        if (**folder)
            refused += folder_try(registry, *folder, &loaded);
    for (; more && *more; more++)
        refused += folder_try(registry, *more, &loaded);
    g_autofree char *text = g_strdup_printf("%u, %u refused", loaded, refused);
    line_print("loaded", text);
    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++) {
        g_autofree const LoomPlugin **list = loom_registry_list(registry, (LoomKind)kind);
        guint n = 0;

        while (list[n])
            n++;
        g_autofree char *count = g_strdup_printf("%u", n);
        line_print(loom_kind_name((LoomKind)kind), n ? count : "none");
    }
    return refused;
}

/* Opens each backend with its defaults. Returns how many could not be. */
static guint backends_try(const LoomRegistry *registry)
{
    g_autofree const LoomPlugin **list = loom_registry_list(registry, LOOM_KIND_BACKEND);
    g_autoptr(LoomPool) pool = loom_pool_new(1);
    guint failed = 0;

    g_print("backends\n");
    for (const LoomPlugin **plugin = list; *plugin; plugin++) {
        g_autofree char *text = g_strdup_printf("{use: %s}", (*plugin)->name);
        g_autoptr(GError) error = NULL;
        g_autoptr(LoomNode) node = loom_yaml_parse(text, strlen(text), "doctor", "/", &error);
        g_autoptr(LoomInstance) backend =
            node ? plugin_open(registry, pool, LOOM_KIND_BACKEND, node, &error) : NULL;

        line_print((*plugin)->name, backend ? "works" : error->message);
        failed += !backend;
    }
    return failed;
}

/* ---- the launcher ------------------------------------------------------------------- */

/* Who started this process, as which rank, as `segloom run` without options would see it. */
static int environment_print(void)
{
    const LoomRendezvousOptions none = {NULL, NULL, NULL};
    g_auto(GStrv) environment = g_get_environ();
    g_autoptr(GString) trace = g_string_new(NULL);
    g_auto(LoomRendezvous) found = {0};
    g_autoptr(GError) error = NULL;
    const gboolean sound = loom_rendezvous_find(&found, &none, environment, trace, &error);

    g_print("%s", trace->str);
    if (!sound)
        return command_fail(COMMAND_WRONG, error);
    g_autofree char *rank =
        g_strdup_printf("%u of %u, local rank %u", found.rank, found.size, found.local_rank);
    g_autofree char *restarts = g_strdup_printf("%u", found.restarts);
    g_print("result\n");
    line_print("rank", rank);
    line_print("meet", found.meet ? found.meet : "nobody: this process is alone");
    line_print("said by", found.engine);
    line_print("job", found.job ? found.job : "without a name");
    line_print("restarts", restarts);
    return COMMAND_DONE;
}

int cmd_doctor(int argc, char **argv)
{
    g_auto(CommandLine) line = {0};
    g_autoptr(LoomRegistry) registry = loom_registry_new();

    if (!command_parse(&line, &usage, argc, argv))
        return COMMAND_WRONG;
    if (env_option)
        return environment_print();
    machine_print();
    limits_print();
    const guint refused = modules_try(registry, line.modules);
    const guint failed = backends_try(registry);
    libraries_print(); /* a backend loads its own when it opens */
    if (refused + failed == 0) {
        g_print("nothing is wrong\n");
        return COMMAND_DONE;
    }
    return command_fail_text(COMMAND_FAILED, "%u modules refused, %u backends do not open",
                             refused, failed);
}
