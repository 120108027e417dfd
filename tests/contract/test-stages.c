/* What every stage promises: a table that explains itself and whose defaults are valid; and
 * every pure one: what others hold is not changed, the same packet gives the same bytes, in
 * each copy of the stage, and wrong types or sizes are refused with a message. */
#include "loom_test.h"

#include <string.h>

/* Pure stages that have required parameters.  One that is missing here fails the test. */
static const char *const recipes[] = {
    "{use: crop, size: [3, 9, 4], per_volume: 3}",
    "{use: normalise, schemes: [zscore]}",
    "{use: orient, axes: SPL}",
    "{use: resample, spacing: [0.7, 1.6, 0.5]}",
    "{use: rotate_scale, size: [4, 5, 6], rotation_chance: 1, scale_chance: 1}",
    "{use: augment_nnunet, size: [4, 5, 6], rotation_chance: 1, noise_chance: 1, "
    "blur_chance: 1, contrast_chance: 1, low_resolution_chance: 1, gamma_chance: 1, "
    "mask: nonzero}",
};

/* Slots may have a '.' in the middle: "label.counts". */
static gboolean slot_named(const char *name)
{
    return name && g_ascii_islower(name[0])
           && strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789.") == strlen(name)
           && !g_str_has_suffix(name, ".");
}

static gboolean named(const char *name)
{
    return name && g_ascii_islower(name[0])
           && strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(name);
}

/* ---- the descriptor ----------------------------------------------------------------- */

static void slots_check(const LoomSlot *slots)
{
    for (const LoomSlot *slot = slots; slot && slot->name; slot++) {
        g_assert_true(slot_named(slot->name));
        g_assert_true(slot->help && slot->help[0]);
        if (slot->axes)
            g_assert_true(strspn(slot->axes, "NCDHWK") == strlen(slot->axes));
        if (slot->dtype == LOOM_F64)
            g_assert_cmpstr(slot->axes, ==, ""); /* scalars only */
        for (const LoomSlot *other = slots; other != slot; other++)
            g_assert_cmpstr(other->name, !=, slot->name);
    }
}

static void test_schema(gconstpointer plugin)
{
    const LoomStage *stage = plugin;
    const LoomPlugin *base = plugin;

    g_assert_true(named(base->name));
    g_assert_true(base->summary && base->summary[0]);
    g_assert_cmpint(!!stage->map + !!stage->process + !!stage->produce, ==, 1);
    g_assert_true(!(stage->flags & LOOM_STAGE_PURE) || !stage->produce);
    g_assert_true(!stage->produce || !stage->reads);
    g_assert_true(!stage->ratio || stage->process);
    slots_check(stage->reads);
    slots_check(stage->writes);
    for (const LoomParam *row = base->params; row && row->name; row++) {
        g_assert_true(named(row->name));
        g_assert_true(row->help && row->help[0]);
        g_assert_cmpint(row->help[strlen(row->help) - 1], !=, '.');
        g_assert_true(row->offset < base->instance_size);
    }
}

/* One name in four places: module, plugin, YAML. */
static void test_name(gconstpointer plugin)
{
    g_autofree char *origin = loom_registry_origin(loom_test_registry(), plugin);
    g_autofree char *module =
        g_strdup_printf("stage_%s.so ", ((const LoomPlugin *)plugin)->name);

    g_assert_nonnull(strstr(origin, module));
}

/* Every row with a default, filled from an empty mapping, is inside its own limits. */
static void test_defaults(gconstpointer plugin)
{
    const LoomPlugin *base = plugin;
    const LoomScope scope = {.registry = loom_test_registry()};
    g_autoptr(GArray) rows = g_array_new(TRUE, TRUE, sizeof(LoomParam));
    g_autofree gpointer self = g_malloc0(base->instance_size);
    g_autoptr(GError) error = NULL;

    for (const LoomParam *row = base->params; row && row->name; row++)
        if (row->def)
            g_array_append_val(rows, *row);
    if (!rows->len)
        return;
    const LoomParam *with_default = &g_array_index(rows, LoomParam, 0);
    loom_params_fill(with_default, self, NULL, NULL, base->name, &scope, &error);
    g_assert_no_error(error);
    loom_params_clear(with_default, self);
}

