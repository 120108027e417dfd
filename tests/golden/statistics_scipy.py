#!/usr/bin/env python3
"""Prints the numbers that tests/unit/test-statistics.c expects, made by scipy.

Usage: python3 tests/golden/statistics_scipy.py
"""
import numpy as np
from scipy import stats

A = [0.82, 0.75, 0.91, 0.66, 0.58, 0.87, 0.79, 0.93, 0.71, 0.64]
B = [0.801, 0.77, 0.853, 0.559, 0.612, 0.744, 0.757, 0.81, 0.695, 0.487]
ROUND_A = [0.8, 0.7, 0.9, 0.6, 0.5, 0.8, 0.7, 0.9, 0.7, 0.6, 0.4, 0.5]
ROUND_B = [0.7, 0.7, 0.8, 0.8, 0.4, 0.5, 0.7, 0.7, 0.6, 0.4, 0.6, 0.1]


def tenths(values):
    """Whole tenths: differences of equal size are equal numbers."""
    return np.round(np.array(values) * 10)


def long_pairs():
    """40 pairs without ties: the quadratic residues in test-statistics.c."""
    i = np.arange(40)
    return (i * i * 7 + 3 * i) % 101 + i / 64 + 12, (i * 13 + 5) % 89 + i / 128


def show(name, result):
    print(f"{name:24s} T = {result.statistic:g}  p = {result.pvalue:.15g}")


def holm(p):
    """By its definition; scipy has no Holm."""
    order = np.argsort(p)
    out = np.empty(len(p))
    worst = 0.0
    for k, at in enumerate(order):
        worst = max(worst, min(1.0, p[at] * (len(p) - k)))
        out[at] = worst
    return out


print("scipy", __import__("scipy").__version__)
show("exact, n = 10", stats.wilcoxon(A, B, method="exact"))
show("ties and zeros", stats.wilcoxon(tenths(ROUND_A), tenths(ROUND_B), zero_method="wilcox",
                                      correction=True, method="asymptotic"))
x, y = long_pairs()
show("normal, n = 40", stats.wilcoxon(x, y, correction=True, method="asymptotic"))
show("exact, n = 25", stats.wilcoxon(x[:25], y[:25], method="exact"))
interval = stats.bootstrap((A,), np.mean, n_resamples=1000000, method="percentile",
                           rng=np.random.default_rng(1), batch=10000)
print("bootstrap of A", interval.confidence_interval)
print("holm", holm(np.array([0.01, 0.04, 0.03, 0.005])))
