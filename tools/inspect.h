/* inspect.h - a plugin's descriptor as text: no instance is made, none of its code runs. */
#pragma once

#include "plugin/registry.h"

/* Appends to @out.  Text: for a terminal of @width columns. */
void inspect_text(const LoomRegistry *registry, const LoomPlugin *plugin, guint width,
                  GString *out);
void inspect_markdown(const LoomRegistry *registry, const LoomPlugin *plugin, GString *out);
/* A mapping to paste into a config: every key with its default and what it means. */
void inspect_yaml(const LoomPlugin *plugin, GString *out);
