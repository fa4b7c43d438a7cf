#!/usr/bin/env python3
"""The attacks of Choi et al., ACCV 2020, in plain PyTorch, next to what `temper audit` found.

Transcribed from the paper and from nothing else: I-FGSM, eq. (14); FDA, eq. (13); CLEVER, eq. (15).
The network is an EDSR whose weights are read from the ONNX file. Same model, images and budgets:

    temper audit models/edsr-small-lambda0.onnx --images LR --crop 64 --runtime ort \\
        --attack ifgsm,fda --budget 1,2,4,8 --clever --out audit
    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 onnx==1.23.2 numpy pillow
    venv/bin/python tests/scripts/pytorch_attacks.py models/edsr-small-lambda0.onnx LR audit/report.json

It attacks what the report attacked, as the report says it was cut and for as many steps, and prints the
SR PSNR of both, mean over the images, and the largest difference on one image. I-FGSM starts from noise
(at x0 the norm has no gradient), here drawn by PyTorch, so that no two numbers are equal to the last digit.

Where the report has CLEVER indices, it takes them as well, by autograd at the very points where temper took
its gradients: the random numbers (ChaCha8, seeded by a SHA-256) are drawn anew here. --other-points N draws N
points by PyTorch instead: a maximum over other points is another number, and shows how much that matters.

Exit status 1 if a mean SR PSNR differs by more than 0.1 dB, or a CLEVER index by more than 1%; 2 if the
files do not belong together.
"""

import argparse
import hashlib
import json
import math
import struct
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from PIL import Image

# DIV2K's mean colour: a part of the network.
MEAN = (0.4488, 0.4371, 0.4040)
DECIBELS, SHARE = 0.1, 0.01


class Edsr(torch.nn.Module):
    """EDSR of any width and depth: images on [0, 1], levels on [0, 255] inside."""

    def __init__(self, path):
        super().__init__()
        graph = onnx.load(path).graph
        tensors = {tensor.name: torch.tensor(numpy_helper.to_array(tensor)) for tensor in graph.initializer}
        self.tensors = tensors
        self.blocks = len({name.split(".")[1] for name in tensors if name.startswith("body.")} - {"out"})
        shuffles = [node for node in graph.node if node.op_type == "DepthToSpace"]
        self.factors = [node.attribute[0].i for node in shuffles]
        self.mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255

    def conv(self, name, value):
        weight, bias = self.tensors[name + ".weight"], self.tensors[name + ".bias"]
        return torch.nn.functional.conv2d(value, weight, bias, padding=1)

    def phi(self, image):
        """The last feature map before upsampling."""
        head = value = self.conv("head", image * 255 - self.mean)
        for block in range(self.blocks):
            inner = torch.relu(self.conv(f"body.{block}.0", value))
            value = self.conv(f"body.{block}.1", inner) + value
        return self.conv("body.out", value) + head

    def forward(self, image):
        value = self.phi(image)
        for index, factor in enumerate(self.factors):
            value = torch.nn.functional.pixel_shuffle(self.conv(f"upsample.{index}", value), factor)
        return (self.conv("tail", value) + self.mean) / 255


def gradient(objective, image):
    leaf = image.detach().requires_grad_()
    with torch.enable_grad():
        value = objective(leaf)
    return torch.autograd.grad(value, leaf)[0], value.item()


def ifgsm(net, x0, alpha, steps):
    """Eq. (14)."""
    with torch.no_grad():
        clean = net(x0)
    distance = lambda x: torch.linalg.vector_norm(net(x) - clean)
    x = (x0 + (2 * torch.rand_like(x0) - 1) * alpha / steps).clamp(0, 1)
    for _ in range(steps):
        slope, _ = gradient(distance, x)
        x = x + alpha / steps * slope.sign()
        x = torch.clamp(torch.max(torch.min(x, x0 + alpha), x0 - alpha), 0, 1)
    return x


def fda(net, x0, epsilon, steps):
    """Eq. (13)."""

    def objective(x):
        phi = net.phi(x)
        mean = phi.mean(1, keepdim=True)
        below, above = phi[phi < mean], phi[phi > mean]
        return torch.log(torch.linalg.vector_norm(below)) - torch.log(torch.linalg.vector_norm(above))

    x = x0
    for _ in range(steps):
        slope, _ = gradient(objective, x)
        x = x + epsilon / steps * slope.sign()
        x = torch.clamp(torch.max(torch.min(x, x0 + epsilon), x0 - epsilon), 0, 1)
    return x


def clever(net, x0, draws):
    """Eq. (15) at x0 plus each of `draws`."""
    with torch.no_grad():
        clean = net(x0)
    distance = lambda x: torch.linalg.vector_norm(net(x) - clean)
    return max(gradient(distance, x0 + draw)[0].abs().sum(dtype=torch.float64).item() for draw in draws)


def any_draws(x0, samples):
    """Uniform on [-alpha_c, alpha_c] with alpha_c = 1/255."""
    return ((2 * torch.rand_like(x0) - 1) / 255 for _ in range(samples))


