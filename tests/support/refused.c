/* refused - built four ways into modules that the loader must refuse, and say why. */
#define REFUSED_NO_SYMBOL 1
#define REFUSED_TOO_NEW 2
#define REFUSED_BAD_ROW 3
#define REFUSED_TWO_CALLS 4

#include <loom/loom.h>

typedef struct {
    gint64 n;
} Refused;

static const LoomParam refused_params[] = {
#if REFUSED == REFUSED_BAD_ROW
    LOOM_INT(Refused, n, "12", 0, 10, NULL, "a default that its own row refuses"),
#else
    LOOM_INT(Refused, n, "5", 0, 10, NULL, "a number"),
#endif
    {0},
};

static gboolean refused_map(G_GNUC_UNUSED gpointer self, G_GNUC_UNUSED LoomPacket *packet,
                            G_GNUC_UNUSED LoomContext *ctx, G_GNUC_UNUSED GError **error)
{
    return TRUE;
}

#if REFUSED == REFUSED_TWO_CALLS
static LoomFlow refused_process(G_GNUC_UNUSED gpointer self, LoomPacket *packet,
                                LoomContext *ctx, GError **error)
{
    return loom_context_push(ctx, packet, error);
}
#endif

static const LoomStage refused = {
    .base = LOOM_STAGE(Refused, "refused", "Must not load", .params = refused_params),
    .map = refused_map,
#if REFUSED == REFUSED_TWO_CALLS
    .process = refused_process,
#endif
};

#if REFUSED == REFUSED_NO_SYMBOL
LOOM_EXPORT extern const LoomPlugin *const some_other_symbol;
const LoomPlugin *const some_other_symbol = &refused.base;
#elif REFUSED == REFUSED_TOO_NEW
LOOM_EXPORT extern const LoomModule loom_module;
const LoomModule loom_module = {LOOM_ABI_MAJOR, LOOM_ABI_MINOR + 1, "refused", "1",
                                (const LoomPlugin *const[]){&refused.base, NULL}};
#else
LOOM_MODULE("refused", "1", &refused.base);
#endif
