#!/usr/bin/env python3
"""Times a training step of EDSR in PyTorch next to that of `temper harden`, in one run.

A step is a batch of crops, the L1 loss, the gradients of all weights and Adam: `--lambda 0` of Temper,
which trains the same plain network. Temper's step with the paper's estimator and noise is timed beside it.

    cargo build --example train_step
    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 numpy
    venv/bin/python tests/scripts/pytorch_train_step.py target/debug/examples/train_step PHOTOGRAPHS

PyTorch is timed as BasicSR trains (eager, float32, NCHW, the loss read at every step) and in channels-last
memory; its batch lies ready on the device, while Temper cuts and copies crops of the photographs. The
contestants take turns, so that what slows the machine slows all of them. Printed: medians and ranges in
seconds, and the median over turns of Temper's time over PyTorch's in the same turn.

    --size small       the EDSR of --preset small, of 40,323 parameters; full is the EDSR baseline
    --device cuda      on a GPU, both sides (Temper needs a libtorch with CUDA, see the README); convolutions
                       round their factors to TF32 on both sides unless NVIDIA_TF32_OVERRIDE=0 is set
    --amp              in bfloat16 where both would: autocast, and `temper harden --amp`
    --at-most RATIO    the largest such ratio that passes against either layout [default: 1.05, which
                       leaves 0.05 to noise]

Exit status 1 if Temper's plain step takes longer, 2 if it cannot be run.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch

SIZES = {"full": (64, 16), "small": (16, 4)}
MEAN = (0.4488, 0.4371, 0.4040)
SCALE = 4


class Edsr(torch.nn.Module):
    """EDSR x4: images on [0, 1], levels on [0, 255] without DIV2K's mean colour inside."""

    def __init__(self, features, blocks):
        super().__init__()
        conv = lambda inputs, outputs: torch.nn.Conv2d(inputs, outputs, 3, padding=1)
        self.head = conv(3, features)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(conv(features, features), torch.nn.ReLU(inplace=True), conv(features, features))
            for _ in range(blocks)
        )
        self.body = conv(features, features)
        self.upsample = torch.nn.Sequential(
            *[layer for _ in range(2) for layer in (conv(features, 4 * features), torch.nn.PixelShuffle(2))]
        )
        self.tail = conv(features, 3)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255)

    def forward(self, image):
        head = self.head(image * 255 - self.mean)
        features = head
        for block in self.blocks:
            features = block(features) + features
        features = self.body(features) + head
        return (self.tail(self.upsample(features)) + self.mean) / 255


def in_pytorch(args, layout):
    """A step as a function to call, and the number of parameters."""
    torch.manual_seed(0)
    net = Edsr(*SIZES[args.size]).to(args.device, memory_format=layout)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-4)
    rand = lambda side: torch.rand(args.batch, 3, side, side).to(args.device, memory_format=layout)
    lr, hr = rand(args.patch), rand(args.patch * SCALE)

    def step():
        start = time.perf_counter()
        optimiser.zero_grad()
        with torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.amp):
            loss = torch.nn.functional.l1_loss(net(lr), hr) * 255
        loss.backward()
        optimiser.step()
        loss.item()
        if args.device != "cpu":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    return step, sum(weight.numel() for weight in net.parameters())


class Temper:
    """A process that does a step for every line it is sent, and sleeps in between."""

    def __init__(self, args, loss_weight, out):
        command = [args.train_step, args.size, str(loss_weight), args.device, str(args.batch), str(args.patch)]
        environment = {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(args.threads), **os.environ}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        precision = ["amp"] if args.amp else []
        self.process = subprocess.Popen([*command, args.photographs, out, *precision], **pipes)
        self.about = self.process.stdout.readline().strip()
        if not self.about:
            sys.exit(2)

    def step(self):
        print(file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def stop(self):
        self.process.kill()
        self.process.wait()


def timed(contestants, turns, pause):
    """Seconds of every step; all take turns, after two each to warm up."""
    seconds = {name: [] for name in contestants}
    for turn in range(-2, turns):
        for name, step in contestants.items():
            time.sleep(pause)
            taken = step()
            if turn >= 0:
                seconds[name].append(taken)
    return seconds


def report(seconds, plain):
    ratios = {}
    for name, values in seconds.items():
        print(f"{name:32} {statistics.median(values):8.3f} s  ({min(values):.3f}-{max(values):.3f})")
    for name, theirs in seconds.items():
        if name.startswith("PyTorch"):
            ratios[name] = statistics.median(ours / other for ours, other in zip(seconds[plain], theirs))
            print(f"{plain} over {name}: {ratios[name]:.3f}")
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train_step", help="the example, built")
    parser.add_argument("photographs", help="a folder of images larger than a crop")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=48)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between steps")
    parser.add_argument("--at-most", type=float, default=1.05)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    nchw, parameters = in_pytorch(args, torch.contiguous_format)
    last, _ = in_pytorch(args, torch.channels_last)
    with tempfile.TemporaryDirectory() as folder:
        plain = Temper(args, 0, f"{folder}/plain")
        hardened = Temper(args, 1, f"{folder}/hardened")
        print(f"PyTorch {torch.__version__}: {parameters} parameters; Temper: {plain.about}; {args.threads} threads")
        print(f"EDSR x{SCALE} {args.size} on {args.device}, {args.batch} crops of {args.patch}x{args.patch}{', bfloat16' if args.amp else ''}, {args.turns} turns")
        contestants = {
            "PyTorch, NCHW": nchw,
            "PyTorch, channels-last": last,
            "Temper": plain.step,
            "Temper with estimator and noise": hardened.step,
        }
        try:
            ratios = report(timed(contestants, args.turns, args.pause), "Temper")
        finally:
            plain.stop()
            hardened.stop()
    sys.exit(1 if max(ratios.values()) > args.at_most else 0)


if __name__ == "__main__":
    main()
