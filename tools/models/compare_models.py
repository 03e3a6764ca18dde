"""Imports whole models, runs them with `clockwork run`, compares them with ONNX Runtime, writes a table.

usage: compare_models.py target/release/clockwork FOLDER WHEEL... [--only NAME,...] [--write docs/models.md]

FOLDER is for models, packages and results, and may stand for the next time: models that are there are not
made again. The wheels are those of `architectures.py`. Each model is cut before its last softmax, or the sigmoid
that ends it. Two seeded
inputs run at batch 1; both together, and in mixed order eight times, must give the same bits. Fails where
an output is further than 1e-3 of the largest from ONNX Runtime's, where a batch differs, where the two inputs' outputs
are nearer than 1e-2 of the largest, which would show little, or where a model is refused that is not in REFUSED.
"""

import argparse
import json
import os
import pathlib
import re
import sys
import tempfile

import numpy as np
import onnx

import architectures
import graphs
import reference
from commands import clockwork, run

LIMIT = 1e-3
# The least by which the outputs of two inputs must differ, that a comparison of them says something.
WEAK = 1e-2
# Inputs are in [-1, 1) times this: where summands of the model are larger, they would hide the input.
SCALES = {"inception_v2": 128}
# Models that hold what is refused by name.
REFUSED = {"ddddocr_common": "LSTM", "ddddocr_old": "quantised"}
MIXED = [0, 1, 1, 0, 1, 0, 0, 1]


def last_softmax(model):
    """For each output, the value to cut at: before a softmax or sigmoid, and what only names it again."""
    makers = {name: node for node in model.graph.node for name in node.output}

    def before(name):
        node = makers[name]
        while node.op_type == "Identity" and node.input[0] in makers:
            node = makers[node.input[0]]
        return node.input[0] if node.op_type in ("Softmax", "Sigmoid") else name

    return [before(output.name) for output in model.graph.output]


def inputs_of(model, shapes):
    """By name: shape at batch 1 and whether its elements are whole numbers."""
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = {}
    for value in model.graph.input:
        if value.name not in stored:
            dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
            inputs[value.name] = (shapes.get(value.name, [1] + dims[1:]), value.type.tensor_type.elem_type)
    return inputs


def item(name, shape, kind, seed, scale):
    """A seeded input of batch 1; floats times `scale`."""
    if kind == onnx.TensorProto.FLOAT:
        return reference.seeded_input(seed, name, shape) * np.float32(scale)
    numbers = np.random.default_rng(seed)
    if "mask" in name:
        # The last places of a text are not there.
        return (np.arange(shape[1]) < shape[1] - 16 * seed).astype(np.int64)[None]
    return numbers.integers(0, 2 if "type" in name else 30522, shape, dtype=np.int64)


def differences(binary, model, package, inputs, outputs, folder, scale):
    """Relative to the largest: from ONNX Runtime at batch 1, and of two inputs; whether batches give the same bits."""
    graphs.cut(model, outputs)
    session = graphs.session(model)
    items = [{n: item(n, shape, kind, seed, scale) for n, (shape, kind) in inputs.items()} for seed in (1, 2)]
    worst, alone = 0.0, []
    for one in items:
        found = run(binary, package, folder, one, outputs, 1)
        for ours, theirs in zip(found, session.run(outputs, one)):
            worst = max(worst, float(np.abs(ours.reshape(theirs.shape) - theirs).max() / np.abs(theirs).max()))
        alone.append(found)
    if np.isnan(worst):
        raise RuntimeError("an output is not a number")
    spread = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(*alone))
    same = True
    for order in ([0, 1], MIXED):
        together = {name: np.concatenate([items[i][name] for i in order]) for name in inputs}
        found = run(binary, package, folder, together, outputs, len(order))
        for k, ours in enumerate(found):
            wanted = np.concatenate([alone[i][k] for i in order])
            same &= ours.tobytes() == wanted.tobytes()
    return worst, spread, same


