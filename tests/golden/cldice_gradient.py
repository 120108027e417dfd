#!/usr/bin/env python3
"""Writes cldice_gradient.csv: the value of clDice and its gradient by PyTorch's autograd.

    pip install torch && python3 cldice_gradient.py > cldice_gradient.csv

First row: the value.  Then one a voxel: the logit of class 1 in thousandths (class 0 has 0), its
label, and the gradient with respect to that logit.  Two samples of (5,6,7) voxels, float64.
The soft skeleton is written from the formulas of Shit et al. 2021 (clDice, algorithm 1) with
PyTorch's own pooling.
"""
import torch
from torch.nn.functional import max_pool3d, relu

ITERATIONS, SMOOTH = 3, 1.0


def erode(x):
    kernels = [(3, 1, 1), (1, 3, 1), (1, 1, 3)]
    parts = [-max_pool3d(-x, k, 1, tuple(n // 2 for n in k)) for k in kernels]
    return torch.min(torch.min(parts[0], parts[1]), parts[2])


def opened(x):
    return max_pool3d(erode(x), 3, 1, 1)


def skeleton(x):
    found = relu(x - opened(x))
    for _ in range(ITERATIONS):
        x = erode(x)
        more = relu(x - opened(x))
        found = found + relu(more - found * more)
    return found


def main():
    torch.manual_seed(1)
    z = torch.randint(-2500, 2501, (2, 1, 5, 6, 7))
    y = torch.zeros(2, 1, 5, 6, 7, dtype=torch.float64)
    y[0, 0, 1:4, 2:5, :] = 1  # a bar through the volume
    y[1, 0, :, 1:3, 2:4] = 1  # another, and a lump
    y[1, 0, 3:, 3:, 4:] = 1
    logits = (z.double() / 1000).requires_grad_()
    p = torch.sigmoid(logits)
    skel_p, skel_y = skeleton(p), skeleton(y)
    tp = ((skel_p * y).sum() + SMOOTH) / (skel_p.sum() + SMOOTH)
    ts = ((skel_y * p).sum() + SMOOTH) / (skel_y.sum() + SMOOTH)
    loss = 1 - 2 * tp * ts / (tp + ts)
    loss.backward()
    print(f"{loss.item():.12g}")
    for a, b, c in zip(z.flatten(), y.flatten(), logits.grad.flatten()):
        print(f"{a.item()},{int(b.item())},{c.item():.10g}")


main()
