/* resume_config.h - what changed in a config since the run that is resumed began. */
#pragma once

#include "config/yaml.h"
#include "plugin/registry.h"

/* Holds @config against FOLDER/config.yaml, as both take effect, and tells each difference on
 * stderr.  Those that leave the weights what they are (how long it trains, how it is spread
 * over threads and ranks, where files lie, how often something is said or kept) are allowed;
 * others are LOOM_ERROR_CONFIG unless @force.  A folder without that file has nothing to differ
 * from. */
gboolean resume_config_check(const LoomNode *config, const LoomRegistry *registry,
                             const char *folder, gboolean force, GError **error);
