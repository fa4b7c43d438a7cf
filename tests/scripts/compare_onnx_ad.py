#!/usr/bin/env python3
"""Compares the gradients of `temper grad` with those of onnx-ad, another differentiator of ONNX graphs.

    python3 -m venv venv
    venv/bin/pip install onnx-ad==0.3.0 onnx==1.23.2 onnxruntime==1.30.0 numpy
    venv/bin/python tests/scripts/compare_onnx_ad.py model.onnx [...] [--temper target/release/temper]
                                                     [--size 24x32] [--feed factor=1,1,3,3]

Both differentiate value = ||S(x) - target||_2 by the image: Temper by itself, onnx-ad (`reverse` in
its layout "onnx") from the model in one of three forms. Both results run in ONNX Runtime on the same
seeded images and targets.

published  the file as it is; onnx-ad's product with the Jacobian gets what the norm hands back,
           (S(x) - target) / ||S(x) - target||_2, computed outside
fixed      with the size of the image and the values of other inputs fixed, without the shapes of
           intermediate values, which onnx infers anew, and with Sub and ReduceL2 behind the output
converted  besides, with weights in initializers, in float32 where it was float16, and at opset 18
           where it was older

For each model a line with the first form that onnx-ad works on, the largest relative difference to
its gradients in all forms it works on (L2 norm of the difference over that of onnx-ad's; forms in
float16 are left out, for Temper computes in float32), the number of nodes that each emits without
Constant nodes (onnx-ad's at its fewest), and the milliseconds of a step. Then the reason of each
failure. Rounding decides the slope of a Relu whose input is zero but for it, and that moves a few
entries by much: hence a norm, small images, and the least difference among three of them. A wrong
rule is wrong on all.

Models in int8 are shown but not judged. onnx-ad takes rounding as it is, with a slope of zero: what
it leaves is nothing, or the way through the scales of dynamic quantisation alone. Temper goes straight
through.

Exit status 1 if, for any model, the gradients differ by more than 1e-4, onnx-ad works and Temper does
not, or Temper emits more nodes.
"""

import argparse
import dataclasses
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnx.version_converter
import onnx_ad
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

TOLERANCE = 1e-4
IMAGES = 3
RUNS = 2
OPSET = 18
FORMS = ("published", "fixed", "converted")
onnxruntime.set_default_logger_severity(4)


class Failed(Exception):
    """One side gives no gradient; the message says why."""


@dataclasses.dataclass
class Outcome:
    """What a gradient graph gave for the images."""

    nodes: int
    single: bool
    milliseconds: float
    gradients: list


def outcome(model, image, output, feeds, images, second="target"):
    """Runs a graph from an image and a `second` input to the gradient; its memory is free afterwards."""
    running = session(model)
    types = {value.name: numpy_type(value.type) for value in running.get_inputs()}
    seconds, gradients = [], []
    for pixels, target in images:
        values = {image: pixels, second: target, **feeds}
        values = {name: values[name].astype(kind) for name, kind in types.items()}
        for _ in range(RUNS):
            start = time.perf_counter()
            (gradient,) = running.run([output], values)
            seconds.append(time.perf_counter() - start)
        gradients.append(gradient.astype(np.float64).reshape(pixels.shape))
    if not all(np.isfinite(gradient).all() for gradient in gradients):
        raise Failed("its gradient is not finite")
    if not all(gradient.any() for gradient in gradients):
        raise Failed("its gradient is zero everywhere")
    nodes = sum(node.op_type != "Constant" for node in model.graph.node)
    single = np.float16 not in types.values()
    return Outcome(nodes, single, 1e3 * statistics.median(seconds), gradients)


def session(model):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def numpy_type(name):
    return {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}[name]


class Subject:
    """A model under comparison: its image, its other inputs' values, its sizes."""

    def __init__(self, path, size, feeds):
        self.path = path
        self.model = onnx.load(path)
        weights = {tensor.name for tensor in self.model.graph.initializer}
        image, *others = [value for value in self.model.graph.input if value.name not in weights]
        dims = [dim.dim_value for dim in image.type.tensor_type.shape.dim]
        if len(dims) != 4 or dims[1] not in (1, 3):
            raise Failed(f"`{image.name}`, its first input, is not an image in NCHW of 1 or 3 channels")
        self.image = image.name
        self.shape = [1, dims[1], dims[2] or size[0], dims[3] or size[1]]
        self.feeds = {value.name: feeds[value.name] for value in others if value.name in feeds}
        missing = [value.name for value in others if value.name not in feeds]
        if missing:
            raise Failed(f"`{missing[0]}`, another input, has no --feed")
        self.output = self.model.graph.output[0].name
        self.rounds = any(node.op_type.endswith("QuantizeLinear") for node in self.model.graph.node)

    def outputs(self, pictures):
        """The outputs for images, in float64."""
        forward = session(self.model)
        types = {value.name: numpy_type(value.type) for value in forward.get_inputs()}
        for image in pictures:
            feeds = {self.image: image, **self.feeds}
            feeds = {name: feeds[name].astype(kind) for name, kind in types.items()}
            yield forward.run([self.output], feeds)[0].astype(np.float64)

    def output_shape(self):
        return next(self.outputs([np.full(self.shape, 0.5)])).shape


