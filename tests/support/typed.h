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
/* A smaller configs/smoke.yaml on the data set 's' beside it; @from in it becomes @to, unless
 * NULL. */
void typed_config(const char *folder, const char *name, const char *from, const char *to);
/* Fails the test, and shows the text, unless @part is in it. */
void typed_assert_in(const char *text, const char *part);