/* ---- pure stages -------------------------------------------------------------------- */

/* "{use: noise, chance: 1}": chances are raised, so that something happens; (transfer full). */
static char *recipe_of(const LoomPlugin *plugin)
{
    g_autofree char *begin = g_strdup_printf("{use: %s,", plugin->name);
    gboolean required = FALSE, chance = FALSE;

    for (guint i = 0; i < G_N_ELEMENTS(recipes); i++)
        if (g_str_has_prefix(recipes[i], begin))
            return g_strdup(recipes[i]);
    for (const LoomParam *row = plugin->params; row && row->name; row++) {
        required = required || !row->def;
        chance = chance || g_str_equal(row->name, "chance");
    }
    if (required)
        g_error("stage '%s' is pure and has required parameters: add it to `recipes`",
                plugin->name);
    return g_strdup_printf("{use: %s%s}", plugin->name, chance ? ", chance: 1" : "");
}

/* Sizes by axis letter, all different, none a multiple of 8. */
static gint64 size_of(char axis)
{
    static const char letters[] = "NCDHWK";
    static const gint64 sizes[] = {2, 3, 5, 6, 7, 4};

    return sizes[strchr(letters, axis) - letters];
}

static LoomTensor *tensor_for(const LoomSlot *slot)
{
    gint64 shape[LOOM_MAX_RANK];

    if (slot->dtype == LOOM_F64)
        return loom_tensor_new_scalar(0.5);
    for (guint i = 0; slot->axes[i]; i++)
        shape[i] = size_of(slot->axes[i]);
    return slot->dtype == LOOM_U8
               ? loom_test_random_labels(slot->axes, shape, strlen(slot->axes), 1, 3)
               : loom_test_random(slot->axes, shape, strlen(slot->axes), 2, -1, 1);
}

/* All that a stage reads, on a grid of 1 mm. */
static LoomPacket *packet_for(const LoomStage *stage)
{
    static const double mm[3] = {1, 1, 1};
    LoomPacket *packet = loom_packet_new();
    LoomGeometry geometry;

    for (const LoomSlot *slot = stage->reads; slot && slot->name; slot++)
        if (slot->axes)
            loom_packet_set(packet, slot->name, tensor_for(slot));
    loom_packet_set_id(packet, "case");
    loom_geometry_plain(&geometry, (const gint64[]){size_of('W'), size_of('H'), size_of('D')},
                        mm);
    loom_packet_set_geometry(packet, &geometry);
    return packet;
}

static void packets_equal(const LoomStage *stage, const LoomPacket *a, const LoomPacket *b)
{
    for (const LoomSlot *slot = stage->writes; slot && slot->name; slot++) {
        const LoomTensor *x = loom_packet_get(a, slot->name),
                         *y = loom_packet_get(b, slot->name);

        g_assert_true(!x == !y);
        if (x)
            g_assert_true(loom_test_equal(x, y));
    }
}

/* Somebody else holds every tensor of the packet: a second branch of the graph. */
static void test_shared(gconstpointer plugin)
{
    const LoomStage *stage = plugin;
    g_autofree char *yaml = recipe_of(plugin);
    g_autoptr(LoomTestStage) it = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomPacket) held = packet_for(stage), untouched = packet_for(stage);
    GPtrArray *out = loom_test_out(it);

    for (gint64 i = 0; i < 5; i++)
        g_assert_cmpint(loom_test_push(it, loom_packet_fork(held), i, NULL), ==, LOOM_FLOW_OK);
    for (const LoomSlot *slot = stage->reads; slot && slot->name; slot++)
        if (slot->axes)
            g_assert_true(loom_test_equal(loom_packet_get(held, slot->name),
                                          loom_packet_get(untouched, slot->name)));
    g_assert_cmpuint(out->len, >=, 5);
}

