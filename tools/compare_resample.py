#!/usr/bin/env python3
"""compare_resample - segloom and nnU-Net's way in turn: a case onto other voxels.

nnU-Net calls skimage.transform.resize: for an image once with order 3, for labels once a class with
order 1, each thresholded at 0.5.  Every second pair begins with the other side.  Needs a built
segloom, and this Python with scikit-image; installs nothing, writes nothing.

  tools/compare_resample.py --size 155,240,240 --to 194,300,300 --classes 4 --threads 2 --pairs 3
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import time

import numpy as np
from skimage.transform import resize

HERE = pathlib.Path(__file__).resolve().parent


def sizes(text):
    return tuple(int(part) for part in text.replace("x", ",").split(","))


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=sizes, default=(155, 240, 240), metavar="D,H,W")
    parser.add_argument("--to", type=sizes, default=(194, 300, 300), metavar="D,H,W")
    parser.add_argument("--classes", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2, help="segloom's; the other has one")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--segloom", default=HERE.parent / "build/release/segloom", metavar="FILE")
    return parser.parse_args()


def case(asked):
    """As in bench_resample.c: noise, and balls along the diagonal."""
    at = np.meshgrid(*[np.arange(n) / n for n in asked.size], indexing="ij")
    label = np.zeros(asked.size, np.uint8)
    for k in range(asked.classes - 1, 0, -1):
        apart = sum((x - k / asked.classes) ** 2 for x in at)
        label[apart < 0.25 / asked.classes**2] = k
    noise = np.random.default_rng(1).uniform(-1, 1, asked.size).astype(np.float32)
    return noise + label, label


def nnunet(asked, image, label):
    begin = time.perf_counter()
    resize(image, asked.to, order=3, mode="edge", anti_aliasing=False)
    between = time.perf_counter()
    out = np.zeros(asked.to, label.dtype)
    for k in np.unique(label):
        part = resize((label == k).astype(float), asked.to, order=1, mode="edge", clip=True,
                      anti_aliasing=False)
        out[part >= 0.5] = k
    return between - begin, time.perf_counter() - between


def segloom(asked):
    def text(size):
        return ",".join(map(str, size))

    lines = subprocess.run(
        [str(asked.segloom), "bench", "resample", "--size", text(asked.size), "--to",
         text(asked.to), "--classes", str(asked.classes), "--threads", str(asked.threads),
         "--repeat", "3", "--json"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return tuple(json.loads(line)["seconds"] for line in lines.splitlines())


def main():
    asked = arguments()
    image, label = case(asked)
    rows = []
    print("pair     nnU-Net image, label    segloom image, label    times faster")
    for i in range(asked.pairs):
        pair = [None, None]
        for side in (0, 1) if i % 2 == 0 else (1, 0):
            pair[side] = segloom(asked) if side else nnunet(asked, image, label)
        rows.append((*pair[0], *pair[1]))
        show(str(i + 1), rows[-1])
    show("median", [statistics.median(column) for column in zip(*rows)])


def show(name, row):
    print("%-6s %9.3f s %9.3f s   %9.3f s %9.3f s   %6.1f %6.1f" % (
        name, *row, row[0] / row[2], row[1] / row[3]), flush=True)


main()
