/* label_values - which value of a file a class is written as: the inverse of label_map.
 *
 * A value means one class, but several values may mean the same.  Then a class is written as
 *   its own number, if the words of the data set say that its files hold that for it;
 *   else the value that label_map lists first for it: {10: 1, 11: 1} writes 10,
 *   {1: 1, 10: 1, 11: 1} writes 1;
 *   else its own number.
 * The background is 0 wherever 0 is background. */
#include "label_scheme.h"

#include <string.h>

/* Values that the files hold by the words of the data set alone. */
static void known_find(const LoomFound *found, gboolean known[256])
{
    const guint n = found->label_names ? g_strv_length(found->label_names) : 0;

    for (guint k = 0; k < 256; k++)
        known[k] = k < n || found->declared[k];
    for (const char *const *map = found->label_map; map && *map; map += 2) {
        known[g_ascii_strtoull(map[1], NULL, 10)] = FALSE; /* it is written otherwise */
        known[g_ascii_strtoull(map[0], NULL, 10)] = TRUE;
    }
}

/* The first value of @map (value, class, ...) that still means @label; -1: none. */
static gint listed_find(const LoomDataset *dataset, const char *const *map, gint label)
{
    for (; map && *map; map += 2) {
        const gint value = (gint)g_ascii_strtoull(map[0], NULL, 10);

        if (dataset->label_of[value] == label)
            return value;
    }
    return -1;
}

/* No value means the class, so nothing is learnt of it: a number that means no other one. */
static gint free_find(const LoomDataset *dataset, gint label)
{
    for (gint i = 0; i < 256; i++) {
        const gint value = (label + i) % 256, means = dataset->label_of[value];

        if (means < 0 || means == LOOM_IGNORED)
            return value;
    }
    return label;
}

static gint value_find(const LoomDataset *dataset, const LoomFound *found,
                       const LoomDataOptions *options, const gboolean known[256], gint label)
{
    const gboolean own = dataset->label_of[label] == label;
    gint value;

    if (own && (label == 0 || known[label]))
        return label;
    value = listed_find(dataset, (const char *const *)options->label_map, label);
    if (value < 0)
        value = listed_find(dataset, found->label_map, label);
    return value >= 0 ? value : own ? label : free_find(dataset, label);
}

/* Of the voxels that count nowhere. */
static gint ignored_find(const LoomDataset *dataset, const LoomFound *found,
                         const LoomDataOptions *options)
{
    const gint value =
        listed_find(dataset, (const char *const *)options->label_map, LOOM_IGNORED);

    return value >= 0 ? value : found->ignored >= 0 ? found->ignored : LOOM_IGNORED;
}

void loom_label_values_make(LoomDataset *dataset, const LoomFound *found,
                            const LoomDataOptions *options)
{
    guint8 values[256];
    gboolean known[256], same = TRUE;

    known_find(found, known);
    for (guint k = 0; k < 256; k++) {
        values[k] = (guint8)k;
        if (k < dataset->n_labels)
            values[k] = (guint8)value_find(dataset, found, options, known, (gint)k);
        else if (k == LOOM_IGNORED)
            values[k] = (guint8)ignored_find(dataset, found, options);
        same = same && values[k] == k;
    }
    if (!same)
        dataset->value_of = g_memdup2(values, sizeof values);
}

/* " (10, 11 are read as it, too)": values besides the one that is written; appended. */
static void others_append(GString *text, const LoomDataset *dataset, guint label, guint written)
{
    guint n = 0;

    for (guint value = 0; dataset->label_of && value < 256; value++)
        if (value != written && dataset->label_of[value] == (gint)label)
            g_string_append_printf(text, "%s%u", n++ ? ", " : " (", value);
    if (n)
        g_string_append(text, n > 1 ? " are read as it, too)" : " is read as it, too)");
}

char *loom_dataset_values_text(const LoomDataset *dataset)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint k = 0; k < dataset->n_labels; k++) {
        const guint written = dataset->value_of ? dataset->value_of[k] : k;
        g_autoptr(GString) others = g_string_new(NULL);

        if (k > 0) /* that much else is background is no news */
            others_append(others, dataset, k, written);
        if (written != k || others->len)
            g_string_append_printf(text, "%s%u for '%s'%s", text->len ? ", " : "", written,
                                   dataset->label_names[k], others->str);
    }
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

char *loom_label_values_text(char *const *names, const guint8 *values, guint n)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint k = 0; values && k < n; k++)
        if (values[k] != k)
            g_string_append_printf(text, "%s%u for '%s'", text->len ? ", " : "", values[k],
                                   names[k]);
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}
