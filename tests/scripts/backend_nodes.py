#!/usr/bin/env python3
"""Hold the interpreter on libtorch, tract and ONNX Runtime to ONNX's own backend node tests.

    python3 -m venv venv && venv/bin/pip install onnx==1.23.2 numpy
    venv/bin/python tests/scripts/backend_nodes.py [--out docs/operators.md]
    venv/bin/python tests/scripts/backend_nodes.py --gradients [--out docs/operators.md]

The package `onnx` makes the cases in memory (onnx.backend.test.loader, kind "node"). Each is written as two files and
run by `cargo run --example backend_nodes`, in processes of a hundred cases; where one crashes, that case has
failed and the rest goes on. A case is passed, refused (a reason comes with it), the runtime's own fault (the table OWN)
or failed. With --out a table of operators
is written; the exit code is 1 where a case failed.

With --gradients the cases are differentiated instead, by `cargo run --example backend_gradients --features torch`: the
gradient graph on tract and on ONNX Runtime and libtorch's autograd, each against central differences in float64 on
libtorch. With --out that part of the table is written anew, and the other one kept.
"""

import argparse
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

BATCH = 100
# The newest opset that Temper knows; the package states its own for every case.
NEWEST = 26
ROOT = pathlib.Path(__file__).resolve().parents[2]


# Failures that are the runtime's own: plain onnxruntime 1.32.0 or the Python package tract 0.23.9 gives the same for the
# raw file, without Temper; of libtorch, what the interpreter follows instead.
REVERSED = "a recurrence with direction=reverse is computed otherwise than ONNX states"
MASKED = "the softmax of a row that is masked as a whole is NaN; the function that ONNX states gives numbers"
ROUNDED = (
    "align_corners by a fractional scale: ONNX's tests divide by the length before it is rounded down, the operator's "
    "text and ONNX Runtime by the length of the result; the interpreter and the gradient follow ONNX Runtime"
)
OWN = {
    ("tract", "test_gru_reverse"): REVERSED,
    ("tract", "test_lstm_reverse"): REVERSED,
    ("tract", "test_simple_rnn_reverse"): REVERSED,
    ("tract", "test_swiglu_alpha_expanded"): "Swish takes its attribute `alpha` for 1",
    ("tract", "test_attention_23_boolmask_fullymasked_row_nan_robustness_expanded"): MASKED,
    ("tract", "test_attention_23_fullymasked_qk_matmul_output_mode3_zero_expanded"): MASKED,
    ("tract", "test_attention_4d_causal_nonpad_negative_offset_structural_empty_expanded"): MASKED,
    ("tract", "test_mod_mixed_sign_int64"): "int64 behind the Cast of an input is a dimension, whose remainder has its sign",
    ("ort", "test_maxunpool_export_with_output_shape"): "`output_shape` is read otherwise than ONNX's tests do",
    ("ort", "test_attention_4d_with_past_and_present_qk_matmul_bias_3d_mask_causal"): (
        "the fourth output has -3.4e38 where ONNX has -inf"
    ),
    ("ort", "test_attention_4d_with_past_and_present_qk_matmul_bias_4d_mask_causal"): (
        "the fourth output has -3.4e38 where ONNX has -inf"
    ),
    ("ort", "test_resize_downsample_scales_cubic_align_corners"): ROUNDED,
    ("ort", "test_resize_downsample_scales_linear_align_corners"): ROUNDED,
    ("torch", "test_resize_downsample_scales_cubic_align_corners"): ROUNDED,
    ("torch", "test_resize_downsample_scales_linear_align_corners"): ROUNDED,
}
# Of gradients: what is known, and where it is from.
COUNTED = "the scale that DynamicQuantizeLinear computes counts as constant, as the rules and the interpreter state"
KNOWN = {
    ("tract", "test_resize_downsample_scales_cubic_align_corners"): ROUNDED,
    ("tract", "test_resize_downsample_scales_linear_align_corners"): ROUNDED,
    ("tract", "test_swiglu_alpha_expanded"): "Swish takes its attribute `alpha` for 1",
} | {
    (who, name): COUNTED
    for who in ("ort", "tract", "autograd")
    for name in ("test_dynamicquantizelinear", "test_dynamicquantizelinear_max_adjusted")
}
WORDS = ("passed", "refused", "runtime's own", "failed")


