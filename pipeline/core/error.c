/* error - the error domain, and the one way to start an error. */
#include <loom/plugin.h>

GQuark loom_error_quark(void)
{
    return g_quark_from_static_string("loom-error-quark"); /* looked up, not kept: any thread */
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
