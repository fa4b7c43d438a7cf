#!/usr/bin/env python3
"""Quantise super-resolution models to int8 with ONNX Runtime's own quantiser, in two ways.

static   QuantizeLinear and DequantizeLinear around the float operators (QDQ), scales from
         calibration images, weights in int8 per channel
dynamic  ConvInteger and MatMulInteger, scales from each image as it comes

    python3 -m venv venv && venv/bin/pip install onnx onnxruntime numpy pillow
    venv/bin/python tests/scripts/quantise.py OUT model.onnx [...] [--images a.png b.png]
                                              [--size 48] [--range 1]

For each model it writes OUT/NAME.onnx (the float model, as it was quantised), OUT/NAME-static.onnx
and OUT/NAME-dynamic.onnx. Then

    TEMPER_QUANTISED=OUT cargo test --test quantised

holds the gradients of the quantised files to libtorch's and to the float model's. Without --images,
calibration uses seeded pictures of smooth colours and edges. --range 255 is for models that take
values from 0 to 255. Models of opsets before 13 are converted first.
"""

import argparse
import pathlib

import numpy as np
import onnx
import onnx.version_converter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
from onnxruntime.quantization import quantize_dynamic, quantize_static

CALIBRATION_IMAGES = 8


def drawn(count, height, width):
    """Seeded pictures: waves of colour, cut by edges."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    for _ in range(count):
        channels = []
        for _ in range(3):
            a, b, c, d = rng.uniform(-12, 12, 4)
            wave = 0.5 + 0.5 * np.sin(a * rows + b * columns + c)
            channels.append(np.where(rows + columns > abs(d) / 8, wave, 1 - wave))
        yield np.stack(channels)


def photographs(paths, height, width):
    """The middles of image files."""
    from PIL import Image

    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float64) / 255
        top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
        yield pixels[top : top + height, left : left + width].transpose(2, 0, 1)


class Reader(CalibrationDataReader):
    """Pictures in the form that the model takes."""

    def __init__(self, model, args):
        feed = model.graph.input[0]
        dims = [d.dim_value for d in feed.type.tensor_type.shape.dim]
        channels, height, width = dims[1] or 3, dims[2] or args.size, dims[3] or args.size
        pictures = photographs(args.images, height, width) if args.images else drawn(CALIBRATION_IMAGES, height, width)
        form = lambda p: p if channels == 3 else p.mean(0, keepdims=True)
        self.feeds = iter([{feed.name: (form(p)[None] * args.range).astype(np.float32)} for p in pictures])

    def get_next(self):
        return next(self.feeds, None)


def weights_from_constants(graph):
    """The quantiser takes weights as initializers alone, not as Constant nodes or copies of others."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in list(graph.node):
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            tensor = node.attribute[0].t
        elif node.op_type == "Identity" and node.input[0] in weights:
            tensor = weights[node.input[0]]
        else:
            continue
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = node.output[0]
        weights[copy.name] = copy
        graph.initializer.append(copy)
        graph.node.remove(node)


def quantise(path, args):
    model = onnx.load(path)
    # Since IR version 4 weights need not be inputs, too.
    model.ir_version = max(model.ir_version, 8)
    if model.opset_import[0].version < 13:
        model = onnx.version_converter.convert_version(model, 13)
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    weights_from_constants(model.graph)
    # Some exporters leave stale shapes behind; the quantiser infers its own.
    del model.graph.value_info[:]
    out, name = pathlib.Path(args.out), pathlib.Path(path).stem
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(model, out / f"{name}.onnx")
    quantize_static(
        out / f"{name}.onnx",
        out / f"{name}-static.onnx",
        Reader(model, args),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    # ONNX Runtime's ConvInteger takes weights of uint8.
    quantize_dynamic(out / f"{name}.onnx", out / f"{name}-dynamic.onnx", weight_type=QuantType.QUInt8)
    for kind in ["static", "dynamic"]:
        nodes = onnx.load(out / f"{name}-{kind}.onnx").graph.node
        print(f"{name}-{kind}: {len(nodes)} nodes, {', '.join(sorted({node.op_type for node in nodes}))}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="folder for the results")
    parser.add_argument("models", nargs="+", help="ONNX files")
    parser.add_argument("--images", nargs="*", help="image files to calibrate with")
    parser.add_argument("--size", type=int, default=48, help="side of the calibration pictures, where the model leaves it open")
    parser.add_argument("--range", type=float, default=1.0, help="the value of white")
    args = parser.parse_args()
    for path in args.models:
        quantise(path, args)


if __name__ == "__main__":
    main()