def same_but_for_types(operator, domain, newer, types):
    """Whether an operator of a newer opset is that of the newest known one, for these element types."""
    try:
        old = onnx.defs.get_schema(operator, NEWEST, domain)
    except onnx.defs.SchemaError:
        return False
    new = onnx.defs.get_schema(operator, newer, domain)
    if operator == "Mod" and new.since_version > NEWEST and any("float" in t or "double" in t for t in types):
        return False  # opset 28 admits floating point without fmod
    stated = lambda schema: {n: (a.type, a.required, str(a.default_value)) for n, a in schema.attributes.items()}
    slots = lambda values: [(v.name, v.option, v.min_arity) for v in values]
    allowed = {t for c in old.type_constraints for t in c.allowed_type_strs}
    allowed |= {v.type_str for v in [*old.inputs, *old.outputs]}
    return (
        stated(old) == stated(new)
        and slots(old.inputs) == slots(new.inputs)
        and slots(old.outputs) == slots(new.outputs)
        and types <= allowed
    )


def lowered(model, opset):
    """States the newest opset that Temper knows, where the operators have changed since in their types alone."""
    if opset <= NEWEST:
        return opset
    types = set()
    for value in [*model.graph.input, *model.graph.output]:
        name = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
        types.add(f"tensor({name})")
    nodes = [n for n in model.graph.node if n.domain in ("", "ai.onnx")]
    nested = any(a.type in (a.GRAPH, a.GRAPHS) for n in nodes for a in n.attribute)
    if model.functions or nested or not all(same_but_for_types(n.op_type, n.domain, opset, types) for n in nodes):
        return opset
    for stated in model.opset_import:
        if stated.domain in ("", "ai.onnx"):
            stated.version = NEWEST
    model.ir_version = min(model.ir_version, 13)
    return NEWEST


# Operators with their domains, names of attributes, opset, and why the case could not be written.
Case = collections.namedtuple("Case", "operators attributes opset reason")


def draws(model, inputs):
    """Whether a node draws at random, so that ONNX's answer is one of many."""
    for node in model.graph.node:
        if node.op_type in ("Bernoulli", "Multinomial") or node.op_type.startswith("Random"):
            return True
        if node.op_type == "Dropout" and len(inputs) > 2 and np.all(inputs[2]) and np.any(inputs[1]):
            return True
    return False


def written(folder):
    """Writes the cases; gives each by its name."""
    cases = {}
    for case in sorted(load_model_tests(kind="node"), key=lambda case: case.name):
        model = case.model
        operators = sorted({(node.domain, node.op_type) for node in model.graph.node})
        attributes = {attribute.name for node in model.graph.node for attribute in node.attribute}
        opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
        opset = lowered(model, opset)
        reason = None
        place = folder / case.name
        try:
            inputs, outputs = case.data_sets[0]
            values = [(f"in {i}", v) for i, v in enumerate(inputs)]
            values += [(f"out {i}", v) for i, v in enumerate(outputs)]
            tensors = []
            for name, value in values:
                if isinstance(value, TensorProto):
                    tensor = TensorProto()
                    tensor.CopyFrom(value)
                    tensor.name = name
                    tensors.append(tensor)
                    continue
                if not isinstance(value, (np.ndarray, np.generic)):
                    raise TypeError(f"{name} is a {type(value).__name__}: no tensor")
                tensors.append(numpy_helper.from_array(np.asarray(value), name))
            if draws(model, inputs):
                raise TypeError("draws at random: ONNX's answer is one of many")
            output = helper.make_tensor_value_info(tensors[-1].name, TensorProto.FLOAT, None)
            graph = helper.make_graph([], "data", [], [output], tensors)
            place.mkdir()
            opsets = [helper.make_opsetid("", 17)]
            onnx.save(helper.make_model(graph, ir_version=8, opset_imports=opsets), place / "data.onnx")
            onnx.save(model, place / "model.onnx")
        except Exception as error:  # noqa: BLE001 - whatever it is, the case is refused with it
            reason = str(error).splitlines()[0]
        cases[case.name] = Case(operators, attributes, opset, reason)
    return cases


def run(program, folder, runtime, names):
    """Outcome and reason of every case."""
    found = {}
    waiting = list(names)
    while waiting:
        batch = waiting[:BATCH]
        command = [*program, str(folder), runtime, *batch]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        lines = [line.split("\t") for line in done.stdout.splitlines() if line.count("\t") == 2]
        found.update({name: (word, reason) for name, word, reason in lines})
        told = [name for name, _, _ in lines]
        if done.returncode and not told and "usage" not in done.stderr and len(found) == 0:
            sys.exit(f"{runtime}: {done.stderr.strip()}")
        rest = [name for name in batch if name not in found]
        if rest:
            found[rest[0]] = ("failed", f"the process ended with {done.returncode}")
        waiting = [name for name in waiting if name not in found]
    return found


