#!/usr/bin/env python3
"""Writes surface_distances.csv: what MedPy and SciPy say about 200 pairs of random masks.

    pip install medpy==0.5.2 scipy && python3 surface_distances.py > surface_distances.csv

A row: shape, spacing in mm, then hd, hd95, assd, nsd at 1 mm.  hd is medpy.metric.binary.hd; the
others are made of MedPy's directed distances between the borders (6-neighbourhood), as Metrics
Reloaded defines them: hd95 is the larger of the two directed percentiles, assd and nsd pool the
voxels of both borders.  The masks come from splitmix64, as in test-surface-distances.c: balls,
boxes and single voxels, of which some are taken out again.
"""
import numpy as np
from medpy.metric import binary

directed = binary.__dict__["__surface_distances"]
MASK = (1 << 64) - 1
EDGES = (1.0, 0.5, 0.7, 0.78125, 1.5, 2.0, 3.0, 0.9375)


class Random:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % n


def mask(random, shape):
    d, h, w = np.indices(shape)
    out = np.zeros(shape, bool)
    for _ in range(1 + random.below(4)):
        kind = random.below(4)
        at = [random.below(n) for n in shape]
        size = 1 + random.below(6)
        if kind == 0:  # a ball
            part = (d - at[0]) ** 2 + (h - at[1]) ** 2 + (w - at[2]) ** 2 <= size * size
        elif kind == 1:  # a box that begins there
            part = (d >= at[0]) & (h >= at[1]) & (w >= at[2])
            part &= (d < at[0] + size) & (h < at[1] + size) & (w < at[2] + 2 * size)
        else:  # a voxel is put in, or a small ball taken out
            part = (d - at[0]) ** 2 + (h - at[1]) ** 2 + (w - at[2]) ** 2 <= (kind - 2) * 4
        out = out & ~part if kind == 3 else out | part
    if not out.any():
        out[shape[0] // 2, shape[1] // 2, shape[2] // 2] = True
    return out


def main():
    for seed in range(200):
        random = Random(seed)
        shape = [4 + random.below(21) for _ in range(3)]
        spacing = [EDGES[random.below(len(EDGES))] for _ in range(3)]
        a, b = mask(random, shape), mask(random, shape)
        ab = directed(a, b, spacing, 1)
        ba = directed(b, a, spacing, 1)
        both = np.hstack((ab, ba))
        hd = binary.hd(a, b, spacing, 1)
        hd95 = max(np.percentile(ab, 95), np.percentile(ba, 95))
        nsd = np.mean(both <= 1.0 + 1e-12)
        values = [*shape, *spacing, *(float(x) for x in (hd, hd95, both.mean(), nsd))]
        print(",".join(f"{x:.10g}" for x in values))


main()
