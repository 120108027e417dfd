/* manifest - manifest.json: with what a run was made, so that it can be made again. */
#include "manifest.h"

#include "json_members.h"
#include "machine.h"

#include "core/processors.h"

#include <loom/store.h>

#include <glib/gstdio.h>
#include <string.h>

/* A text that need not be UTF-8, such as a path; NULL becomes null. */
static void text_set(JsonObject *object, const char *name, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    if (valid)
        json_object_set_string_member(object, name, valid);
    else
        json_object_set_null_member(object, name);
}

/* ---- hashes ------------------------------------------------------------------------- */

static char *file_hash(const char *path)
{
    g_autofree char *bytes = NULL;
    gsize length = 0;

    if (!g_file_get_contents(path, &bytes, &length, NULL))
        return NULL;
    return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, length);
}

static JsonObject *modules_object(const LoomRegistry *registry)
{
    JsonObject *modules = json_object_new();

    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++) {
        g_autofree const LoomPlugin **list = loom_registry_list(registry, (LoomKind)kind);

        for (const LoomPlugin **plugin = list; *plugin; plugin++) {
            const char *path = loom_registry_path(registry, *plugin);
            g_autofree char *name = g_path_get_basename(path);

            if (json_object_has_member(modules, name))
                continue;
            g_autofree char *hash = file_hash(path);
            text_set(modules, name, hash);
        }
    }
    return modules;
}

static void file_add(GChecksum *sum, const char *id, const char *path)
{
    GStatBuf status;
    const gint64 size = g_stat(path, &status) == 0 ? (gint64)status.st_size : -1;
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *line = g_strdup_printf("%s\t%s\t%" G_GINT64_FORMAT "\n", id, name, size);

    g_checksum_update(sum, (const guchar *)line, (gssize)strlen(line));
}

/* Ids, file names and sizes: enough to notice a case that was added, lost or replaced, without
 * reading gigabytes before each start. */
static JsonObject *dataset_object(const LoomDataset *dataset)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    JsonObject *object = json_object_new();

    for (guint i = 0; i < dataset->n_cases; i++) {
        for (char **image = dataset->cases[i].images; *image; image++)
            file_add(sum, dataset->cases[i].id, *image);
        if (dataset->cases[i].label)
            file_add(sum, dataset->cases[i].id, dataset->cases[i].label);
    }
    text_set(object, "name", dataset->name);
    text_set(object, "folder", dataset->folder);
    json_object_set_int_member(object, "cases", dataset->n_cases);
    text_set(object, "sha256_of_ids_names_sizes", g_checksum_get_string(sum));
    return object;
}

/* ---- the rest ----------------------------------------------------------------------- */

static JsonObject *versions_object(void)
{
    JsonObject *versions = json_object_new();
    g_autofree char *glib =
        g_strdup_printf("%u.%u.%u", glib_major_version, glib_minor_version, glib_micro_version);
    g_autofree char *openblas = machine_library("libopenblas");

    text_set(versions, "segloom", LOOM_VERSION);
    text_set(versions, "glib", glib);
    if (openblas)
        text_set(versions, "openblas", openblas);
    return versions;
}

static JsonObject *machine_object(void)
{
    JsonObject *machine = json_object_new();
    g_autofree char *cpu = machine_cpu();

    text_set(machine, "host", g_get_host_name());
    text_set(machine, "cpu", cpu);
    json_object_set_int_member(machine, "processors", loom_processors());
    return machine;
}

static JsonObject *start_object(gint64 step)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format_iso8601(now);
    JsonObject *start = json_object_new();

    text_set(start, "time", time);
    json_object_set_int_member(start, "step", step);
    json_object_set_object_member(start, "machine", machine_object());
    return start;
}

/* A whole number of the config as it took effect; null where it has none. */
static void number_set(JsonObject *object, const char *name, const LoomNode *node)
{
    if (node && node->type == LOOM_NODE_SCALAR)
        json_object_set_int_member(object, name, g_ascii_strtoll(node->text, NULL, 10));
    else
        json_object_set_null_member(object, name);
}