def same_draws(x0, samples, seed, image):
    """What temper draws for this image: see `seeded` in src/attack/mod.rs, and src/audit/clever.rs."""
    digest = hashlib.sha256()
    for part in (str(seed), image, "random", "255"):
        digest.update(struct.pack("<Q", len(part.encode())) + part.encode())
    words = chacha8(digest.digest(), samples * x0.numel())
    # The 23 high bits as the fraction of a number in [1, 2), as the crate `rand` makes a float32.
    unit = ((words >> np.uint32(9)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)
    low = -np.float32(1) / np.float32(255)
    draws = torch.from_numpy(unit * (-low - low) + low)
    return draws.view(samples, *x0.shape)


def chacha8(key, count):
    """The first `count` words of the stream of ChaCha with 8 rounds (Bernstein 2008), nonce 0."""
    blocks = -(-count // 16)
    counter = np.arange(blocks, dtype=np.uint64)
    state = [np.full(blocks, word, np.uint32) for word in struct.unpack("<4I", b"expand 32-byte k")]
    state += [np.full(blocks, word, np.uint32) for word in struct.unpack("<8I", key)]
    state += [(counter & 0xFFFFFFFF).astype(np.uint32), (counter >> np.uint64(32)).astype(np.uint32)]
    state += [np.zeros(blocks, np.uint32)] * 2
    x = [word.copy() for word in state]

    def quarter(a, b, c, d):
        for into, of, turned, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[into] = x[into] + x[of]
            mixed = x[turned] ^ x[into]
            x[turned] = (mixed << np.uint32(bits)) | (mixed >> np.uint32(32 - bits))

    for _ in range(4):
        for column in range(4):
            quarter(column, 4 + column, 8 + column, 12 + column)
        for column in range(4):
            quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
    return np.stack([a + b for a, b in zip(x, state)], axis=1).reshape(-1)[:count]


def psnr(a, b):
    error = torch.mean((a.clamp(0, 1).double() - b.clamp(0, 1).double()) ** 2).item()
    return math.inf if error == 0 else -10 * math.log10(error)


def images(folder, report):
    """The LR images of the report, cut as it says, by name."""
    side = report["settings"]["crop"] or sys.maxsize
    found = {}
    for entry in report["images"]:
        pixels = np.asarray(Image.open(Path(folder) / entry["name"]).convert("RGB"), dtype=np.float32) / 255
        cut = [max(0, size - side) for size in pixels.shape[:2]]
        rows, columns = (slice(c // 2, size - (c + 1) // 2) for c, size in zip(cut, pixels.shape))
        pixels = np.ascontiguousarray(pixels[rows, columns].transpose(2, 0, 1)[None])
        if list(pixels.shape[2:]) != entry["size"]:
            refuse(f"{entry['name']} is {pixels.shape[2:]} here and {entry['size']} in the report")
        found[entry["name"]] = torch.from_numpy(pixels)
    return found


def refuse(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def compare(net, pictures, report):
    """Whether every mean SR PSNR is that of the report, within the bound."""
    steps, good = report["settings"]["iterations"], True
    print(f"{'attack':8}{'budget':>7}{'PyTorch':>10}{'temper':>10}{'difference':>12}{'one image':>11}")
    for name, attack in (("ifgsm", ifgsm), ("fda", fda)):
        rows = [row for row in report["rows"] if row["attack"] == name and row["crafted_on"] == row["judged_on"]]
        for budget in sorted({row["budget"] for row in rows}):
            theirs = {row["image"]: row["sr_psnr"] for row in rows if row["budget"] == budget}
            ours = {}
            for image in theirs:
                x0 = pictures[image]
                with torch.no_grad():
                    ours[image] = psnr(net(x0), net(attack(net, x0, budget / 255, steps)))
            means = [sum(values.values()) / len(values) for values in (ours, theirs)]
            largest = max(abs(ours[image] - theirs[image]) for image in theirs)
            good &= abs(means[0] - means[1]) <= DECIBELS
            print(f"{name:8}{budget:7g}{means[0]:10.3f}{means[1]:10.3f}{means[0] - means[1]:+12.3f}{largest:11.3f}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="an EDSR as .onnx, as `temper harden` writes it")
    parser.add_argument("images", help="the folder of LR images that was audited")
    parser.add_argument("report", help="the report of that audit")
    parser.add_argument("--other-points", type=int, help="take CLEVER at so many points of its own", metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    report = json.loads(Path(args.report).read_text())
    net = Edsr(args.model)
    pictures = images(args.images, report)
    with torch.no_grad():
        good = compare(net, pictures, report)
    for found in report["clever"]:
        x0, samples = pictures[found["image"]], args.other_points or found["samples"]
        same = same_draws(x0, samples, report["settings"]["seed"], found["image"])
        index = clever(net, x0, any_draws(x0, samples) if args.other_points else same)
        apart = index / found["index"] - 1
        good &= abs(apart) <= SHARE
        print(
            f"CLEVER of {found['image']} on {found['runtime']}, {samples} points: {index:.6g} by PyTorch, "
            f"{found['index']:.6g} by temper, {100 * apart:+.4f}%"
        )
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
