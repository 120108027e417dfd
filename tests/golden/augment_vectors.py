#!/usr/bin/env python3
"""Writes augment_vectors.h: what SciPy, PyTorch and batchgenerators make of one small volume.

    pip install numpy scipy torch batchgenerators batchgeneratorsv2
    python3 augment_vectors.py > augment_vectors.h

The volume and its labels come from a formula that test-augment.c has as well.
  affine, labels  scipy.ndimage.affine_transform, order 1, grid-constant; of each class, the rest
                  is class 0, and the largest wins
  blur            scipy.ndimage.gaussian_filter
  coarse          torch.nn.functional.interpolate, nearest-exact and trilinear
  contrast        batchgeneratorsv2, ContrastTransform(preserve_range)
  gamma, inverted batchgeneratorsv2, GammaTransform(p_retain_stats=1)
  load            batchgenerators, get_patch_size with nnU-Net's angles and scales
"""
import numpy as np
import torch
from batchgenerators.augmentations.utils import rotate_coords_2d, rotate_coords_3d
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from scipy.ndimage import affine_transform, gaussian_filter
from torch.nn.functional import interpolate

FROM, TO = (7, 6, 5), (4, 5, 6)
MATRIX = np.array([[0.9, -0.5, 0.2], [0.4, 1.1, -0.3], [-0.25, 0.35, 0.8]])
CENTRE_FROM, CENTRE_TO = np.array([3.0, 2.5, 2.25]), np.array([1.5, 2.0, 2.5])
SIZES = [(128, 128, 128), (40, 56, 40), (20, 320, 256), (1, 512, 512), (1, 256, 128),
         (48, 192, 160), (80, 160, 160)]

i = np.arange(7 * 6 * 5)
image = (((i * 7919) % 1009) / 500 - 1).astype(np.float32).reshape(FROM)
label = ((i // 4 * 31) % 7 % 3).astype(np.uint8).reshape(FROM)


def moved(x):
    return affine_transform(x.astype(np.float64), MATRIX, CENTRE_FROM - MATRIX @ CENTRE_TO, TO,
                            order=1, mode="grid-constant", cval=0)


def labels():
    parts = np.stack([moved(label == k) for k in range(3)])
    parts[0] += 1 - parts.sum(0)  # outside is class 0
    return parts.argmax(0)


def coarse():
    few = interpolate(torch.from_numpy(image)[None, None], (3, 6, 4), mode="nearest-exact")
    return interpolate(few, FROM, mode="trilinear")[0, 0].numpy()


def intensity(transform):
    return transform(image=torch.from_numpy(image.copy())[None])["image"][0].numpy()


def load(size):
    """nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size"""
    angle = 30 if max(size) / size[0] <= 3 else 180
    if size[0] == 1 and max(size[1:]) / min(size[1:]) > 1.5:
        angle = 15
    angle = min(angle, 90) / 180 * np.pi
    size = np.array(size, float)
    if size[0] == 1:
        shape = np.maximum(np.abs(rotate_coords_2d(size[1:], angle)), size[1:])
        return [1, *(shape / 0.85).astype(int)]
    turned = [np.abs(rotate_coords_3d(size, *(angle * (k == a) for k in range(3))))
              for a in range(3)]
    shape = (np.max([*turned, size], 0) / 0.85).astype(int)
    return [int(size[0]) if max(size) / size[0] > 3 else shape[0], *shape[1:]]


def array(name, values, kind="double", form="{:.8g}"):
    print(f"\nstatic const {kind} {name}[] = {{")
    line = "   "
    for value in np.ravel(values):
        word = " " + form.format(value) + ","
        if len(line + word) > 96:
            print(line)
            line = "   "
        line += word
    print(line + "\n};")


print("/* augment_vectors.h - what SciPy, PyTorch and batchgenerators make of one small volume;\n"
      " * augment_vectors.py wrote it. */\n#pragma once\n\n#include <glib.h>\n\n"
      "/* clang-format off */")
array("affine_image", moved(image))
array("affine_label", labels(), "guint8", "{}")
array("blurred", gaussian_filter(image.astype(np.float64), (0.6, 1.0, 0.8)))
array("coarse", coarse())
array("contrast", intensity(ContrastTransform(1.2, True, False, 1.0)))
array("gamma_0_8", intensity(GammaTransform(0.8, 0.0, False, 1.0, 1.0)))
array("gamma_inverted_1_4", intensity(GammaTransform(1.4, 1.0, False, 1.0, 1.0)))
print("\nstatic const struct {\n    gint64 size[3], load[3];\n} loads[] = {")
for size in SIZES:
    a, b = (", ".join(str(int(n)) for n in x) for x in (size, load(size)))
    print(f"    {{{{{a}}}, {{{b}}}}},")
print("};")