def measure(binary, name, wheels, folder):
    """The facts of one model."""
    path, package = folder / f"{name}.onnx", folder / f"{name}.cwk"
    if not path.exists():
        onnx.save(architectures.make(name, wheels)[0], path)
    model = onnx.load(path)
    shapes = architectures.CARRIED.get(name, (None, {}))[1]
    inputs, outputs = inputs_of(model, shapes), last_softmax(model)
    arguments = ["import", path, "-o", package, "--no-tune"]
    for given, shape in shapes.items():
        arguments += ["--shape", f"{given}={'x'.join(map(str, shape))}"]
    for output in outputs:
        arguments += ["--outputs", output]
    facts = {"name": name, "file": path.stat().st_size}
    try:
        said = clockwork(binary, *arguments)
    except RuntimeError as error:
        return facts | {"refused": str(error).removeprefix("clockwork: ")}
    facts |= {"seconds": float(re.search(r"time +([0-9.]+) s", said)[1]), "peak": float(re.search(r"memory +([0-9.]+) MiB", said)[1]) * 2**20,
              "package": package.stat().st_size, "one_only": "batch 1 only" in said, "plans": []}
    for batch in (1, 2, 4, 8, 16) if not facts["one_only"] else (1,):
        plan = json.loads(clockwork(binary, "inspect", package, "--batch", batch, "--json", "--no-measure"))
        facts["plans"].append(plan_facts(plan))
    if not facts["one_only"]:
        with tempfile.TemporaryDirectory() as scratch:
            found = differences(binary, model, package, inputs, outputs, pathlib.Path(scratch), SCALES.get(name, 1))
        facts |= dict(zip(("difference", "spread", "same"), found))
    return facts


def plan_facts(plan):
    return {"launches": len(plan["launches"]), "workspace": plan["workspace_bytes"], "alive": plan["most_alive_bytes"]}


def fault(facts):
    """What is wrong; none if all is well."""
    if "refused" in facts:
        return None if facts["name"] in REFUSED else facts["refused"]
    if facts["one_only"]:
        return "batch 1 only"
    if not facts["difference"] <= LIMIT:
        return f"differs by {facts['difference']:.1e}"
    if not facts["spread"] >= WEAK:
        return f"weak: the outputs of the two inputs differ by {facts['spread']:.1e}"
    return None if facts["same"] else "batches differ"


def table(rows):
    lines = [
        "# Models",
        "",
        "Made by `tools/models/compare_models.py`; do not edit.",
        "",
        "Whole models, imported for `cpu-f32` without tuning and compared with ONNX Runtime before the last softmax (or sigmoid): the",
        "largest difference over two seeded inputs, relative to the largest output (at most 1e-3 is wanted); by how much",
        "the outputs of the two inputs differ, in the same measure (less than 1e-2 is refused as weak); whether batches of 2",
        "and 8, in mixed order, give the same bits as batch 1. `memory` is the most that the import held, relative to the",
        "model's file; of small models mostly what the proof of the batch needs, the package's weights and the workspace of",
        "batch 2. `workspace` is that of batch 1, and, over all batch sizes, how much larger it is than the most that is",
        "alive at once: larger batches go through launches in parts (decision 14), whose buffers lie less tightly than those of",
        "whole launches, in less memory.",
        "",
        "| model | difference | two inputs | batches | file MB | import s | memory | package MB | launches | workspace |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for facts in rows:
        if "refused" in facts:
            lines.append(f"| {facts['name']} | refused: {facts['refused']} | | | {facts['file'] / 1e6:.1f} | | | | | |")
            continue
        first, over = facts["plans"][0], max(plan["workspace"] / max(plan["alive"], 1) for plan in facts["plans"])
        cells = [
            facts["name"], f"{facts['difference']:.1e}", f"{facts['spread']:.1e}",
            "equal" if facts["same"] else "DIFFER", f"{facts['file'] / 1e6:.1f}", f"{facts['seconds']:.1f}",
            f"{facts['peak'] / 1e6:.0f} MB, {facts['peak'] / facts['file']:.1f}x", f"{facts['package'] / 1e6:.1f}",
            str(first["launches"]), f"{first['workspace'] / 1e6:.1f} MB, {over:.2f}x",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("wheels", nargs="+")
    parser.add_argument("--only", help="names, with commas between: " + ", ".join(architectures.NAMES))
    parser.add_argument("--write", help="the table's file")
    arguments = parser.parse_args()
    rows, faults = [], []
    for name in arguments.only.split(",") if arguments.only else architectures.NAMES:
        try:
            facts = measure(os.path.abspath(arguments.binary), name, arguments.wheels, arguments.folder)
            wrong = fault(facts)
            rows.append(facts)
        except RuntimeError as error:
            wrong = str(error)
        if wrong:
            faults.append(name)
        print(f"{'WRONG' if wrong else 'well':<6} {name}: {wrong or json.dumps(rows[-1])}", flush=True)
    if arguments.write:
        pathlib.Path(arguments.write).write_text(table(rows))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
