/* zmq_pass.h - what tells processes of this user on this machine from strangers, where there
 * are no keys: a secret in a file that only this user can read, made when first wanted. */
#pragma once

#include <glib.h>

/* Of this user, the same in every process; (transfer full).  NULL with LOOM_ERROR_CONFIG: the
 * file is not safe, or cannot be made. */
char *zmq_pass_secret(GError **error);
/* For the port of that number: who is told it by a client that called the wrong port does not
 * know that of another one.  64 hexadecimal digits; (transfer full). */
char *zmq_pass_word(const char *secret, guint port);
