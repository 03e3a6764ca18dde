"""Runs the node cases of the `onnx` package through `clockwork import` and `clockwork run`.

    for version in 1.17.0 1.18.0 1.19.1 1.20.0; do pip download --no-deps -d wheels onnx==$version; done
    python tools/models/node_cases.py target/release/clockwork wheels/*.whl [--only add,conv] [--write docs/operators.md]

Needs `onnx` (any version that reads the cases) and `numpy`. The cases are files within the wheels; one that
several versions hold alike is run once. What must be known at import, such as shapes, axes and weights, is
bound with `--const`; the other inputs stay inputs. A case without such an input gets one more, that passes
through.
"""

import argparse
import collections
import concurrent.futures
import hashlib
import os
import pathlib
import re
import sys
import tempfile
import zipfile

import numpy as np
import onnx
from onnx import numpy_helper

from commands import clockwork

OPERATORS = """Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape
Conv ConvTranspose CumSum Div Dropout Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gelu Gemm
GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid HardSwish Identity InstanceNormalization LRN
LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max MaxPool Min Mish Mul Neg Not Or PRelu Pad Pow
Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare Relu Reshape Resize Round
Shape Sigmoid Sign Size Slice Softmax Softplus Split Sqrt Squeeze Sub Sum Tanh Tile TopK Transpose Unsqueeze Upsample
Where Xor""".split()

# By operator: the inputs that must be known at import; -1 stands for all.
KNOWN = {
    "Reshape": [1], "Squeeze": [1], "Unsqueeze": [1], "Expand": [1], "Tile": [1], "Pad": [1, 2, 3],
    "Slice": [1, 2, 3, 4], "Split": [1], "Resize": [1, 2, 3], "Upsample": [1], "TopK": [1], "CumSum": [1],
    "Range": [-1], "ConstantOfShape": [-1], "ReduceMax": [1], "ReduceMean": [1], "ReduceMin": [1], "ReduceSum": [1],
    "ReduceL1": [1], "ReduceL2": [1], "ReduceSumSquare": [1], "Conv": [1, 2], "ConvTranspose": [1, 2],
    "Dropout": [1, 2], "LayerNormalization": [],
}


CASES = "onnx/backend/test/data/node/test_"


def cases_of(wheel):
    """By name of a case: its files, by path."""
    cases = collections.defaultdict(dict)
    with zipfile.ZipFile(wheel) as archive:
        for path in archive.namelist():
            if path.startswith(CASES) and not path.endswith("/"):
                name, _, inner = path.removeprefix(CASES).partition("/")
                cases[name][inner] = archive.read(path)
    return {name: files for name, files in cases.items() if "model.onnx" in files}


def version_of(wheel):
    return pathlib.Path(wheel).name.split("-")[1]


def tensor(path, info):
    """The tensor of a file, or None where it is no tensor."""
    if info.type.WhichOneof("value") != "tensor_type":
        return None
    proto = onnx.TensorProto()
    proto.ParseFromString(path.read_bytes())
    return proto


def known_inputs(model):
    """Names of the graph's inputs that must be bound as constants."""
    inputs = {value.name for value in model.graph.input}
    # What a bound value is computed from must be bound too.
    makers = {name: node for node in model.graph.node for name in node.output}
    bound = set()

    def bind(name):
        if name in inputs:
            bound.add(name)
        elif name in makers and makers[name].op_type not in ("Shape", "Size"):
            for below in makers[name].input:
                bind(below)

    for node in model.graph.node:
        positions = KNOWN.get(node.op_type, [])
        for i, name in enumerate(node.input):
            if name and (i in positions or -1 in positions):
                bind(name)
    return bound


def pass_through(model):
    """Adds an input that goes to an output of its own: a package has at least one."""
    value = onnx.helper.make_tensor_value_info
    model.graph.input.append(value("unused", onnx.TensorProto.FLOAT, [1]))
    model.graph.output.append(value("unused_too", onnx.TensorProto.FLOAT, [1]))
    model.graph.node.append(onnx.helper.make_node("Identity", ["unused"], ["unused_too"]))


def fault_of(binary, *arguments):
    """None if it went well, else what was said."""
    try:
        clockwork(binary, *arguments)
    except RuntimeError as error:
        return str(error)
    return None


