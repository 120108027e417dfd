#!/usr/bin/env python3
"""Writes resample_scipy.csv: what SciPy makes of small random volumes on other grids.

    pip install scipy==1.17.1 && python3 resample_scipy.py > resample_scipy.csv

A row: seed, what (image or label), orders along D, H, W, sizes in, sizes out, then the voxels out.
Images are zoom(mode='nearest', grid_mode=True), which is what nnU-Net's skimage.transform.resize
calls; where D has order 0, each plane by itself and then map_coordinates of order 0 along D, as
nnU-Net does for thick slices.  Labels are the same of each class's mask with order 1, then the
class with the largest share; of equal ones the highest, which is where thresholds of 0.5 class by
class end.  255: two shares are so near that rounding decides.  The input comes from splitmix64, as
in test-resample.c.
"""
import numpy as np
from scipy.ndimage import map_coordinates, zoom

MASK = (1 << 64) - 1
ROWS = (  # what, orders, in, out
    ("image", (3, 3, 3), (7, 6, 5), (9, 8, 7)),
    ("image", (3, 3, 3), (9, 8, 7), (4, 5, 3)),
    ("image", (3, 3, 3), (5, 6, 8), (5, 9, 8)),
    ("image", (3, 3, 3), (4, 7, 5), (6, 7, 5)),
    ("image", (3, 3, 3), (2, 3, 2), (5, 8, 9)),
    ("image", (3, 3, 3), (1, 9, 1), (1, 13, 1)),
    ("image", (3, 3, 3), (1, 4, 3), (3, 7, 4)),
    ("image", (3, 3, 3), (30, 2, 2), (11, 3, 2)),
    ("image", (1, 1, 1), (7, 6, 5), (9, 8, 7)),
    ("image", (1, 1, 1), (9, 8, 7), (4, 5, 3)),
    ("image", (1, 1, 1), (1, 9, 1), (1, 13, 1)),
    ("image", (1, 1, 1), (2, 3, 2), (5, 8, 9)),
    ("image", (0, 3, 3), (4, 6, 7), (9, 8, 5)),
    ("image", (0, 1, 1), (6, 5, 4), (4, 7, 6)),
    ("label", (1, 1, 1), (7, 6, 5), (9, 8, 7)),
    ("label", (1, 1, 1), (9, 8, 10), (4, 5, 6)),
    ("label", (1, 1, 1), (6, 5, 4), (12, 10, 8)),
    ("label", (1, 1, 1), (12, 10, 8), (6, 5, 4)),
    ("label", (0, 1, 1), (4, 6, 7), (9, 8, 5)),
    ("label", (1, 1, 1), (1, 9, 1), (1, 13, 1)),
)


def numbers(seed, n, most):
    """n numbers of 0 .. most - 1."""
    out, state = [], seed
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append((z ^ (z >> 31)) % most)
    return np.array(out, np.float64)


def resized(x, orders, size):
    def whole(x, size, order):
        factors = [b / a for a, b in zip(x.shape, size)]
        out = zoom(x, factors, order=order, mode="nearest", grid_mode=True)
        assert out.shape == tuple(size)
        return out

    if orders[0] != 0:
        return whole(x, size, orders[0])
    planes = np.stack([whole(plane, size[1:], orders[1]) for plane in x])
    at = (np.arange(size[0]) + 0.5) * (x.shape[0] / size[0]) - 0.5
    grid = np.meshgrid(at, np.arange(size[1]), np.arange(size[2]), indexing="ij")
    return map_coordinates(planes, grid, order=0, mode="nearest")


def labels(x, orders, size):
    shares = np.stack([resized((x == k).astype(float), orders, size) for k in range(4)])
    best = 3 - np.argmax(shares[::-1], axis=0)
    top = np.sort(shares, axis=0)
    apart = top[-1] - top[-2]
    exact = all(a in (b, 2 * b) or b == 2 * a for a, b in zip(x.shape, size))
    best[(apart < 1e-5) & ((apart > 0) | (not exact))] = 255
    return best


def main():
    for seed, (what, orders, size, out_size) in enumerate(ROWS):
        n = int(np.prod(size))
        if what == "image":
            x = numbers(seed, n, 2001).reshape(size) - 1000
            out = [f"{v:.7g}" for v in resized(x, orders, out_size).ravel()]
        else:
            x = numbers(seed, n, 4).reshape(size)
            out = [str(v) for v in labels(x, orders, out_size).ravel()]
        print(",".join([str(seed), what, *map(str, (*orders, *size, *out_size)), *out]))


if __name__ == "__main__":
    main()
