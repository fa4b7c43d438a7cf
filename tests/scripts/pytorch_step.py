#!/usr/bin/env python3
"""Times a gradient step of EDSR-baseline x4 in PyTorch, next to the gradient graph in ONNX Runtime.

A step is the forward pass, ||S(x) - target||_2 over the image, and its gradient by the image: what
an attack does over and over. The weights are those of the file and ask for no gradient of their own.

    temper harden --steps 1 --batch 1 --patch 8 --data PHOTOS --out edsr
    temper grad edsr/model.onnx --input 80x120 --out edsr/gradient.onnx
    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 onnxruntime==1.30.0 onnx==1.23.2 numpy
    venv/bin/python tests/scripts/pytorch_step.py edsr/model.onnx edsr/gradient.onnx

All contestants run in one process on the same cores, taking turns, so that what slows the machine
slows all of them; between turns it waits until the idle threads of the last one have stopped
spinning. It first holds the two gradients to each other, then prints, for PyTorch in its default
layout, PyTorch in channels-last and ONNX Runtime: the median and range of the forward pass and of
the step, step over forward, and ONNX Runtime's times over PyTorch's.

Exit status 1 if the gradients differ, or if ONNX Runtime's step takes more than --at-most times that
of PyTorch in channels-last; 2 if the files are not an EDSR-baseline x4 and its gradient.
"""

import argparse
import copy
import os
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper

FEATURES, BLOCKS, PARAMETERS = 64, 16, 1_517_571
# DIV2K's mean colour: a part of the network.
MEAN = (0.4488, 0.4371, 0.4040)
# Float32 convolutions of different libraries leave 1e-6 to 1e-5 here, see `difference`.
TOLERANCE = 1e-4


class Edsr(torch.nn.Module):
    """EDSR-baseline at scale 4: images on [0, 1], levels on [0, 255] inside."""

    def __init__(self):
        super().__init__()
        conv = lambda inputs, outputs: torch.nn.Conv2d(inputs, outputs, 3, padding=1)
        self.head = conv(3, FEATURES)
        self.blocks = torch.nn.ModuleList(
            torch.nn.Sequential(conv(FEATURES, FEATURES), torch.nn.ReLU(inplace=True), conv(FEATURES, FEATURES))
            for _ in range(BLOCKS)
        )
        self.body = conv(FEATURES, FEATURES)
        self.upsample = torch.nn.Sequential(
            *[layer for _ in range(2) for layer in (conv(FEATURES, 4 * FEATURES), torch.nn.PixelShuffle(2))]
        )
        self.tail = conv(FEATURES, 3)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255)

    def forward(self, image):
        head = self.head(image * 255 - self.mean)
        features = head
        for block in self.blocks:
            features = block(features) + features
        features = self.body(features) + head
        return (self.tail(self.upsample(features)) + self.mean) / 255


def network(path):
    """The network with the weights of the ONNX file, whose convolutions are in the same order."""
    graph = onnx.load(path).graph
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    net = Edsr().eval().requires_grad_(False)
    layers = [layer for layer in net.modules() if isinstance(layer, torch.nn.Conv2d)]
    try:
        for layer, node in zip(layers, convolutions, strict=True):
            layer.weight.copy_(torch.tensor(weights[node.input[1]]))
            layer.bias.copy_(torch.tensor(weights[node.input[2]]))
    except (ValueError, KeyError, IndexError, RuntimeError) as error:
        refuse(f"{path} is not an EDSR-baseline x4: {error}")
    assert sum(weight.numel() for weight in net.parameters()) == PARAMETERS
    return net


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def in_onnxruntime(args, image, target):
    """The forward pass and the step, as functions to call."""
    forward, step = session(args.forward, args.threads), session(args.gradient, args.threads)
    feed = {forward.get_inputs()[0].name: image}
    both = {value.name: target if value.name == "target" else image for value in step.get_inputs()}
    return (lambda: forward.run(None, feed)[0]), (lambda: step.run(["gradient"], both)[0])


