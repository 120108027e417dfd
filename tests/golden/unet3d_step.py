"""Records training steps of small U-Nets in PyTorch, for test-unet3d.c.

The network, its loss and its steps are written down here as nnU-Net v2 has them, independently of
segloom, and run in float64, so that what is recorded is right to the last digit of float32.

usage: python3 unet3d_step.py OUTPUT_FOLDER      (PyTorch 1.13 or later; no other package)
Writes unet3d_NAME.safetensors for each network in CASES:
  metadata "model"        parameters of the network, as YAML
  metadata "sgd", "adam"  parameters of two training steps, as YAML (where there are any)
  image, label            label as float32
  weight/NAME             at the start
  logits/K, loss          of the first step
  gradient/NAME           of the first step
  sgd/NAME, adam/NAME     weights after two steps on the same image
"""
import json, math, pathlib, struct, sys
import torch
import torch.nn as nn
import torch.nn.functional as F

STEPS = 2
CASES = {
    # as in nnU-Net, with odd channel counts and two images a case
    "plain": dict(in_channels=2, classes=3, features=[3, 5, 4], n=2, patch=(8, 12, 4), optimisers=True),
    # voxels that are longer than wide: kernels and strides by axis
    "anisotropic": dict(in_channels=1, classes=2, features=[4, 3, 5], n=1, patch=(6, 8, 12),
                        strides=[(1, 2, 2), (2, 1, 2)], kernels=[(1, 3, 3), (3, 3, 3), (3, 1, 3)]),
    # one head only; more than eight channels
    "single": dict(in_channels=1, classes=4, features=[9, 8], n=3, patch=(4, 6, 10), deep_supervision=False),
}
SGD = dict(rate=0.05, momentum=0.9, nesterov=True, weight_decay=0.01, clip=0.75, decay="poly", power=0.9)
# epsilon: a bias in front of a normalisation has gradient 0, and Adam would blow up its rounding errors
ADAM = dict(rate=0.01, beta1=0.9, beta2=0.99, epsilon=1e-3, weight_decay=0.05, clip=0, decay="constant")


