/* templates.h - the files that `segloom plugin new` writes: those of templates/, as text. */
#pragma once

typedef struct {
    const char *name, *text;
} Template;

extern const Template templates[]; /* ends with {0} */
