/* orient - image and label turned so that their axes run in given directions: axes are swapped
 * and mirrored, no voxel is interpolated, so an oblique volume stays oblique.
 *
 * Letters are those of a NIfTI header: RAS has its first axis (W) to the right, its second (H)
 * to anterior and its third (D) to superior; RSA has anterior along D. */
#include <loom/loom.h>

#include <string.h>

#define ORIENT_THICK 2.0 /* times the next smaller edge: the axis across the slices */

typedef struct {
    char *axes;
    gboolean thick_first;
} Orient;

static const LoomParam orient_params[] = {
    LOOM_STRING(Orient, axes, "keep",
                "directions of W, H, D: R or L, A or P, S or I, such as RAS; keep: as stored"),
    LOOM_BOOL(Orient, thick_first, "false",
              "then move the axis with the longest voxels to D, where they are at least twice "
              "as long as the next"),
    {0},
};

static const LoomSlot orient_slots[] = {
    {"image", LOOM_F32, "CDHW", 0, "as stored in, turned out"},
    {"label", LOOM_U8, "DHW", LOOM_SLOT_OPTIONAL, "turned alike"},
    {0},
};

/* Where each axis of the result comes from, in file order i, j, k. */
typedef struct {
    guint axis[3];
    gboolean turned[3];
    gint64 size[3]; /* of the result */
} Turn;

static const char directions[] = "RLAPSI"; /* pairs along one line */

/* 0, 1, 2: the line that a letter runs along; 3: no such letter. */
static guint line_of(char letter)
{
    const char *at = letter ? strchr(directions, letter) : NULL;

    return at ? (guint)(at - directions) / 2 : 3;
}

static gboolean keeps(const Orient *orient)
{
    return g_strcmp0(orient->axes, "keep") == 0;
}

static gboolean orient_open(gpointer self, G_GNUC_UNUSED LoomHost *host, GError **error)
{
    const Orient *orient = self;
    const char *axes = orient->axes ? orient->axes : "";
    guint seen = 0;

    for (guint i = 0; i < 3 && axes[0] && strlen(axes) == 3; i++)
        if (line_of(axes[i]) < 3)
            seen |= 1u << line_of(axes[i]);
    return keeps(orient) || seen == 7
           || loom_fail(error, LOOM_ERROR_CONFIG,
                        "axes: '%s' is no orientation, want one letter each of R or L, A or P, "
                        "S or I, such as RAS, or 'keep'",
                        axes);
}

/* Moves the thick axis last: it is the tensor's first. */
static void turn_thick(Turn *turn, const double spacing_mm[3])
{
    guint thick = 0;

    for (guint i = 1; i < 3; i++)
        if (spacing_mm[turn->axis[i]] > spacing_mm[turn->axis[thick]])
            thick = i;
    for (guint i = 0; i < 3; i++)
        if (i != thick
            && spacing_mm[turn->axis[thick]] < ORIENT_THICK * spacing_mm[turn->axis[i]])
            return;
    for (; thick < 2; thick++) {
        const Turn old = *turn;

        turn->axis[thick] = old.axis[thick + 1];
        turn->axis[thick + 1] = old.axis[thick];
        turn->turned[thick] = old.turned[thick + 1];
        turn->turned[thick + 1] = old.turned[thick];
    }
}

static Turn turn_find(const Orient *orient, const LoomGeometry *geometry)
{
    Turn turn = {.axis = {0, 1, 2}};

    for (guint i = 0; i < 3 && !keeps(orient); i++)
        for (guint j = 0; j < 3; j++)
            if (line_of(geometry->axes[j]) == line_of(orient->axes[i])) {
                turn.axis[i] = j;
                turn.turned[i] = geometry->axes[j] != orient->axes[i];
            }
    if (orient->thick_first)
        turn_thick(&turn, geometry->spacing_mm);
    for (guint i = 0; i < 3; i++)
        turn.size[i] = geometry->size[turn.axis[i]];
    return turn;
}

static gboolean turn_moves(const Turn *turn)
{
    for (guint i = 0; i < 3; i++)
        if (turn->axis[i] != i || turn->turned[i])
            return TRUE;
    return FALSE;
}

/* ---- voxels ------------------------------------------------------------------------- */

typedef struct {
    gconstpointer from;
    gpointer to;
    gboolean floats;
    const gint64 *size; /* of the result, i, j, k */
    gint64 stride[3];   /* in the source, from one voxel of the result to the next */
    gint64 first, voxels;
} Copy;

/* Plane @i of all channels. */
static void copy_plane(gint64 i, G_GNUC_UNUSED guint worker, gpointer data)
{
    const Copy *copy = data;
    const gint64 *size = copy->size, step = copy->stride[0], k = i % size[2];
    const gint64 plane = i / size[2] * copy->voxels + copy->first + k * copy->stride[2];

    for (gint64 j = 0; j < size[1]; j++) {
        const gint64 at = plane + j * copy->stride[1], row = (i * size[1] + j) * size[0];

        if (copy->floats) {
            const float *from = (const float *)copy->from + at;
            float *to = (float *)copy->to + row;

            for (gint64 n = 0; n < size[0]; n++)
                to[n] = from[n * step];
        } else {
            const guint8 *from = (const guint8 *)copy->from + at;
            guint8 *to = (guint8 *)copy->to + row;

            for (gint64 n = 0; n < size[0]; n++)
                to[n] = from[n * step];
        }
    }
}

