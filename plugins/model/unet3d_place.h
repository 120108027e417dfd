/* unet3d_place.h - who may lie where while others are needed. */
#pragma once

#include "unet3d_plan.h"

/* Gives each place an offset, a multiple of 64, such that no two overlap that are needed at the
 * same moment.  Returns: the bytes of the whole; G_MAXUINT64 where they cannot be counted. */
guint64 unet_places_lay(UnetPlace *places, guint n);
