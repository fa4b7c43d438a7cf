"""Holds ONNX files to the official checker: an optional test, for it needs the package `onnx`.

    python3 -m venv target/onnx-check
    target/onnx-check/bin/pip install onnx==1.23.2
    target/onnx-check/bin/python tests/scripts/check_onnx.py models/*.onnx

For each file: the checker with every check on, strict shape inference over all of it, and no
tensor left of the density estimator, which must not ship. One line per failure, exit status 1;
else one line per file.
"""

import sys
from pathlib import Path

import onnx

FORBIDDEN = ("density", "estimator")


def failures(path):
    """What is wrong with one file, a line each."""
    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf and the file system each raise their own kinds
        return [f"cannot be read as ONNX: {one_line(error)}"]
    checks = {
        "checker": lambda: onnx.checker.check_model(model, full_check=True),
        "shape inference": lambda: onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        ),
    }
    found = []
    for name, check in checks.items():
        try:
            check()
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            found.append(f"{name}: {one_line(error)}")
    for tensor in sorted(tensors(model)):
        if any(word in tensor.lower() for word in FORBIDDEN):
            found.append(f"the tensor {tensor!r} belongs to the density estimator")
    return found


def tensors(model):
    """The names of all values and weights, those of subgraphs and functions too."""
    names, todo = set(), [model.graph, *model.functions]
    while todo:
        graph = todo.pop()
        for node in graph.node:
            names.update(node.input, node.output)
            for attribute in node.attribute:
                todo += [attribute.g] if attribute.HasField("g") else []
                todo += attribute.graphs
        if isinstance(graph, onnx.GraphProto):
            values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
            names.update(value.name for value in values)
            names.update(weight.values.name for weight in graph.sparse_initializer)
    return names


def one_line(error):
    return " ".join(str(error).split())


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: check_onnx.py MODEL.onnx...")
    good = True
    for path in map(Path, sys.argv[1:]):
        found = failures(path)
        good = good and not found
        for failure in found:
            print(f"{path}: {failure}")
        if not found:
            print(f"{path}: good")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
