"""PyTorch's side of tools/compare: one bench of nnU-Net's plain 3-D U-Net on this processor, one
JSON object with the keys of `segloom bench NAME --json`.  Needs PyTorch, and nothing else.

usage: compare_torch.py {train_step,inference} --patch 64,64,64 --batch 2 --in 1 --classes 3
           --features 32,64,128,256,320 --threads 2 --repeat 5 [--bf16] [--channels-last]
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional


def sizes(text):
    return [int(part) for part in text.replace("x", ",").split(",")]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("bench", choices=["train_step", "inference"])
    parser.add_argument("--patch", type=sizes, default=[64, 64, 64])
    parser.add_argument("--features", type=sizes, default=[32, 64, 128, 256, 320])
    for name, default in ("batch", 2), ("in", 1), ("classes", 3), ("threads", 2), ("repeat", 5):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--channels-last", action="store_true", help="memory format of PyTorch")
    return parser.parse_args()


def convolve(c_in, c_out, stride=1):
    """Convolution, instance norm, leaky ReLU; the ReLU in place, as nnU-Net has it."""
    return nn.Sequential(
        nn.Conv3d(c_in, c_out, kernel_size=3, stride=stride, padding=1),
        nn.InstanceNorm3d(c_out, eps=1e-5, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )


class Level(nn.Module):
    """One resolution: two convolutions down, two up; inside it the next coarser one, if any."""

    def __init__(self, channels, classes, features, depth=0):
        super().__init__()
        mine, coarser = features[0], features[1:]
        self.down = nn.Sequential(convolve(channels, mine, 2 if depth else 1), convolve(mine, mine))
        self.inner = Level(mine, classes, coarser, depth + 1) if coarser else None
        if coarser:
            self.widen = nn.ConvTranspose3d(coarser[0], mine, kernel_size=2, stride=2)
            self.merge = nn.Sequential(convolve(2 * mine, mine), convolve(mine, mine))
            self.head = nn.Conv3d(mine, classes, kernel_size=1)
        self.finest = depth == 0

    def forward(self, x):
        """Features of this resolution, and logits of this and all coarser ones, finest first."""
        skip = self.down(x)
        if self.inner is None:
            return skip, []
        below, logits = self.inner(skip)
        y = self.merge(torch.cat([self.widen(below), skip], dim=1))
        if self.training or self.finest:
            logits = [self.head(y)] + logits
        return y, logits


def level_loss(logits, label, classes):
    """Cross entropy + soft Dice over the classes but the background."""
    probability = logits.softmax(dim=1)
    truth = functional.one_hot(label, classes).permute(0, 4, 1, 2, 3).to(probability.dtype)
    space = (0, 2, 3, 4)
    both = (probability * truth).sum(space)
    dice = (2 * both + 1) / (probability.sum(space) + truth.sum(space) + 1)
    return functional.cross_entropy(logits, label) + 1 - dice[1:].mean()


def total_loss(all_logits, label, classes):
    """Weights 1, 1/2, 1/4, ... of the resolutions, their sum 1; labels by the nearest voxel."""
    weights = [0.5**k for k in range(len(all_logits))]
    losses = [
        w * level_loss(z.float(), label[:, :: 2**k, :: 2**k, :: 2**k], classes)
        for k, (w, z) in enumerate(zip(weights, all_logits))
    ]
    return sum(losses) / sum(weights)


def peak_mib():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return None


def main():
    asked = arguments()
    torch.manual_seed(0)
    torch.set_num_threads(asked.threads)
    network = Level(getattr(asked, "in"), asked.classes, asked.features)
    image = torch.randn(asked.batch, getattr(asked, "in"), *asked.patch)
    label = torch.randint(asked.classes, (asked.batch, *asked.patch))
    if asked.channels_last:
        network = network.to(memory_format=torch.channels_last_3d)
        image = image.to(memory_format=torch.channels_last_3d)
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=asked.bf16)

    def train_step():
        optimiser.zero_grad(set_to_none=True)
        with autocast:
            _, logits = network(image)
        total_loss(logits, label, asked.classes).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimiser.step()

    def inference():
        with torch.inference_mode(), autocast:
            network(image)

    if asked.bench == "train_step":
        network.train()
        optimiser = torch.optim.SGD(
            network.parameters(), lr=1e-2, momentum=0.99, nesterov=True, weight_decay=3e-5
        )
        once = train_step
    else:
        network.eval()
        once = inference
    seconds = []
    for _ in range(asked.repeat + 1):
        began = time.perf_counter()
        once()
        seconds.append(time.perf_counter() - began)
    del seconds[0]  # caches are cold, kernels not yet chosen
    print(json.dumps({
        "bench": asked.bench, "torch": torch.__version__, "bf16": asked.bf16,
        "channels_last": asked.channels_last,
        "parameters": sum(p.numel() for p in network.parameters()),
        "seconds": statistics.median(seconds), "seconds_min": min(seconds),
        "peak_mib": peak_mib(),
    }))


main()