def shortened(reason):
    """A reason without what is particular to a case."""
    reason = re.sub(r"^runtime \S+ failed to (load the model|run): ", "", reason)
    reason = re.sub(r"`[^`]*/(model|data)\.onnx`", r"`\1.onnx`", reason)
    return re.sub(r"\s+", " ", reason)[:110].replace("|", "/")


def alone(cases):
    """The cases of each operator that stands alone in them."""
    by_operator = collections.defaultdict(list)
    for name, case in cases.items():
        if len(case.operators) == 1 and not name.endswith("_expanded"):
            domain, op = case.operators[0]
            by_operator[f"{domain}.{op}" if domain else op].append(name)
    return by_operator


def stated(cases, names):
    """The opsets of cases and the attributes that they state, as two cells."""
    opsets = sorted({cases[name].opset for name in names})
    span = f"{opsets[0]}" if len(opsets) == 1 else f"{opsets[0]} to {opsets[-1]}"
    attributes = sorted(set().union(*(cases[name].attributes for name in names)))
    return f"{span} | {', '.join(f'`{name}`' for name in attributes)}"


def counts(outcomes, words):
    """A row of the table for each outcome."""
    for word in words:
        found = [sum(outcome[0] == word for outcome in found.values()) for found in outcomes.values()]
        yield f"| {word} | " + " | ".join(map(str, found)) + " |"


def row(cases, outcomes, names, operator, words):
    """An operator's row of the table."""
    cells = []
    for found in outcomes.values():
        told = collections.Counter(found[name][0] for name in names)
        cells.append(" / ".join(str(told[word]) for word in words))
    return f"| {operator} | {stated(cases, names)} | " + " | ".join(cells) + " |"


def refusals(outcomes):
    """A line for each reason of a refusal, those of the most cases first."""
    reasons = collections.defaultdict(list)
    for name, (word, why) in outcomes.items():
        if word == "refused":
            reasons[shortened(general(why))].append(name)
    for reason in sorted(reasons, key=lambda reason: (-len(reasons[reason]), reason)):
        names = sorted(reasons[reason])
        shown = ", ".join(f"`{name}`" for name in names[:3]) + (", ..." if len(names) > 3 else "")
        yield f"- {len(names)}: {reason} ({shown})"


def general(reason):
    """A reason without input, name and shapes of a node."""
    reason = re.sub(r"^by `[^`]*`: ", "", reason)
    return re.sub(r"^(\w+) node `[^`]*`( on [a-z0-9]+\[[^\]]*\](, [a-z0-9]+\[[^\]]*\])*)?: ", r"\1: ", reason)


def table(cases, outcomes):
    """The document."""
    runtimes = list(outcomes)
    lines = [
        "# Operators, by ONNX's backend node tests",
        "",
        f"Generated by `tests/scripts/backend_nodes.py` from the {len(cases)} node tests of onnx {onnx.__version__}.",
        "Passed / refused / the runtime's own / failed per runtime. A refusal names its reason and gives no number. What is the",
        "runtime's own is listed with its reason: shown by plain onnxruntime or tract on the raw file, without Temper, or, of",
        "libtorch, where the interpreter follows the operator's text and ONNX Runtime, and the reference does not.",
        "",
        "| | " + " | ".join(runtimes) + " |",
        "|---|" + "---|" * len(runtimes),
    ]
    lines += counts(outcomes, WORDS)
    lines += ["", "## Operators that stand alone in a case", ""]
    lines += ["| operator | opsets | attributes | " + " | ".join(runtimes) + " |", "|---|---|---|" + "---|" * len(runtimes)]
    lines += [row(cases, outcomes, names, operator, WORDS) for operator, names in sorted(alone(cases).items())]
    for runtime in runtimes:
        lines += ["", f"## The runtime's own on {runtime}", ""]
        own = [(n, why) for n, (word, why) in outcomes[runtime].items() if word == "runtime's own"]
        lines += [f"- `{name}`: {why}" for name, why in sorted(own)] or ["None."]
        lines += ["", f"## Failed on {runtime}", ""]
        failed = [(n, why) for n, (word, why) in outcomes[runtime].items() if word == "failed"]
        lines += [f"- `{name}`: {shortened(why)}" for name, why in sorted(failed)] or ["None."]
        lines += ["", f"## Refused on {runtime}", ""]
        lines += refusals(outcomes[runtime])
    return "\n".join(lines) + "\n"


