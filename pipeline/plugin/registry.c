/* registry - modules: dlopen, ABI check, a full-size copy of each descriptor, lookup. */
#define _GNU_SOURCE /* dladdr */
#include "registry.h"

#include "instance.h"

#include <loom/loss_kit.h>
#include <loom/network.h>
#include <loom/tensor.h>

#include <dlfcn.h>
#include <gmodule.h>
#include <string.h>

typedef struct {
    LoomPlugin *plugin; /* zero-filled to the engine's own size of its kind */
    const LoomModule *module;
    char *path;
} Entry;

struct _LoomRegistry {
    GPtrArray *entries; /* Entry *, in the order of loading */
};

static const struct {
    const char *name;
    gsize size;
} kinds[LOOM_N_KINDS + 1] = {
    [LOOM_KIND_STAGE] = {"stage", sizeof(LoomStage)},
    [LOOM_KIND_LOSS] = {"loss", sizeof(LoomLoss)},
    [LOOM_KIND_METRIC] = {"metric", sizeof(LoomMetric)},
    [LOOM_KIND_MODEL] = {"model", sizeof(LoomModel)},
    [LOOM_KIND_BACKEND] = {"backend", sizeof(LoomBackend)},
    [LOOM_KIND_TRANSPORT] = {"transport", sizeof(LoomTransport)},
    [LOOM_KIND_COLLECTIVE] = {"collective", sizeof(LoomCollective)},
};

/* Keys that the engine reads beside a plugin's own. */
static const char *const reserved_keys[] = {"use", "from", "queue", "workers", NULL};

const char *loom_kind_name(LoomKind kind)
{
    g_assert(kind >= 1 && kind <= LOOM_N_KINDS);
    return kinds[kind].name;
}

LoomKind loom_kind_from(const char *name)
{
    for (guint kind = 1; kind <= LOOM_N_KINDS; kind++)
        if (g_str_equal(kinds[kind].name, name))
            return (LoomKind)kind;
    return (LoomKind)0;
}

static void entry_free(gpointer data)
{
    Entry *entry = data;

    g_free(entry->plugin);
    g_free(entry->path);
    g_free(entry);
}

LoomRegistry *loom_registry_new(void)
{
    LoomRegistry *registry = g_new0(LoomRegistry, 1);

    registry->entries = g_ptr_array_new_with_free_func(entry_free);
    return registry;
}

void loom_registry_free(LoomRegistry *registry)
{
    if (!registry)
        return;
    g_ptr_array_unref(registry->entries);
    g_free(registry);
}

/* ---- what a descriptor must be ------------------------------------------------------ */

static gboolean name_check(const char *name, GError **error)
{
    gboolean good = name && g_ascii_islower(name[0]);

    for (const char *c = name; good && *c; c++)
        good = g_ascii_islower(*c) || g_ascii_isdigit(*c) || *c == '_';
    return good
           || loom_fail(error, LOOM_ERROR_PLUGIN,
                        "name '%s' is not of the form [a-z][a-z0-9_]*", name ? name : "");
}

static gboolean row_check(const LoomPlugin *plugin, const LoomParam *row, GError **error)
{
    if (!name_check(row->name, error))
        return FALSE;
    if (g_strv_contains(reserved_keys, row->name)
        || (plugin->kind == LOOM_KIND_MODEL && g_str_equal(row->name, "weights")))
        return loom_fail(error, LOOM_ERROR_PLUGIN, "key '%s' belongs to the engine", row->name);
    if (!row->help || !*row->help)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "key '%s' has no help text", row->name);
    if (row->type < LOOM_PARAM_BOOL || row->type > LOOM_PARAM_MAP)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "key '%s' has the unknown type %d",
                         row->name, (int)row->type);
    if (row->offset >= plugin->instance_size)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "key '%s' lies outside the instance",
                         row->name);
    return loom_param_default_check(row, error);
}

/* "label", or "label.counts": what is known of it. */
static gboolean slot_name_check(const char *name, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(name, ".", 2);

    return name_check(parts[0], error) && (!parts[1] || name_check(parts[1], error));
}

static gboolean slots_check(const LoomSlot *slots, GError **error)
{
    for (const LoomSlot *slot = slots; slot && slot->name; slot++) {
        if (!slot_name_check(slot->name, error))
            return FALSE;
        if (slot->axes
            && (strspn(slot->axes, "NCDHWK") != strlen(slot->axes)
                || strlen(slot->axes) > LOOM_MAX_RANK))
            return loom_fail(error, LOOM_ERROR_PLUGIN,
                             "slot '%s' has axes '%s', want at most %d letters out of NCDHWK",
                             slot->name, slot->axes, LOOM_MAX_RANK);
        if (!slot->help || !*slot->help)
            return loom_fail(error, LOOM_ERROR_PLUGIN, "slot '%s' has no help text",
                             slot->name);
    }
    return TRUE;
}

