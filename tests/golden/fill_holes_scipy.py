#!/usr/bin/env python3
"""Writes fill_holes_scipy.csv: what SciPy fills in small random masks.

    pip install scipy==1.17.1 && python3 fill_holes_scipy.py > fill_holes_scipy.csv

A row: seed, percent of the voxels that are set, sizes, voxels that were filled, then 0 or 1 a voxel in
one word.  It is binary_fill_holes as nnU-Net calls it for the mask of what is not 0.  The input comes
from splitmix64, as in test-fill-holes.c.
"""
import numpy as np
from scipy.ndimage import binary_fill_holes

from resample_scipy import numbers

ROWS = (  # percent, sizes
    (50, (9, 8, 7)),
    (65, (9, 8, 7)),
    (75, (12, 11, 10)),
    (85, (20, 6, 6)),
    (95, (6, 7, 8)),
    (60, (40, 5, 4)),
    (70, (4, 5, 40)),
    (75, (1, 12, 14)),
    (75, (3, 3, 1)),
    (50, (1, 1, 9)),
    (0, (4, 4, 4)),
    (100, (4, 4, 4)),
)


def main():
    for seed, (percent, size) in enumerate(ROWS):
        mask = numbers(seed, int(np.prod(size)), 100).reshape(size) < percent
        full = binary_fill_holes(mask)
        words = (seed, percent, *size, int((full & ~mask).sum()))
        print(",".join([*map(str, words), "".join(map(str, full.ravel().astype(int)))]))


if __name__ == "__main__":
    main()