GRADIENTS = "## Gradients"


def gradient_table(cases, outcomes):
    """The part of the document on gradients."""
    whos = list(outcomes)
    heads = [WHO[who] for who in whos]
    lines = [
        GRADIENTS,
        "",
        "Generated by `tests/scripts/backend_nodes.py --gradients`: the same cases, differentiated by every input of float32,",
        "float16 or bfloat16, all others being constants, of a sum y (y + w) over the outputs with random w. The gradient graph",
        "on tract and on ONNX Runtime and libtorch's autograd are held to central differences in float64 on libtorch, element by",
        "element: off by at most 1e-3 of the largest. What is not compared is listed with its reason.",
        "Passed / refused / known / failed. What is known is listed with its reason.",
        "",
        "| | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(whos),
    ]
    words = ("passed", "refused", "known", "failed")
    lines += counts(outcomes, words)
    lines += ["", "### Operators that stand alone in a case and have a gradient", ""]
    lines += ["| operator | opsets | attributes | " + " | ".join(heads) + " |", "|---|---|---|" + "---|" * len(whos)]
    for operator, names in sorted(alone(cases).items()):
        if any(outcomes[who][name][0] != "refused" for who in whos for name in names):
            lines.append(row(cases, outcomes, names, operator, words))
    for who in whos:
        kinks = {n: why for n, (word, why) in outcomes[who].items() if word == "passed" and " at a kink " in why}
        lines += ["", f"### Left out at kinks and ties: {WHO[who]}", ""]
        lines += [f"- `{name}`: by {shortened(why)}" for name, why in sorted(kinks.items())] or ["None."]
        for word in ("known", "failed"):
            found = [(n, why) for n, (was, why) in outcomes[who].items() if was == word]
            lines += ["", f"### {word.capitalize()}: {WHO[who]}", ""]
            lines += [f"- `{name}`: {why if word == 'known' else shortened(why)}" for name, why in sorted(found)] or ["None."]
        lines += ["", f"### Not differentiated: {WHO[who]}", ""]
        lines += refusals(outcomes[who])
    return "\n".join(lines) + "\n"


# Who is asked for gradients.
WHO = {"ort": "graph on ort", "tract": "graph on tract", "autograd": "libtorch's autograd"}


def replaced(path, text, gradients):
    """Writes one part of the document and keeps the other."""
    old = path.read_text() if path.exists() else ""
    forward, mark, rest = old.partition("\n" + GRADIENTS + "\n")
    if gradients:
        path.write_text(forward.rstrip("\n") + "\n\n" + text)
    else:
        path.write_text(text + mark + rest)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--runtimes", nargs="+", help="[default: torch, tract and ort; of gradients all of WHO]")
    parser.add_argument("--gradients", action="store_true", help="differentiate the cases instead")
    parser.add_argument("--program", help="the example, built already [default: cargo run builds it]")
    arguments = parser.parse_args()
    example = ["backend_gradients", "--features", "torch"] if arguments.gradients else ["backend_nodes"]
    runtimes = arguments.runtimes or (list(WHO) if arguments.gradients else ["torch", "tract", "ort"])
    cargo = ["cargo", "run", "-q", "--example", *example, "--"]
    program = [arguments.program] if arguments.program else cargo
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        cases = written(folder)
        good = [name for name, case in cases.items() if case.reason is None]
        outcomes = {}
        for runtime in runtimes:
            outcomes[runtime] = run(program, folder, runtime, good)
            outcomes[runtime].update({n: ("refused", case.reason) for n, case in cases.items() if case.reason})
            known, word = (KNOWN, "known") if arguments.gradients else (OWN, "runtime's own")
            for (of, name), why in known.items():
                if of == runtime and outcomes[runtime].get(name, ("",))[0] == "failed":
                    outcomes[runtime][name] = (word, f"{why} ({outcomes[runtime][name][1]})")
            words = collections.Counter(word for word, _ in outcomes[runtime].values())
            print(runtime, dict(words), flush=True)
            for case, (word, why) in sorted(outcomes[runtime].items()):
                if word == "failed":
                    print(f"  failed: {case}: {why}")
    if arguments.out:
        text = gradient_table(cases, outcomes) if arguments.gradients else table(cases, outcomes)
        replaced(arguments.out, text, arguments.gradients)
    return any(word == "failed" for found in outcomes.values() for word, _ in found.values())


if __name__ == "__main__":
    sys.exit(main())