def run_case(binary, name, files):
    """(outcome, reason)"""
    model = onnx.load_from_string(files["model.onnx"])
    for opset in model.opset_import:
        # `Not` is stated for set 1, and has been the same ever since.
        if opset.domain == "" and [node.op_type for node in model.graph.node] == ["Not"]:
            opset.version = max(opset.version, 7)
    with tempfile.TemporaryDirectory() as folder:
        case = pathlib.Path(folder) / "case"
        for path, content in files.items():
            (case / path).parent.mkdir(parents=True, exist_ok=True)
            (case / path).write_bytes(content)
        try:
            return attempt(binary, case, model, pathlib.Path(folder))
        except Exception as error:  # A case that the harness can't read is told, not hidden.
            return "failed", f"harness: {error!r}"


def attempt(binary, case, model, folder):
    data = case / "test_data_set_0"
    bound = known_inputs(model)
    options, given, unknown = [], [], []
    for i, info in enumerate(model.graph.input):
        proto = tensor(data / f"input_{i}.pb", info)
        if proto is None:
            unknown.append(info.name)
            continue
        array = numpy_helper.to_array(proto)
        if array.dtype == object or array.dtype.kind not in "fiub":
            unknown.append(info.name)
            continue
        path = folder / f"input{i}.npy"
        np.save(path, np.ascontiguousarray(array).reshape(array.shape))
        (options if info.name in bound else given).append(f"{info.name}={path}")
    expected = []
    for i, info in enumerate(model.graph.output):
        proto = tensor(data / f"output_{i}.pb", info)
        if proto is None:
            unknown.append(info.name)
            continue
        expected.append((info.name, numpy_helper.to_array(proto)))
    if not given and not unknown:
        pass_through(model)
    onnx.save(model, folder / "model.onnx")
    constants = [argument for option in options for argument in ("--const", option)]
    said = fault_of(binary, "import", "--no-tune", str(folder / "model.onnx"), "-o", str(folder / "model.cwk"), *constants)
    if said:
        return ("failed" if "panicked" in said else "refused"), said
    if unknown:
        return "failed", f"imported, though {unknown} can't be given to it"
    arguments = [argument for option in given for argument in ("--input", option)]
    for i, (name, _) in enumerate(expected):
        arguments += ["--output", f"{name}={folder / f'output{i}.npy'}"]
    said = fault_of(binary, "run", str(folder / "model.cwk"), *arguments)
    if said:
        return "failed", said
    for i, (name, wanted) in enumerate(expected):
        found = np.load(folder / f"output{i}.npy")
        if found.shape != wanted.shape:
            found = found.reshape(found.shape[1:])
        if found.dtype != wanted.dtype or found.shape != wanted.shape:
            return "failed", f"`{name}` is {found.dtype} {found.shape}, wanted {wanted.dtype} {wanted.shape}"
        # The tolerances of ONNX's own test runner.
        if not np.allclose(found, wanted, rtol=1e-3, atol=1e-7, equal_nan=True):
            worst = np.nanmax(np.abs(found.astype(np.float64) - wanted.astype(np.float64)))
            return "failed", f"`{name}` differs by up to {worst:.3g}"
    return "passed", ""


def operator_of(name, operators):
    """The operator of the list that a case is about; none if it is about another."""
    if len(operators) == 1:
        return operators[0] if operators[0] in OPERATORS else None
    # Cases that spell an operator out carry its name.
    base = re.sub(r"_expanded.*", "", name)
    if base == name:
        return operators[0] if operators and all(op in OPERATORS for op in operators) else None
    squeezed = base.replace("_", "")
    fits = [op for op in OPERATORS if squeezed.startswith(op.lower())]
    return max(fits, key=len) if fits and all(op in OPERATORS or op == "CastLike" for op in operators) else None


def short(reason):
    """A reason without the names of one case, so that like reasons meet."""
    reason = re.sub(r"^clockwork: ", "", reason)
    reason = re.sub(r"^node `[^`]*` \(\w+\): ", "", reason)
    reason = re.sub(r"^(input|output|constant) `[^`]*`(:| has)", r"\1\2", reason)
    reason = re.sub(r"shapes? \[[0-9, ]*\]", "shape", reason)
    if "no fixed shape" in reason or re.search(r"\[[0-9, ]*\b0\b[0-9, ]*\]|dimension of 0", reason):
        return "a tensor without elements"
    found = re.match(r"^(?:[a-z]+: )?element type (\d+): ", reason)
    return f"element type {onnx.TensorProto.DataType.Name(int(found[1])).lower()}" if found else reason