class Block(nn.Module):
    def __init__(self, c_in, c_out, kernel, stride):
        super().__init__()
        self.convolution = nn.Conv3d(c_in, c_out, kernel, stride, [(k - 1) // 2 for k in kernel])
        self.norm = nn.InstanceNorm3d(c_out, eps=1e-5, affine=True)

    def forward(self, x):
        return F.leaky_relu(self.norm(self.convolution(x)), 0.01)


class UNet(nn.Module):
    def __init__(self, in_channels, classes, features, strides, kernels, deep_supervision):
        super().__init__()
        self.encoder, self.up, self.decoder, self.head = (nn.ModuleDict() for _ in range(4))
        self.levels, c = len(features), in_channels
        for l, f in enumerate(features):
            stride = strides[l - 1] if l else (1, 1, 1)
            self.encoder[str(l)] = nn.ModuleList(
                [Block(c, f, kernels[l], stride), Block(f, f, kernels[l], (1, 1, 1))])
            c = f
        for l in range(self.levels - 1):
            f, s = features[l], strides[l]
            self.up[str(l)] = nn.ConvTranspose3d(features[l + 1], f, s, s)
            self.decoder[str(l)] = nn.ModuleList(
                [Block(2 * f, f, kernels[l], (1, 1, 1)), Block(f, f, kernels[l], (1, 1, 1))])
            if l == 0 or deep_supervision:
                self.head[str(l)] = nn.Conv3d(f, classes, 1)

    def forward(self, x):
        skips, logits = [], []
        for l in range(self.levels):
            for block in self.encoder[str(l)]:
                x = block(x)
            skips.append(x)
        for l in reversed(range(self.levels - 1)):
            x = torch.cat((self.up[str(l)](x), skips[l]), 1)
            for block in self.decoder[str(l)]:
                x = block(x)
            if str(l) in self.head:
                logits.insert(0, self.head[str(l)](x))
        return logits

    def named(self):
        """Parameters by segloom's names."""
        parts = {"convolution.weight": "kernel", "convolution.bias": "bias", "norm.weight": "scale",
                 "norm.bias": "shift", "weight": "kernel", "bias": "bias"}
        for name, p in self.named_parameters():
            for old, new in parts.items():
                if name.endswith("." + old):
                    yield name[:-len(old)] + new, p
                    break
            else:
                raise KeyError(name)


def dice_ce(z, t):
    classes = z.shape[1]
    p, y = z.softmax(1), F.one_hot(t, classes).movedim(-1, 1).to(z.dtype)
    axes = (0, 2, 3, 4)
    dice = (2 * (p * y).sum(axes) + 1e-5) / (p.sum(axes) + y.sum(axes) + 1e-5)
    return F.cross_entropy(z, t) + 1 - dice[1:].mean()


def total_loss(logits, label):
    loss, weights = 0, 0
    for k, z in enumerate(logits):
        s = [a // b for a, b in zip(label.shape[1:], z.shape[2:])]
        loss = loss + 2.0 ** -k * dice_ce(z, label[:, ::s[0], ::s[1], ::s[2]])
        weights += 2.0 ** -k
    return loss / weights


def start(net, generator):
    for name, p in net.named():
        draw = torch.randn(p.shape, generator=generator, dtype=torch.float32)
        with torch.no_grad():
            if name.endswith("kernel"):
                p.copy_(draw * math.sqrt(2 / (1 + 0.01 ** 2) / p[0].numel()))
            else:  # nothing stays at 0 or 1, so that a weight that is left out shows
                p.copy_((draw * 0.2 + (1 if name.endswith("scale") else 0)).float())
    for p in net.parameters():
        p.data = p.data.float().double()


def train(net, image, label, options, make):
    optimiser = make(net.parameters(), options["rate"])
    for step in range(STEPS):
        rate = options["rate"]
        if options["decay"] == "poly":
            rate *= (1 - step / STEPS) ** options["power"]
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.zero_grad()
        total_loss(net(image), label).backward()
        if options["clip"]:
            nn.utils.clip_grad_norm_(net.parameters(), options["clip"])
        optimiser.step()
    return {name: p.detach().clone() for name, p in net.named()}


def record(name, in_channels, classes, features, n, patch, strides=None, kernels=None,
           deep_supervision=True, optimisers=False):
    generator = torch.Generator().manual_seed(len(name))
    net = UNet(in_channels, classes, features, strides or [(2, 2, 2)] * (len(features) - 1),
               kernels or [(3, 3, 3)] * len(features), deep_supervision).double()
    start(net, generator)
    image = torch.randn((n, in_channels, *patch), generator=generator).double()
    label = torch.randint(0, classes, (n, *patch), generator=generator)
    model = dict(in_channels=in_channels, classes=classes, features=features,
                 deep_supervision=deep_supervision)
    if strides:
        model.update(strides=strides, kernels=kernels)
    tensors = {"image": image, "label": label}
    metadata = {"model": json.dumps(model), "torch": torch.__version__}

    begin = {k: v.clone() for k, v in net.state_dict().items()}
    logits = net(image)
    loss = total_loss(logits, label)
    loss.backward()
    tensors.update({f"logits/{k}": z for k, z in enumerate(logits)}, loss=loss.reshape(1))
    tensors.update({f"weight/{k}": p for k, p in net.named()})
    tensors.update({f"gradient/{k}": p.grad for k, p in net.named()})
    tensors = {k: v.detach().clone() for k, v in tensors.items()}
    norm = math.sqrt(sum(float((p.grad ** 2).sum()) for p in net.parameters()))
    print(f"{name}: loss {float(loss.detach()):.6f}, gradient norm {norm:.4f}")
    if optimisers:
        assert norm > 1.2 * SGD["clip"]  # else clipping is not tested
        after = train(net, image, label, SGD, lambda p, r: torch.optim.SGD(
            p, r, momentum=SGD["momentum"], nesterov=True, weight_decay=SGD["weight_decay"]))
        tensors.update({f"sgd/{k}": v for k, v in after.items()})
        net.load_state_dict(begin)
        after = train(net, image, label, ADAM, lambda p, r: torch.optim.AdamW(
            p, r, (ADAM["beta1"], ADAM["beta2"]), ADAM["epsilon"], ADAM["weight_decay"]))
        tensors.update({f"adam/{k}": v for k, v in after.items()})
        metadata.update(sgd=json.dumps(SGD), adam=json.dumps(ADAM))
    return tensors, metadata


def write(path, tensors, metadata):
    """The safetensors format: length of the header, header as JSON, bytes of the tensors."""
    header, body = {"__metadata__": metadata}, b""
    for name, t in tensors.items():
        t = t.to(torch.float32).contiguous()
        raw = struct.pack(f"<{t.numel()}f", *t.reshape(-1).tolist())
        header[name] = dict(dtype="F32", shape=list(t.shape), data_offsets=[len(body), len(body) + len(raw)])
        body += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    print(f"  {path.name}: {path.stat().st_size} bytes")


for name, case in CASES.items():
    write(pathlib.Path(sys.argv[1]) / f"unet3d_{name}.safetensors", *record(name, **case))
