/* resample.h - a patch cut out of a larger one through a matrix: turned, scaled, or both. */
#pragma once

#include <glib.h>

/* Voxel p of the result is taken at centre_from + matrix (p - centre_to); all D, H, W. */
typedef struct {
    gint64 from[3], to[3]; /* sizes */
    double matrix[3][3];
    double centre_from[3], centre_to[3];
} Resample;

/* resample_linear - one channel, trilinear, 0 outside
 * @x: (from[0], from[1], from[2]); @y: (to[0], to[1], to[2]), overwritten
 * The same as scipy.ndimage.affine_transform, order 1, mode 'grid-constant'. */
void resample_linear(const Resample *resample, const float *x, float *y);
/* resample_labels - each class as a map of its own, linear; the largest wins, of equal ones the
 * higher class.  So a class has every voxel where it reaches more than one half.  Outside is
 * class 0. */
void resample_labels(const Resample *resample, const guint8 *x, guint8 *y);