static JsonObject *manifest_object(const LoomRun *run, const LoomRegistry *registry,
                                   const char *config)
{
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, config, -1);
    g_autoptr(LoomNode) node =
        loom_yaml_parse(config, strlen(config), "config.yaml", "/", NULL);
    const LoomDataset *dataset = loom_run_dataset(run);
    JsonObject *manifest = json_object_new();

    text_set(manifest, "config_sha256", hash);
    number_set(manifest, "seed", loom_node_get(node, "seed"));
    number_set(manifest, "threads", loom_node_get(loom_node_get(node, "backend"), "threads"));
    json_object_set_int_member(manifest, "steps", loom_run_steps(run));
    if (dataset)
        json_object_set_object_member(manifest, "dataset", dataset_object(dataset));
    json_object_set_object_member(manifest, "versions", versions_object());
    json_object_set_object_member(manifest, "modules", modules_object(registry));
    return manifest;
}

/* ---- a second start in the same folder ---------------------------------------------- */

static void difference_warn(JsonObject *now, JsonObject *before, const char *member,
                            const char *what)
{
    JsonNode *a = json_object_get_member(now, member);
    JsonNode *b = json_object_get_member(before, member);

    if (a && b && !json_node_equal(a, b))
        g_warning("%s changed since this run began: what follows is not what an undisturbed "
                  "run would have made",
                  what);
}

/* The starts that the manifest of an earlier start lists; empty where there is none. */
static JsonArray *starts_before(JsonObject *manifest, const char *path)
{
    g_autoptr(JsonObject) before = json_object_read(path);
    JsonArray *starts = json_list(before, "starts");

    if (before) {
        difference_warn(manifest, before, "config_sha256", "the config");
        difference_warn(manifest, before, "modules", "a module");
        difference_warn(manifest, before, "dataset", "the data set");
        difference_warn(manifest, before, "threads", "the number of threads");
    }
    return starts ? json_array_ref(starts) : json_array_new();
}

/* @manifest as the file @path. */
static gboolean object_write(JsonObject *manifest, const char *path, GError **error)
{
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), manifest);
    g_autofree char *text = json_to_string(root, TRUE);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);

    return loom_file_replace(path, lines, strlen(lines), error);
}

gboolean manifest_write(const LoomRun *run, const LoomRegistry *registry, const char *folder,
                        gboolean resume, GError **error)
{
    g_autofree char *config_path = g_build_filename(folder, "config.yaml", NULL);
    g_autofree char *path = g_build_filename(folder, "manifest.json", NULL);
    g_autofree char *config = loom_run_config(run);
    g_autoptr(JsonObject) manifest = manifest_object(run, registry, config);
    JsonArray *starts = resume ? starts_before(manifest, path) : json_array_new();

    json_array_add_object_element(starts, start_object(loom_run_step(run)));
    json_object_set_array_member(manifest, "starts", starts);
    return loom_file_replace(config_path, config, strlen(config), error)
           && object_write(manifest, path, error);
}

/* ---- how it ended ------------------------------------------------------------------- */

static JsonObject *end_object(const LoomRun *run, LoomRunEnd end, const GError *error)
{
    static const char *const outcomes[] = {
        [LOOM_RUN_FAILED] = "failed",
        [LOOM_RUN_DONE] = "done",
        [LOOM_RUN_STOPPED] = "stopped",
        [LOOM_RUN_CUT_OFF] = "cut off",
    };
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *time = g_date_time_format_iso8601(now);
    JsonObject *object = json_object_new();

    text_set(object, "outcome", outcomes[end]);
    text_set(object, "time", time);
    json_object_set_int_member(object, "step", loom_run_step(run));
    if (error)
        text_set(object, "reason", error->message);
    return object;
}

static gboolean end_write(const LoomRun *run, const char *path, LoomRunEnd end,
                          const GError *reason, GError **error)
{
    g_autoptr(JsonObject) manifest = json_object_read(path);
    JsonObject *start = json_last_item(json_list(manifest, "starts"));

    if (!start)
        return loom_fail(error, LOOM_ERROR_FORMAT, "'%s' lists no start", path);
    json_object_set_object_member(start, "end", end_object(run, end, reason));
    return object_write(manifest, path, error);
}

void manifest_end(const LoomRun *run, const char *folder, LoomRunEnd end, const GError *error)
{
    g_autofree char *path = g_build_filename(folder, "manifest.json", NULL);
    g_autoptr(GError) cause = NULL;

    if (loom_run_writes(run) && !end_write(run, path, end, error, &cause))
        g_warning("how the run ended is not noted: %s", cause->message);
}