def by_temper(subject, images, temper):
    feeds = [f"--feed={name}={','.join(map(str, values))}" for name, values in subject.feeds.items()]
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "gradient.onnx"
        size = "x".join(map(str, subject.shape[2:]))
        command = [temper, "grad", subject.path, "--input", size, "--out", out, *feeds]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode:
            raise Failed(done.stderr)
        return outcome(onnx.load(out), subject.image, "gradient", {}, images)


def by_onnx_ad(subject, images, form):
    model = onnx.ModelProto()
    model.CopyFrom(subject.model)
    if form == "published":
        adjoint = onnx_ad.reverse(model, inputs=[subject.image], outputs=[subject.output], layout="onnx")
        images = list(seeded(subject, images))
        return outcome(
            adjoint, subject.image, f"adj_{subject.image}", subject.feeds, images, f"adj_{subject.output}"
        )
    fix_sizes(model, subject)
    if form == "converted":
        model = converted(model)
    append_norm(model, subject.output, images[0][1].shape)
    adjoint = onnx_ad.reverse(model, inputs=[subject.image], outputs=["value"], layout="onnx")
    return outcome(adjoint, subject.image, f"adj_{subject.image}", {"adj_value": np.ones(1)}, images)


def seeded(subject, images):
    """The images, each with what the norm hands back to the model's output, for one seed direction."""
    outputs = subject.outputs(image for image, _ in images)
    for (image, target), output in zip(images, outputs, strict=True):
        yield image, ((output - target) / np.linalg.norm(output - target))[..., None]


def fix_sizes(model, subject):
    graph = model.graph
    inputs = {value.name: value for value in graph.input}
    for dim, size in zip(inputs[subject.image].type.tensor_type.shape.dim, subject.shape):
        dim.dim_value = size
    for name, values in subject.feeds.items():
        kind = inputs[name].type.tensor_type.elem_type
        kind = helper.tensor_dtype_to_np_dtype(kind)
        graph.initializer.append(numpy_helper.from_array(values.astype(kind), name))
        graph.input.remove(inputs[name])
    del graph.value_info[:]
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    model.CopyFrom(onnx.shape_inference.infer_shapes(model, data_prop=True))


def converted(model):
    # Since IR version 4 weights need not be inputs, too.
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, 8)
    constants_to_initializers(model.graph)
    half_to_float(model.graph)
    if default_opset(model) < OPSET:
        model = onnx.version_converter.convert_version(model, OPSET)
    return onnx.shape_inference.infer_shapes(model, data_prop=True)


def constants_to_initializers(graph):
    for node in list(graph.node):
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = onnx.TensorProto()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            graph.node.remove(node)


def half_to_float(graph):
    half, single = TensorProto.FLOAT16, TensorProto.FLOAT
    for tensor in graph.initializer:
        if tensor.data_type == half:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == half:
                attribute.i = single
    for value in [*graph.input, *graph.output]:
        if value.type.tensor_type.elem_type == half:
            value.type.tensor_type.elem_type = single
    del graph.value_info[:]


def default_opset(model):
    return next(opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx"))


def append_norm(model, output, target_shape):
    """Makes `value`, of no axes, the model's only output."""
    graph = model.graph
    kind = next(value.type.tensor_type.elem_type for value in graph.output if value.name == output)
    graph.input.append(helper.make_tensor_value_info("target", kind, target_shape))
    # Before opset 7 onnx infers no shape of a Sub.
    graph.value_info.append(helper.make_tensor_value_info("value.difference", kind, target_shape))
    graph.node.append(helper.make_node("Sub", [output, "target"], ["value.difference"]))
    graph.node.append(helper.make_node("ReduceL2", ["value.difference"], ["value"], keepdims=0))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("value", kind, []))