def table(results, versions):
    lines = [
        "# Operators",
        "",
        "Made by `tools/models/node_cases.py`; do not edit.",
        "",
        f"The node cases of `onnx` {', '.join(versions)}, each imported for `cpu-f32` and run at batch 1, compared with",
        "ONNX's own tolerances: how many passed of how many there are. The others were refused at import, for the reasons",
        "in the last column (counted over the distinct cases of all versions), but for those named at the end. What must be known at import (shapes,",
        "axes, weights of convolutions) is bound as a constant. Cases that spell an operator out with others count for",
        "that operator.",
        "",
        "What is no number (NaN) goes through functions of one element, `Min`, `Max` and `Clip` as in ONNX Runtime. A maximum or minimum",
        "over many elements (`MaxPool`, `ReduceMax`, `ReduceMin`) some of which are none is none or that of the others, which depends on",
        "their places, there as here; a batch changes nothing.",
        "",
        f"| operator | {' | '.join(versions)} | refused |",
        f"| --- | {'---: | ' * len(versions)}--- |",
    ]
    every = [case for operator in sorted(results) for case in results[operator]]
    failed = [case for case in every if case[1] == "failed"]
    corrected = [case for case in every if case[1] == "corrected"]
    passed, all_of = collections.Counter(), collections.Counter()
    for operator in sorted(results):
        cells = []
        for version in versions:
            outcomes = [outcome for _, outcome, _, holders in results[operator] if version in holders]
            passed[version] += outcomes.count("passed")
            all_of[version] += len(outcomes)
            cells.append(f"{outcomes.count('passed')} of {len(outcomes)}" if outcomes else "none")
        reasons = collections.Counter(short(reason) for _, outcome, reason, _ in results[operator] if outcome == "refused")
        why = "; ".join(f"{count} x {reason}" if count > 1 else reason for reason, count in sorted(reasons.items()))
        why = why.replace("|", "\\|")
        lines.append(f"| {operator} | {' | '.join(cells)} | {why} |")
    totals = " | ".join(f"{passed[version]} of {all_of[version]}" for version in versions)
    lines += [f"| all | {totals} | |", ""]
    lines.append(f"Failed: {len(failed)}." if failed else "None failed.")
    lines += [f"- `{name}` ({', '.join(holders)}) {reason}" for name, _, reason, holders in failed + corrected]
    return "\n".join(lines) + "\n"


def stated(files):
    """What a case asks: its model and inputs."""
    return tuple(files[path] for path in sorted(files) if "output_" not in path)


def mark_corrected(wanted, outcomes):
    """A failed case of which a later version holds another answer to the same question, which passes."""
    right = {(name, stated(files)): holders for (_, name, files, holders), (outcome, _) in zip(wanted, outcomes)
             if outcome == "passed"}
    for i, (_, name, files, _) in enumerate(wanted):
        later = right.get((name, stated(files)))
        if outcomes[i][0] == "failed" and later:
            outcomes[i] = ("corrected", f"expects an answer that onnx {later[0]} corrected; with that one it passes")


def distinct(wheels, only):
    """By digest of a case: (name, files, versions that hold it)."""
    cases = {}
    for wheel in wheels:
        for name, files in cases_of(wheel).items():
            if only and not any(name.startswith(begin) for begin in only):
                continue
            digest = hashlib.sha256(name.encode())
            for path in sorted(files):
                digest.update(path.encode() + hashlib.sha256(files[path]).digest())
            cases.setdefault(digest.digest(), (name, files, []))[2].append(version_of(wheel))
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("wheels", nargs="+", help="wheels of the package onnx, each of its own version")
    parser.add_argument("--only", help="names or beginnings of names of cases, with commas between")
    parser.add_argument("--write", help="the table's file")
    arguments = parser.parse_args()
    binary = os.path.abspath(arguments.binary)
    wheels = sorted(arguments.wheels, key=lambda wheel: [int(part) for part in version_of(wheel).split(".")])
    wanted = []
    for name, files, holders in distinct(wheels, arguments.only.split(",") if arguments.only else None).values():
        nodes = onnx.load_from_string(files["model.onnx"]).graph.node
        operator = operator_of(name, [node.op_type for node in nodes])
        if operator:
            wanted.append((operator, name, files, holders))
    results = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda case: run_case(binary, case[1], case[2]), wanted))
    mark_corrected(wanted, outcomes)
    for (operator, name, _, holders), (outcome, reason) in zip(wanted, outcomes):
        results[operator].append((name, outcome, reason, holders))
        if outcome != "passed":
            print(f"{outcome:<9} {name} ({', '.join(holders)}): {reason}", flush=True)
    text = table(results, [version_of(wheel) for wheel in wheels])
    print("\n".join(text.splitlines()[-3:]))
    if arguments.write:
        pathlib.Path(arguments.write).write_text(text)
    sys.exit(1 if any(case[1] == "failed" for cases in results.values() for case in cases) else 0)


if __name__ == "__main__":
    main()
