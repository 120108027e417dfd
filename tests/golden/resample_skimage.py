#!/usr/bin/env python3
"""Writes resample_skimage.csv: what scikit-image makes of small random volumes on other grids.

    pip install scikit-image==0.26.0 && python3 resample_skimage.py > resample_skimage.csv

A row: seed, axis of the slices (3: none), sizes in, sizes out, how many voxels were clipped, then the
voxels out.  It is resize(order=3, mode='edge', anti_aliasing=False) with its clip=True, the call that
nnU-Net makes for a channel; where an axis is thick, for one slice after the other, and along that axis
the nearest slice.  The input comes from splitmix64, as in test-resample.c: noise, whose splines swing
far beyond it.
"""
import numpy as np
from skimage.transform import resize

from resample_scipy import numbers

ROWS = (  # axis of the slices, in, out
    (3, (7, 6, 5), (9, 8, 7)),
    (3, (9, 8, 7), (4, 5, 3)),
    (3, (5, 6, 8), (5, 9, 8)),
    (3, (2, 3, 2), (5, 8, 9)),
    (3, (40, 3, 3), (67, 4, 5)),
    (0, (4, 6, 7), (9, 8, 5)),
    (1, (6, 4, 7), (8, 3, 9)),
    (2, (6, 7, 4), (9, 8, 7)),
    (2, (6, 7, 4), (9, 8, 4)),
)


def resized(x, size, clip):
    return resize(x, size, order=3, mode="edge", anti_aliasing=False, clip=clip)


def sliced(x, axis, size, clip):
    planes = np.moveaxis(x, axis, 0)
    rest = [s for i, s in enumerate(size) if i != axis]
    at = (np.arange(size[axis]) + 0.5) * (x.shape[axis] / size[axis]) - 0.5
    nearest = np.clip(np.floor(at + 0.5).astype(int), 0, x.shape[axis] - 1)
    return np.moveaxis(np.stack([resized(planes[i], rest, clip) for i in nearest]), 0, axis)


def main():
    for seed, (axis, size, out_size) in enumerate(ROWS):
        x = numbers(seed, int(np.prod(size)), 2001).reshape(size) - 1000
        made = [
            resized(x, out_size, clip) if axis == 3 else sliced(x, axis, out_size, clip)
            for clip in (True, False)
        ]
        clipped = int((np.abs(made[0] - made[1]) > 1).sum())
        words = (seed, axis, *size, *out_size, clipped)
        print(",".join([*map(str, words), *(f"{v:.7g}" for v in made[0].ravel())]))


if __name__ == "__main__":
    main()