def pictures(subject, target_shape):
    """Blocks of colour with some noise, and targets of noise.

    Not the full range: some networks explode there, and no two float32 gradients agree.
    """
    rng = np.random.default_rng(0)
    rows, columns = (np.arange(size) * 5 // size for size in subject.shape[2:])
    for _ in range(IMAGES):
        blocks = rng.random((*subject.shape[:2], 5, 5))[:, :, rows][..., columns]
        yield 0.2 + 0.5 * blocks + 0.1 * rng.random(subject.shape), rng.random(target_shape)


def attempt(make, *args):
    """What `make` gives, or a line saying why it gives nothing."""
    try:
        return make(*args)
    except Exception as error:  # onnx, onnx-ad, protobuf and ONNX Runtime each raise their own kinds
        line = " ".join(str(error).split())
        return f"{'' if isinstance(error, Failed) else f'{type(error).__name__}: '}{line[:300]}"


def difference(ours, theirs):
    return min(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in zip(ours, theirs, strict=True))


class Row:
    """The comparison on one model."""

    def __init__(self, path, args):
        self.name = pathlib.Path(path).stem
        self.theirs, self.reasons = {}, {}
        self.ours = self.difference = None
        self.judged = False
        subject = attempt(Subject, path, args.size, args.feed)
        target_shape = subject if isinstance(subject, str) else attempt(subject.output_shape)
        if isinstance(target_shape, str):
            self.reasons["not compared"] = target_shape
            return
        images = list(pictures(subject, target_shape))
        self.ours = self.kept("temper", attempt(by_temper, subject, images, args.temper))
        for form in FORMS:
            found = self.kept(f"onnx-ad {form}", attempt(by_onnx_ad, subject, images, form))
            if found:
                self.theirs[form] = found
        self.judged = bool(self.theirs) and not subject.rounds
        theirs = [outcome.gradients for outcome in self.theirs.values() if outcome.single]
        if self.ours and theirs:
            self.difference = max(difference(self.ours.gradients, gradients) for gradients in theirs)

    def kept(self, who, found):
        if isinstance(found, str):
            self.reasons[who] = found
            return None
        return found

    def good(self):
        if not self.judged:
            return True
        near = self.difference is None or self.difference <= TOLERANCE
        return bool(self.ours) and near and self.ours.nodes <= self.fewest().nodes

    def fewest(self):
        return min(self.theirs.values(), key=lambda outcome: outcome.nodes)

    def line(self):
        sides = self.ours, self.theirs and self.fewest()
        return LINE.format(
            self.name[:36],
            "works" if self.ours else "-",
            next(iter(self.theirs), "-"),
            "-" if self.difference is None else f"{self.difference:.1e}",
            *(side.nodes if side else "-" for side in sides),
            *(f"{side.milliseconds:.1f}" if side else "-" for side in sides),
            "" if not self.judged else "good" if self.good() else "WORSE",
        )


LINE = "{:36} {:>6} {:>10} {:>10} {:>6} {:>8} {:>7} {:>8}  {}"
HEAD = ("model", "temper", "onnx-ad", "difference", "nodes", "(theirs)", "ms", "(theirs)", "")


def summary(rows):
    both = [row for row in rows if row.ours and row.theirs]
    print(f"\n{len(rows)} models: temper works on {sum(bool(row.ours) for row in rows)}, onnx-ad", end=" ")
    print("on", ", ".join(f"{sum(form in row.theirs for row in rows)} {form}" for form in FORMS))
    if both:
        nodes = statistics.median(row.fewest().nodes / row.ours.nodes for row in both)
        times = statistics.median(row.fewest().milliseconds / row.ours.milliseconds for row in both)
        print(f"where both work, onnx-ad emits {nodes:.1f} times the nodes and takes {times:.1f} times as long")


def feed(text):
    name, values = text.split("=")
    return name, np.array([float(value) for value in values.split(",")])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="ONNX files")
    parser.add_argument("--temper", default="target/release/temper", help="the program")
    parser.add_argument(
        "--size",
        type=lambda text: [int(side) for side in text.split("x")],
        default=[24, 32],
        metavar="HxW",
        help="of the image, where the model leaves it open",
    )
    parser.add_argument(
        "--feed", type=feed, action="append", default=[], metavar="NAME=N,N", help="value of another input"
    )
    parser.add_argument("--memory", type=int, default=12, metavar="GIB", help="bound on the address space")
    args = parser.parse_args()
    args.feed = dict(args.feed)
    resource.setrlimit(resource.RLIMIT_AS, (args.memory << 30, args.memory << 30))
    print(LINE.format(*HEAD))
    rows = []
    for path in args.models:
        rows.append(Row(path, args))
        print(rows[-1].line(), flush=True)
    print()
    for row in rows:
        for who, reason in row.reasons.items():
            print(f"{row.name[:36]}, {who}: {reason}")
    summary(rows)
    sys.exit(0 if all(row.good() for row in rows) else 1)


if __name__ == "__main__":
    main()