static gboolean stage_check(const LoomStage *stage, GError **error)
{
    if (!!stage->map + !!stage->process + !!stage->produce != 1)
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "a stage has exactly one of map, process and produce");
    return slots_check(stage->reads, error) && slots_check(stage->writes, error);
}

/* A loss made of formulas carries the kit's parameters at the start of its struct. */
static gboolean loss_check(const LoomLoss *loss, GError **error)
{
    const gboolean region = loss->region || loss->regions;

    if (!!loss->eval + (loss->voxel || region) != 1 || (loss->region && loss->regions))
        return loom_fail(
            error, LOOM_ERROR_PLUGIN,
            "a loss has either eval, or voxel, region or regions, or voxel and one "
            "of these two");
    if (loss->eval)
        return TRUE;
    for (const LoomParam *row = loss->base.params; row && row->name; row++)
        if (g_str_equal(row->name, "weights") && row->type == LOOM_PARAM_FLOATS
            && row->offset == offsetof(LoomLossKit, weights)
            && loss->base.instance_size >= sizeof(LoomLossKit))
            return TRUE;
    return loom_fail(
        error, LOOM_ERROR_PLUGIN,
        "a loss made of formulas begins its struct with 'LoomLossKit kit', and its "
        "rows with LOOM_VOXEL_ROWS, LOOM_REGION_ROWS or LOOM_COMPOUND_ROWS");
}

static gboolean plugin_check(const LoomRegistry *registry, const LoomPlugin *plugin,
                             GError **error)
{
    if (!name_check(plugin->name, error))
        return FALSE;
    if (!plugin->summary || !*plugin->summary)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "it has no summary");
    if (loom_registry_find(registry, plugin->kind, plugin->name)) {
        g_autofree char *origin = loom_registry_origin(
            registry, loom_registry_find(registry, plugin->kind, plugin->name));

        return loom_fail(error, LOOM_ERROR_PLUGIN, "the name is taken by %s", origin);
    }
    for (const LoomParam *row = plugin->params; row && row->name; row++)
        if (!row_check(plugin, row, error))
            return FALSE;
    if (plugin->kind == LOOM_KIND_LOSS)
        return loss_check((const LoomLoss *)plugin, error);
    return plugin->kind != LOOM_KIND_STAGE || stage_check((const LoomStage *)plugin, error);
}

/* ---- loading ------------------------------------------------------------------------ */

static gboolean plugin_add(LoomRegistry *registry, const LoomPlugin *plugin,
                           const LoomModule *module, const char *path, GError **error)
{
    if ((guint)plugin->kind < 1 || (guint)plugin->kind > LOOM_N_KINDS
        || plugin->size < sizeof(LoomPlugin))
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "'%s': a descriptor of unknown kind %d, size %u", path,
                         (int)plugin->kind, plugin->size);

    /* What an older plugin lacks at the end is NULL here, so that nobody else has to ask. */
    const gsize size = kinds[plugin->kind].size;
    g_autofree LoomPlugin *copy = g_malloc0(size);
    memcpy(copy, plugin, MIN(size, plugin->size));
    if (!plugin_check(registry, copy, error)) {
        g_prefix_error(error, "'%s': %s '%s': ", path, kinds[plugin->kind].name, copy->name);
        return FALSE;
    }

    Entry *entry = g_new0(Entry, 1);
    entry->plugin = g_steal_pointer(&copy);
    entry->module = module;
    entry->path = g_strdup(path);
    g_ptr_array_add(registry->entries, entry);
    return TRUE;
}

gboolean loom_registry_add(LoomRegistry *registry, const LoomModule *module, const char *path,
                           GError **error)
{
    if (module->abi_major != LOOM_ABI_MAJOR || module->abi_minor > LOOM_ABI_MINOR)
        return loom_fail(
            error, LOOM_ERROR_PLUGIN,
            "'%s' was built for plugin ABI %u.%u, this segloom has %d.%d: build it "
            "again against these headers",
            path, module->abi_major, module->abi_minor, LOOM_ABI_MAJOR, LOOM_ABI_MINOR);
    if (!module->plugins || !module->name || !module->version)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "'%s': its module record is incomplete",
                         path);
    for (const LoomPlugin *const *plugin = module->plugins; *plugin; plugin++)
        if (!plugin_add(registry, *plugin, module, path, error))
            return FALSE;
    return TRUE;
}

gboolean loom_registry_load(LoomRegistry *registry, const char *path, GError **error)
{
    g_autofree char *absolute = g_canonicalize_filename(path, NULL);
    GModule *library = g_module_open(absolute, G_MODULE_BIND_LOCAL);
    gpointer symbol = NULL;

    if (!library)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "'%s' cannot be loaded: %s", path,
                         g_module_error());
    /* Never unloaded: leak reports keep their symbols, and no callback can dangle. */
    g_module_make_resident(library);
    if (!g_module_symbol(library, "loom_module", &symbol) || !symbol)
        return loom_fail(error, LOOM_ERROR_PLUGIN,
                         "'%s' is no segloom module: it has no symbol 'loom_module'", path);
    return loom_registry_add(registry, symbol, path, error);
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