/* Two copies of the stage, one of which has seen other packets before: same bytes. */
static void test_repeated(gconstpointer plugin)
{
    const LoomStage *stage = plugin;
    g_autofree char *yaml = recipe_of(plugin);
    g_autoptr(LoomTestStage) a = loom_test_stage(yaml, NULL, NULL);
    g_autoptr(LoomTestStage) b = loom_test_stage(yaml, NULL, NULL);
    GPtrArray *out_a = loom_test_out(a), *out_b = loom_test_out(b);

    for (gint64 i = 4; i < 8; i++)
        g_assert_cmpint(loom_test_push(a, packet_for(stage), i, NULL), ==, LOOM_FLOW_OK);
    const guint each = out_a->len / 4;
    for (gint64 i = 7; i >= 4; i--) /* backwards */
        g_assert_cmpint(loom_test_push(b, packet_for(stage), i, NULL), ==, LOOM_FLOW_OK);
    g_assert_cmpuint(out_a->len, ==, out_b->len);
    for (guint i = 0; i < out_a->len; i++)
        packets_equal(stage, out_a->pdata[i], out_b->pdata[(3 - i / each) * each + i % each]);
}

/* A stage that says so gives the same whatever the packet's number: it may be kept on disk. */
static void test_steady(gconstpointer plugin)
{
    const LoomStage *stage = plugin;
    g_autofree char *yaml = recipe_of(plugin);
    g_autoptr(LoomTestStage) it = loom_test_stage(yaml, NULL, NULL);
    GPtrArray *out = loom_test_out(it);

    g_assert_nonnull(stage->map);
    for (gint64 i = 0; i < 5; i++)
        g_assert_cmpint(loom_test_push(it, packet_for(stage), 7 * i, NULL), ==, LOOM_FLOW_OK);
    for (guint i = 1; i < 5; i++)
        packets_equal(stage, out->pdata[0], out->pdata[i]);
}

/* The first slot with a type and axes that are not its own. */
static void test_refused(gconstpointer plugin)
{
    const LoomStage *stage = plugin;
    g_autofree char *yaml = recipe_of(plugin);
    g_autoptr(LoomTestStage) it = loom_test_stage(yaml, NULL, NULL);
    const LoomSlot *slot = stage->reads;

    for (guint i = 0; i < 3; i++) {
        LoomPacket *packet = packet_for(stage);
        g_autoptr(GError) error = NULL;

        loom_packet_drop(packet, slot->name);
        if (i == 1)
            loom_packet_set(packet, slot->name, loom_test_f32("HW", SHAPE(1, 1), F32(0)));
        if (i == 2)
            loom_packet_set(packet, slot->name, loom_tensor_new_scalar(0));
        loom_assert_failed(loom_test_push(it, packet, 0, &error), error, LOOM_ERROR,
                           LOOM_ERROR_SHAPE, slot->name);
    }
}

static void add(const char *test, const LoomPlugin *plugin, GTestDataFunc func)
{
    g_autofree char *path = g_strdup_printf("/stage/%s/%s", plugin->name, test);

    g_test_add_data_func(path, plugin, func);
}

int main(int argc, char **argv)
{
    guint pure = 0;

    g_test_init(&argc, &argv, NULL);
    g_autofree const LoomPlugin **stages =
        loom_registry_list(loom_test_registry(), LOOM_KIND_STAGE);
    for (guint i = 0; stages[i]; i++) {
        add("schema", stages[i], test_schema);
        add("name", stages[i], test_name);
        add("defaults", stages[i], test_defaults);
        if (!(((const LoomStage *)stages[i])->flags & LOOM_STAGE_PURE))
            continue;
        add("shared", stages[i], test_shared);
        add("repeated", stages[i], test_repeated);
        add("refused", stages[i], test_refused);
        if (((const LoomStage *)stages[i])->flags & LOOM_STAGE_STEADY)
            add("steady", stages[i], test_steady);
        pure++;
    }
    g_assert_cmpuint(pure, >=, 6); /* the build's own */
    return loom_test_run();
}
