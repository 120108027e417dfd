/* error - the error domain, and the one way to start an error.
 *
 * Beside its message an error may carry the stable name of the problem, such as E-NII-SHORT:
 * private data of the domain (GLib's extended errors), so that prefixes and copies keep it. */
#include <loom/plugin.h>

typedef struct {
    const char *name; /* static; NULL: none */
} LoomErrorPrivate;

static void loom_error_private_init(G_GNUC_UNUSED LoomErrorPrivate *priv)
{
}

static void loom_error_private_copy(const LoomErrorPrivate *from, LoomErrorPrivate *to)
{
    *to = *from;
}

static void loom_error_private_clear(G_GNUC_UNUSED LoomErrorPrivate *priv)
{
}

G_DEFINE_EXTENDED_ERROR(LoomError, loom_error)

/* Before there is a second thread: GLib's own once is invisible to ThreadSanitizer. */
__attribute__((constructor)) static void domain_register(void)
{
    loom_error_quark();
}

gboolean loom_fail(GError **error, LoomErrorCode code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    if (error && !*error)
        *error = g_error_new_valist(LOOM_ERROR, (gint)code, format, args);
    va_end(args);
    return FALSE;
}

gboolean loom_fail_as(GError **error, const char *name, LoomErrorCode code, const char *format,
                      ...)
{
    va_list args;

    va_start(args, format);
    if (error && !*error) {
        *error = g_error_new_valist(LOOM_ERROR, (gint)code, format, args);
        loom_error_get_private(*error)->name = name;
    }
    va_end(args);
    return FALSE;
}

const char *loom_error_name(const GError *error)
{
    static const char *const plain[] = {
        [LOOM_ERROR_CONFIG] = "E-CONFIG", [LOOM_ERROR_PLUGIN] = "E-PLUGIN",
        [LOOM_ERROR_IO] = "E-IO",         [LOOM_ERROR_FORMAT] = "E-FORMAT",
        [LOOM_ERROR_SHAPE] = "E-SHAPE",   [LOOM_ERROR_NUMERIC] = "E-NUMERIC",
        [LOOM_ERROR_LIMIT] = "E-LIMIT",
    };

    if (error->domain != LOOM_ERROR)
        return "E-OTHER";
    const char *name = loom_error_get_private(error)->name;
    return name                                       ? name
           : (guint)error->code < G_N_ELEMENTS(plain) ? plain[error->code]
                                                      : "E-OTHER";
}

void loom_error_call(GError *error, const char *name)
{
    if (error && error->domain == LOOM_ERROR && !loom_error_get_private(error)->name)
        loom_error_get_private(error)->name = name;
}