gboolean loom_registry_load_folder(LoomRegistry *registry, const char *folder, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GDir) dir = g_dir_open(folder, 0, &cause);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    if (!dir)
        return loom_fail(error, LOOM_ERROR_PLUGIN, "module folder: %s", cause->message);
    while ((name = g_dir_read_name(dir)))
        if (g_str_has_suffix(name, ".so"))
            g_ptr_array_add(names, g_strdup(name));
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *path = g_build_filename(folder, names->pdata[i], NULL);

        if (!loom_registry_load(registry, path, error))
            return FALSE;
    }
    return TRUE;
}

/* Beside the library in a build tree; in segloom/modules below it once installed. */
char *loom_registry_built_in(void)
{
    Dl_info where;
    g_autofree char *folder = NULL;
    char *modules;

    if (!dladdr((const void *)&kinds, &where) || !where.dli_fname)
        return NULL;
    g_autofree char *library = g_canonicalize_filename(where.dli_fname, NULL);
    folder = g_path_get_dirname(library);
    modules = g_build_filename(folder, "segloom", "modules", NULL);
    if (!g_file_test(modules, G_FILE_TEST_IS_DIR)) {
        g_free(modules);
        modules = g_build_filename(folder, "modules", NULL);
    }
    return modules;
}

gboolean loom_registry_load_all(LoomRegistry *registry, const char *const *folders,
                                GError **error)
{
    g_autofree char *built_in = loom_registry_built_in();
    const char *listed = g_getenv("LOOM_MODULE_PATH");
    g_auto(GStrv) more = g_strsplit(listed ? listed : "", ":", -1);

    if (!built_in || !loom_registry_load_folder(registry, built_in, error))
        return FALSE;
    for (char **folder = more; *folder; folder++)
        if (**folder && !loom_registry_load_folder(registry, *folder, error))
            return FALSE;
    for (; folders && *folders; folders++)
        if (!loom_registry_load_folder(registry, *folders, error))
            return FALSE;
    return TRUE;
}

/* ---- lookup ------------------------------------------------------------------------- */

const LoomPlugin *loom_registry_find(const LoomRegistry *registry, LoomKind kind,
                                     const char *name)
{
    for (guint i = 0; i < registry->entries->len; i++) {
        const LoomPlugin *plugin = ((Entry *)registry->entries->pdata[i])->plugin;

        if (plugin->kind == kind && g_str_equal(plugin->name, name))
            return plugin;
    }
    return NULL;
}

static gint compare_plugins(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const LoomPlugin *const *)a)->name, (*(const LoomPlugin *const *)b)->name);
}

const LoomPlugin **loom_registry_list(const LoomRegistry *registry, LoomKind kind)
{
    GPtrArray *found = g_ptr_array_new();

    for (guint i = 0; i < registry->entries->len; i++) {
        const Entry *entry = registry->entries->pdata[i];

        if (entry->plugin->kind == kind)
            g_ptr_array_add(found, entry->plugin);
    }
    g_ptr_array_sort(found, compare_plugins);
    g_ptr_array_add(found, NULL);
    return (const LoomPlugin **)(gpointer)g_ptr_array_free(found, FALSE);
}

const LoomPlugin *loom_registry_need(const LoomRegistry *registry, LoomKind kind,
                                     const char *name, GError **error)
{
    const LoomPlugin *plugin = loom_registry_find(registry, kind, name);

    if (plugin)
        return plugin;
    g_autofree const LoomPlugin **list = loom_registry_list(registry, kind);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    for (const LoomPlugin **known = list; *known; known++)
        g_strv_builder_add(builder, (*known)->name);
    g_auto(GStrv) names = g_strv_builder_end(builder);
    g_autofree char *hint = loom_did_you_mean(name, (const char *const *)names);
    g_autofree char *all = *hint ? NULL : g_strjoinv(", ", names);
    return loom_fail_as_null(error, "E-NAME-UNKNOWN", LOOM_ERROR_CONFIG,
                             "there is no %s '%s'%s%s%s%s", loom_kind_name(kind), name, hint,
                             all ? " (there are: " : "", all ? all : "", all ? ")" : "");
}

char *loom_registry_origin(const LoomRegistry *registry, const LoomPlugin *plugin)
{
    for (guint i = 0; i < registry->entries->len; i++) {
        const Entry *entry = registry->entries->pdata[i];
        g_autofree char *file = g_path_get_basename(entry->path);

        if (entry->plugin == plugin)
            return g_strdup_printf("%s %s, ABI %u.%u", file, entry->module->version,
                                   entry->module->abi_major, entry->module->abi_minor);
    }
    return g_strdup("unknown");
}

const char *loom_registry_path(const LoomRegistry *registry, const LoomPlugin *plugin)
{
    for (guint i = 0; i < registry->entries->len; i++) {
        const Entry *entry = registry->entries->pdata[i];

        if (entry->plugin == plugin)
            return entry->path;
    }
    return NULL;
}