/* One slot, turned; FALSE: no memory. */
static gboolean slot_turn(LoomPacket *packet, const char *slot, const Turn *turn,
                          const gint64 old[3], LoomPool *pool, GError **error)
{
    const LoomTensor *from = loom_packet_get(packet, slot);
    const gint64 stride[3] = {1, old[0], old[0] * old[1]};
    const gboolean floats = loom_tensor_dtype(from) == LOOM_F32;
    const gint64 channels = loom_tensor_size(from, 'C'), *size = turn->size;
    const gint64 shape[4] = {channels, size[2], size[1], size[0]};
    LoomTensor *to = loom_tensor_new(floats ? LOOM_F32 : LOOM_U8, floats ? "CDHW" : "DHW",
                                     floats ? shape : shape + 1, error);
    Copy copy = {.floats = floats, .size = size, .voxels = old[0] * old[1] * old[2]};

    if (!to)
        return FALSE;
    for (guint i = 0; i < 3; i++) {
        const guint axis = turn->axis[i];

        copy.stride[i] = turn->turned[i] ? -stride[axis] : stride[axis];
        copy.first += turn->turned[i] ? (old[axis] - 1) * stride[axis] : 0;
    }
    copy.from = floats ? (gconstpointer)loom_tensor_f32(from) : loom_tensor_u8(from);
    copy.to = floats ? (gpointer)loom_tensor_f32_mut(to) : loom_tensor_u8_mut(to);
    loom_pool_run(pool, channels * size[2], copy_plane, &copy);
    loom_packet_set(packet, slot, to);
    return TRUE;
}

/* The case with its axes as @turn has them. */
static void turn_geometry(LoomPacket *packet, const Turn *turn)
{
    LoomGeometry moved = *loom_packet_geometry(packet);
    double step[3], start[3];

    for (guint i = 0; i < 3; i++) {
        step[i] = turn->turned[i] ? -1 : 1;
        start[i] = turn->turned[i] ? (double)(turn->size[i] - 1) : 0;
    }
    loom_geometry_regrid(&moved, turn->size, turn->axis, step, start);
    loom_packet_regrid(packet, &moved);
}

static gboolean orient_map(gpointer self, LoomPacket *packet, LoomContext *ctx, GError **error)
{
    const Orient *orient = self;
    const LoomGeometry *geometry = loom_packet_geometry(packet);
    LoomPool *pool = loom_context_pool(ctx);

    if (!geometry)
        return loom_fail(error, LOOM_ERROR_SHAPE,
                         "case '%s' has no geometry, so no directions: put 'orient' before "
                         "patches are cut",
                         loom_packet_id(packet));
    const Turn turn = turn_find(orient, geometry);
    if (!turn_moves(&turn))
        return TRUE;
    if (!slot_turn(packet, "image", &turn, geometry->size, pool, error)
        || (loom_packet_get(packet, "label")
            && !slot_turn(packet, "label", &turn, geometry->size, pool, error)))
        return FALSE;
    turn_geometry(packet, &turn);
    return TRUE;
}

/* One slot turned beside what it was made of. */
static gboolean slot_sketch(LoomPacket *sketch, const char *slot, const gint64 size[3],
                            LoomNeed *need, GError **error)
{
    const LoomTensor *from = loom_packet_get(sketch, slot);
    const gboolean floats = from && loom_tensor_dtype(from) == LOOM_F32;
    const gint64 shape[4] = {from ? loom_tensor_size(from, 'C') : 0, size[2], size[1], size[0]};

    if (!from)
        return TRUE;
    need->work = MAX(need->work, loom_tensor_bytes(from));
    LoomTensor *to = loom_tensor_sketch(floats ? LOOM_F32 : LOOM_U8, floats ? "CDHW" : "DHW",
                                        floats ? shape : shape + 1, error);
    if (!to)
        return FALSE;
    loom_packet_set(sketch, slot, to);
    return TRUE;
}

static gboolean orient_need(gpointer self, LoomPacket *sketch, LoomNeed *need, GError **error)
{
    const LoomGeometry *geometry = loom_packet_geometry(sketch);

    if (!geometry)
        return TRUE;
    const Turn turn = turn_find(self, geometry);
    if (!turn_moves(&turn))
        return TRUE;
    if (!slot_sketch(sketch, "image", turn.size, need, error)
        || !slot_sketch(sketch, "label", turn.size, need, error))
        return FALSE;
    turn_geometry(sketch, &turn);
    return TRUE;
}

/* Which size goes where is known when the header is read. */
static gboolean orient_plan(gpointer self, LoomPlan *plan, G_GNUC_UNUSED GError **error)
{
    const Orient *orient = self;

    if (!keeps(orient) || orient->thick_first)
        plan->d = plan->h = plan->w = 0;
    return TRUE;
}

static const LoomStage orient = {
    .base = LOOM_STAGE(Orient, "orient", "Turn image and label to given directions",
                       .params = orient_params, .open = orient_open),
    .reads = orient_slots,
    .writes = orient_slots,
    .flags = LOOM_STAGE_PURE | LOOM_STAGE_STEADY,
    .map = orient_map,
    .plan = orient_plan,
    .need = orient_need,
};
LOOM_MODULE("stage_orient", "0.1", &orient.base);
