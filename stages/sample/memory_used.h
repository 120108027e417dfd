/* memory_used.h - what this process holds in memory now. */
#pragma once

#include <glib.h>

/* Bytes; 0 where the system does not say. */
guint64 memory_used(void);