def in_pytorch(net, layout, image, target):
    net = net.to(memory_format=layout)
    image, target = (torch.from_numpy(array).to(memory_format=layout) for array in (image, target))

    def forward():
        with torch.no_grad():
            return net(image).numpy()

    def step():
        leaf = image.detach().requires_grad_()
        value = torch.linalg.vector_norm(net(leaf) - target)
        return torch.autograd.grad(value, leaf)[0].numpy()

    return forward, step


def timed(contestants, runs, pause):
    """Seconds of each contestant's forward passes and steps; all take turns, after one to warm up."""
    seconds = {(name, part): [] for name in contestants for part in range(2)}
    for turn in range(runs + 1):
        for name, part in seconds:
            time.sleep(pause)
            start = time.perf_counter()
            contestants[name][part]()
            if turn:
                seconds[name, part].append(time.perf_counter() - start)
    return seconds


def difference(ours, theirs):
    """What nine tenths of the entries stay below, as a share of the root mean square of all.

    Of ten million Relus a few have inputs so close to zero that rounding decides their slope; each
    moves the gradient around it, in float32 against float64 within one library just as well.
    """
    return float(np.quantile(abs(ours - theirs), 0.9) / np.sqrt(np.mean(np.square(theirs))))


def report(seconds, names):
    medians = {key: statistics.median(values) for key, values in seconds.items()}
    print(f"{'':24}{'forward':>10} {'(range)':15}{'step':>10} {'(range)':15}{'step/forward':>13}")
    for name in names:
        cells = ""
        for part in range(2):
            values = [1e3 * value for value in seconds[name, part]]
            spread = f"({min(values):.0f}-{max(values):.0f})"
            cells += f"{1e3 * medians[name, part]:7.0f} ms {spread:15}"
        print(f"{name:24}{cells}{medians[name, 1] / medians[name, 0]:13.2f}")
    ours, ratios = names[-1], {}
    for name in names[:-1]:
        forward, ratios[name] = (medians[ours, part] / medians[name, part] for part in range(2))
        print(f"{ours} over {name}: forward {forward:.2f}, step {ratios[name]:.2f}")
    return ratios


def refuse(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("forward", help="EDSR-baseline x4 as .onnx")
    parser.add_argument("gradient", help="what `temper grad` made of it; its size is the one measured")
    parser.add_argument("--runs", type=int, default=9, help="turns of each")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each")
    parser.add_argument("--pause", type=float, default=0.1, help="seconds between turns")
    parser.add_argument("--at-most", type=float, default=1.0, help="bound on our step over PyTorch's")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    net = network(args.forward)
    shapes = {value.name: value.shape for value in session(args.gradient, args.threads).get_inputs()}
    if len(shapes) != 2 or "target" not in shapes:
        refuse(f"{args.gradient} does not take an image and a `target`")
    target_shape = shapes.pop("target")
    rng = np.random.default_rng(0)
    image, target = (rng.random(shape, dtype=np.float32) for shape in (*shapes.values(), target_shape))

    contestants = {
        "PyTorch": in_pytorch(net, torch.contiguous_format, image, target),
        "PyTorch, channels-last": in_pytorch(copy.deepcopy(net), torch.channels_last, image, target),
        "ONNX Runtime": in_onnxruntime(args, image, target),
    }
    print(f"PyTorch {torch.__version__}, ONNX Runtime {onnxruntime.__version__}, {args.threads} threads,")
    print(f"EDSR-baseline x4 at {'x'.join(map(str, image.shape))}, medians of {args.runs} runs taking turns")
    *theirs, ours = (step() for _, step in contestants.values())
    apart = max(difference(ours, gradient) for gradient in theirs)
    print(f"gradients differ by {apart:.1e} of their size (bound {TOLERANCE:.0e})")
    ratios = report(timed(contestants, args.runs, args.pause), list(contestants))
    slow = ratios["PyTorch, channels-last"] > args.at_most
    sys.exit(1 if slow or not apart <= TOLERANCE else 0)


if __name__ == "__main__":
    main()
