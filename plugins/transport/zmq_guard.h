/* zmq_guard.h - a thread that answers, for each connection to a port with keys or a password,
 * whether it may. */
#pragma once

#include "zmq_keys.h"

#define GUARD_DOMAIN "segloom"

typedef struct _Guard Guard;

/* @context: of libzmq; before its first socket with a domain of ZAP, which is GUARD_DOMAIN for
 * CURVE, and for PLAIN the number of the port.  @allowed, @own: see zmq_allow_open.  @secret:
 * see zmq_pass_word; NULL: nobody has a password. */
Guard *zmq_guard_new(void *context, const char *allowed, const char *own, const char *secret,
                     GError **error);
void zmq_guard_free(Guard *guard);
