#!/usr/bin/env python3
"""Times `temper audit` on ONNX Runtime: a step of I-FGSM next to a plain PyTorch loop in channels-last, a
sample of CLEVER next to a step, and the share of an audit that is spent inside the runtime.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 onnx==1.23.2 numpy pillow
    venv/bin/python tests/scripts/pytorch_speed.py target/debug/temper models/edsr-small-lambda0.onnx LR

The network is an EDSR of any size, the image the middle of the first one in the folder. Contestants take
turns, so that what slows the machine slows all of them, and what a program needs to start is taken out: a
step is the difference between two audits that differ in the number of steps alone, over that number; a sample
of CLEVER is found in the same way.

Exit status 1 if a step takes more than --at-most times PyTorch's, or a sample more than 1.1 times a step.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pytorch_attacks import Edsr, ifgsm

FEW = 2


def audit(args, images, out, steps, *more):
    """The seconds of an audit, and the share of them inside the runtime."""
    flags = ["--images", images, "--runtime", "ort", "--attack", "ifgsm", "--budget", "8", "--iterations", str(steps)]
    # An audit that was made before would take no time.
    command = [args.temper, "audit", args.model, *flags, *more, "--no-cache", "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    timing = json.loads(Path(out, "report.json").read_text())["timing"]
    return timing["seconds"], timing["inside_runtimes"] / timing["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("temper", help="the program")
    parser.add_argument("model", help="an EDSR as .onnx, as `temper harden` writes it")
    parser.add_argument("images", help="a folder of LR images")
    parser.add_argument("--crop", type=int, default=48, help="LR pixels a side")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--samples", type=int, default=100, help="of CLEVER")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--at-most", type=float, default=1.0)
    args = parser.parse_args()
    first = sorted(Path(args.images).glob("*.png"))[0]
    picture = Image.open(first).convert("RGB")
    left, top = ((side - min(side, args.crop)) // 2 for side in picture.size)
    picture = picture.crop((left, top, *(min(args.crop, side) + at for side, at in zip(picture.size, (left, top)))))
    pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)[None] / 255)
    net = Edsr(args.model)
    net.tensors = {
        name: tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
        for name, tensor in net.tensors.items()
    }
    x0 = pixels.contiguous(memory_format=torch.channels_last)
    ours, theirs, samples, shares = [], [], [], []
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        images = os.path.join(folder, "images")
        os.mkdir(images)
        picture.save(os.path.join(images, first.name))
        for turn in range(args.rounds + 1):
            out = os.path.join(folder, "out")
            short, _ = audit(args, images, out, FEW)
            long, share = audit(args, images, out, FEW + args.steps)
            clever, _ = audit(args, images, out, FEW, f"--clever={args.samples}")
            start = time.perf_counter()
            ifgsm(net, x0, 8 / 255, args.steps)
            if turn:  # the first turn warms up
                theirs.append((time.perf_counter() - start) / args.steps)
                ours.append((long - short) / args.steps)
                samples.append((clever - short) / args.samples)
                shares.append(share)
    ratio = statistics.median(a / b for a, b in zip(ours, theirs))
    cost = statistics.median(a / b for a, b in zip(samples, ours))
    size = "x".join(str(side) for side in pixels.shape[2:])
    print(f"medians of {args.rounds} turns on {size} LR pixels, {torch.get_num_threads()} threads:")
    for name, times in (("temper, a step", ours), ("temper, a sample of CLEVER", samples), ("PyTorch, a step", theirs)):
        print(f"  {name:28}{1e3 * statistics.median(times):9.2f} ms ({1e3 * min(times):.2f} to {1e3 * max(times):.2f})")
    print(f"  a step over PyTorch's in channels-last: {ratio:.2f}")
    print(f"  a sample of CLEVER over a step: {cost:.2f}")
    print(f"  share of the longer audit inside the runtime: {100 * statistics.median(shares):.1f}%")
    sys.exit(0 if ratio <= args.at_most and cost <= 1.1 else 1)


if __name__ == "__main__":
    main()
