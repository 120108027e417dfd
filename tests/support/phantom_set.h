/* phantom_set.h - a small data set of spheres. */
#pragma once

#include <glib.h>

/* @n cases of 20x24x22 voxels in nnU-Net's layout, classes 0 and 1. */
void phantom_set_make(const char *folder, guint n);
