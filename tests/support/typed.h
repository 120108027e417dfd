/* typed.h - segloom as a person types it: what it prints, where, and how it ends. */
#pragma once

#include <glib.h>

typedef struct {
    char *out, *err;
    int code; /* -1: a signal ended it */
} Typed;

void typed_clear(Typed *typed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Typed, typed_clear)

/* What was built beside this test; (transfer full). */
char *typed_beside(const char *name);
/* segloom @line, in @folder (NULL: here); words are split as a shell does.
 * @environment: ends with NULL; NULL: this process's. */
Typed typed_run(const char *folder, const char *line, char **environment);
/* Fails the test, and shows the text, unless @part is in it. */
void typed_assert_in(const char *text, const char *part);
