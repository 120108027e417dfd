/* zmq_keys.h - CURVE keys in files: the secret of this end, and the list of those it lets in.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

#define KEY_SIZE 41 /* 40 characters of Z85 and a zero */

typedef struct {
    char public[KEY_SIZE], secret[KEY_SIZE];
} KeyPair;

/* zmq_keys_read - the pair in a file of two lines, "public: Z85" and "secret: Z85"
 * Refused with LOOM_ERROR_CONFIG, naming what was found: a link, no regular file, somebody
 * else's, readable by others, keys that do not belong together, the keys of the manual. */
gboolean zmq_keys_read(const char *path, KeyPair *pair, GError **error);
/* The text of such a file, at most @largest bytes, with the same care; (transfer full). */
char *zmq_secret_read(const char *path, gsize largest, GError **error);
/* LoomTransport's key_write. */
char *zmq_keys_write(const char *path, GError **error);

/* Who is let in.  For one thread. */
typedef struct {
    char *path;       /* NULL: only `own` */
    char *own;        /* public key of this end, for which no file is needed */
    GHashTable *keys; /* public keys; as the file was when last looked at */
    struct stat stamp;
} AllowList;

/* A file has one public key a line, and comments behind '#'.  Errors carry file and line. */
gboolean zmq_allow_open(AllowList *list, const char *path, const char *own, GError **error);
void zmq_allow_clear(AllowList *list);
/* Reads the file anew when it changed; while it is wrong nobody is let in. */
gboolean zmq_allow_has(AllowList *list, const char *key);
