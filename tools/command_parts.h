/* command_parts.h - a command that is one of several: `segloom plugin new`. */
#pragma once

#include <glib.h>

typedef struct {
    const char *name, *arguments, *summary;
    int (*main)(int argc, char **argv);
} CommandPart;

typedef struct {
    const char *example;      /* one line to copy */
    const CommandPart *parts; /* ends with an empty one */
} CommandParts;

/* Finds the part that argv[1] names, and is it; --help and mistakes go to the terminal.
 * Returns: its exit code. */
int command_parts_main(const CommandParts *of, int argc, char **argv);
