"""Shows that rewriting a graph from batch 1 to batch n keeps its meaning.

usage: batch_check.py

Dimension 0 of the input becomes n, and so does the leading 1 of a constant that a
Reshape of data takes its shape from (resnet50 has one). All else follows: in the text
model the Reshapes compute their shapes from Shape, or copy dimension 0 (a 0 in the shape).
"""

import sys

import numpy as np
from onnx import numpy_helper

import graphs
import random_weights
import reference

BATCH = 3


def rebatch(model, batch):
    """Rewrites `model` in place; returns the constants that it changed."""
    graph, changed = model.graph, []
    initial = {i.name: i for i in graph.initializer}
    (data,) = (v for v in graph.input if v.name not in initial)
    data.type.tensor_type.shape.dim[0].dim_value = batch
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in initial:
            shape = numpy_helper.to_array(initial[node.input[1]]).copy()
            if shape[0] == 1:
                shape[0] = batch
                target = initial[node.input[1]]
                target.CopyFrom(numpy_helper.from_array(shape, target.name))
                changed.append(node.input[1])
    return changed


def main():
    worst = 0.0
    for name, output in reference.OUTPUTS.items():
        model = graphs.load(name)
        if name.startswith("light_"):
            random_weights.randomise(model, reference.WEIGHTS_SEED)
        graphs.cut(model, [output])
        input_name, shape = graphs.INPUTS[name]
        items = [reference.seeded_input(seed, input_name, shape) for seed in range(BATCH)]
        single = graphs.session(model)
        alone = [single.run(None, {input_name: item})[0] for item in items]
        changed = rebatch(model, BATCH)
        (batch,) = graphs.session(model).run(None, {input_name: np.concatenate(items)})
        alone = np.concatenate(alone)
        error = float(np.abs(batch - alone).max() / np.abs(alone).max())
        worst = max(worst, error)
        print(f"{name:24} {list(batch.shape)}  rewritten {changed}  difference {error:.1e}")
    sys.exit(worst > 1e-5)


if __name__ == "__main__":
    main()
