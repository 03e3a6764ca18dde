"""Imports random ONNX graphs, runs them with `clockwork run`, compares them with ONNX Runtime.

usage: random_graphs.py target/release/clockwork [--seeds FIRST:COUNT] [--only OPS] [--instructions SET] [--keep DIR]

A seed makes one graph of a few steps, each from the table of `random_operators.py`; most are convolutions in groups
and what moves channels around them. Two items run at batch 1 and must agree with ONNX Runtime within 1e-3; both
together, and four in mixed order on two threads, must give the same bits as alone. What is refused by name is counted
and no failure. A failure is told with the command that repeats it, and the graph, cut after the first value that
fails, is kept in DIR. Ends with 1 if there is one.
"""

import argparse
import collections
import os
import pathlib
import shlex
import sys
import tempfile

import numpy as np
import onnx

import graphs
from commands import clockwork, run
from node_cases import short
from random_operators import OPERATORS, grown

# Relative to the element, and to 1 for those that are smaller.
LIMIT = 1e-3
MIXED = [1, 0, 0, 1]
# By turns. 0: never Winograd's algorithm; the last: wherever it is quicker.
RUNS_PER_LOAD = [0, 10, 100_000]


class Differs(Exception):
    """An output is not what it should be."""


def items_of(model, seed):
    """Two of batch 1, by name of the input."""
    numbers = np.random.default_rng(seed)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in model.graph.input}
    return [{n: numbers.standard_normal(s).astype(np.float32) for n, s in shapes.items()} for _ in range(2)]


def compare(execute, model, items, batched):
    """Raises where an item alone is not what ONNX Runtime computes, or a batch has other bits than its items alone."""
    outputs, session = [value.name for value in model.graph.output], graphs.session(model)
    alone = [execute(item, 1) for item in items]
    for item, found in zip(items, alone):
        for name, ours, right in zip(outputs, found, session.run(outputs, item)):
            if ours.size != right.size:
                raise Differs(f"`{name}` is {list(ours.shape)}, wanted {list(right.shape)}")
            ours = ours.reshape(right.shape)
            if not np.allclose(ours, right, rtol=LIMIT, atol=LIMIT, equal_nan=True):
                raise Differs(f"`{name}` {list(ours.shape)} differs by up to {np.nanmax(np.abs(ours - right)):.3g}")
    for order, threads in ([0, 1], 1), (MIXED, 2):
        if not batched:
            break
        together = {name: np.concatenate([items[i][name] for i in order]) for name in items[0]}
        for k, ours in enumerate(execute(together, len(order), "--threads", threads)):
            if ours.tobytes() != b"".join(alone[i][k].tobytes() for i in order):
                raise Differs(f"`{outputs[k]}` has other bits in a batch of {len(order)}, {threads} threads")


def attempt(arguments, seed, model):
    """(outcome, reason)"""
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        path, package = folder / "model.onnx", folder / "model.cwk"
        onnx.save(model, path)
        runs = RUNS_PER_LOAD[seed % len(RUNS_PER_LOAD)]
        try:
            said = clockwork(arguments.binary, "import", path, "-o", package, "--no-tune", "--runs-per-load", runs)
        except RuntimeError as error:
            return ("refused" if str(error).startswith("clockwork: ") else "failed"), str(error)
        outputs = [value.name for value in model.graph.output]
        chosen = ["--instructions", arguments.instructions] if arguments.instructions else []
        batched = "batch 1 only" not in said

        def execute(inputs, batch, *options):
            return run(arguments.binary, package, folder, inputs, outputs, batch, *chosen, *options)

        try:
            compare(execute, model, items_of(model, seed), batched)
        except Exception as error:  # Whatever it is, also ONNX Runtime's, is told and the graph kept.
            return "failed", str(error)
        return "agreed", "in batches" if batched else "at batch 1 only"


def smallest(arguments, seed, graph, outputs, reason):
    """The graph cut after the first value that fails alone, and why it does; whole where none does."""
    for name in graph.values:
        if name not in graph.inputs:
            model = graph.model([name])
            outcome, why = attempt(arguments, seed, model)
            if outcome == "failed":
                return model, why
    return graph.model(outputs), reason


def tell(arguments, seed, graph, outputs, reason):
    """Keeps the graph of a failure and prints what is wrong with it."""
    model, reason = smallest(arguments, seed, graph, outputs, reason)
    arguments.keep.mkdir(parents=True, exist_ok=True)
    path = arguments.keep / f"random-{seed}.onnx"
    onnx.save(model, path)
    command = ["python", sys.argv[0], arguments.binary, "--seeds", f"{seed}:1"]
    for option in ("only", "instructions"):
        if getattr(arguments, option):
            command += [f"--{option}", getattr(arguments, option)]
    print(f"failed {seed}: {reason}")
    print(f"  {' '.join(node.op_type for node in model.graph.node)}; kept as {path}")
    print(f"  {shlex.join(command)}", flush=True)


def table(counts):
    """Aligned; the outcomes by how often."""
    width = len(str(max(counts.values(), default=0)))
    ordered = sorted(counts.items(), key=lambda entry: (entry[0][0], -entry[1], entry[0][1]))
    return "\n".join(f"{outcome:<8} {count:>{width}}  {reason}" for (outcome, reason), count in ordered)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary", type=os.path.abspath)
    parser.add_argument("--seeds", default="0:500", help="FIRST:COUNT (0:500)")
    parser.add_argument("--only", help="operators, with commas between: " + ", ".join(OPERATORS))
    parser.add_argument("--instructions", help="avx512, avx2 or portable; the best of the machine if none is named")
    parser.add_argument("--keep", type=pathlib.Path, default="random-graphs", help="folder of graphs that fail")
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else list(OPERATORS)
    unknown = [name for name in only if name not in OPERATORS]
    if unknown:
        parser.error(f"no such operator: {', '.join(unknown)}")
    first, count = map(int, arguments.seeds.split(":"))
    counts = collections.Counter()
    for seed in range(first, first + count):
        graph, outputs = grown(seed, only)
        if outputs:
            outcome = attempt(arguments, seed, graph.model(outputs))
        else:
            outcome = "empty", "no operator of those fits"
        if outcome[0] == "failed":
            tell(arguments, seed, graph, outputs, outcome[1])
            outcome = "failed", "see above"
        counts[outcome[0], short(outcome[1])] += 1
    print(table(counts))
    sys.exit(1 if any(outcome == "failed" for outcome, _ in counts) else 0)


if __name__ == "__main__":
    main()
