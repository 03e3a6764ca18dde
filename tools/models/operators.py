"""Prints, as Markdown, which operators the demo's models use, with which attributes.

usage: operators.py [MODEL.onnx]...

With the input's shape fixed, a node is *constant* when nothing it reads depends on the
input (the shape of a tensor doesn't): an importer folds it. The others are *live*.
"""

import collections
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

import graphs

# With fixed shapes these depend on no input.
CONSTANT = {"Constant", "ConstantOfShape", "Shape"}


def constants(graph):
    """The names of the tensors that don't depend on the graph's input."""
    known = {initializer.name for initializer in graph.initializer}
    for node in graph.node:
        if node.op_type in CONSTANT or all(name in known or not name for name in node.input):
            known.update(node.output)
    return known


def values(model, name):
    """Runs the model once on zeros and returns every tensor by name."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    input_name, shape = graphs.INPUTS[name]
    initial = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    names = [out for node in model.graph.node for out in node.output if out]
    inferred = {v.name: v for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    del model.graph.output[:]
    model.graph.output.extend(
        inferred.get(n, helper.make_empty_tensor_value_info(n)) for n in names
    )
    session = graphs.session(model, optimise=False)
    zeros = {input_name: np.zeros(shape, np.float32)}
    return initial | zeros | dict(zip(names, session.run(names, zeros), strict=True))


def text(value):
    if isinstance(value, onnx.TensorProto):
        value = numpy_helper.to_array(value)
        return f"{value.dtype}{list(value.shape)}" if value.size > 1 else str(value.ravel()[0])
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def describe(node, known, found):
    """Attributes, and small constant inputs by value; of `Constant` the type alone."""
    if node.op_type == "Constant":
        value = numpy_helper.to_array(node.attribute[0].t)
        return f"{value.dtype}, {value.ndim}-D"
    parts = []
    for attribute in sorted(node.attribute, key=lambda a: a.name):
        value = helper.get_attribute_value(attribute)
        if attribute.name == "group" and value > 1:
            value = "channels" if value == found[node.input[0]].shape[1] else value
        parts.append(f"{attribute.name}={text(value)}")
    if node.op_type in ("Conv", "Gemm"):
        parts.append("bias" if len(node.input) == 3 else "no bias")
    elif node.op_type != "BatchNormalization" and not known.issuperset(node.input):
        for position, name in enumerate(node.input):
            if name in known:
                value = found[name]
                small = value.size <= 5
                shown = value.ravel().tolist() if small else list(value.shape)
                what = "value" if small else "const"
                # Trained scalars and vectors differ from node to node: only their shape counts.
                if node.op_type in ("Add", "Mul", "Div", "MatMul") and value.dtype == np.float32:
                    what, shown = "const", list(value.shape)
                parts.append(f"in{position} {what} {text(shown)}")
    return " ".join(parts)


def table(model, name):
    graph = model.graph
    known, found = constants(graph), values(model, name)
    rows, examples = collections.Counter(), {}
    for node in graph.node:
        live = not known.issuperset(node.output)
        key = (not live, node.op_type, describe(node, known, found))
        rows[key] += 1
        shapes = [list(found[n].shape) for n in node.input if n and n not in known]
        examples.setdefault(key, (shapes, list(found[node.output[0]].shape)))
    opset = ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import)
    print(f"\n### `{name}`\n")
    live = sum(n for key, n in rows.items() if not key[0])
    print(f"IR {model.ir_version}, opset {opset}, input {graphs.INPUTS[name]}, ", end="")
    print(f"{len(graph.node)} nodes, {live} live, {len(graph.initializer)} initialisers.\n")
    for constant, title in ((False, "live"), (True, "constant")):
        part = [(key, n) for key, n in sorted(rows.items()) if key[0] == constant]
        if not part:
            continue
        print(f"| {title} | count | attributes | first: live inputs -> output |\n|---|--:|---|---|")
        for key, count in part:
            inputs, output = examples[key]
            shapes = " ".join(map(text, inputs)) + f" -> {text(output)}"
            print(f"| {key[1]} | {count} | {key[2]} | {shapes} |")
        print()


def main():
    for name in sys.argv[1:] or graphs.INPUTS:
        table(graphs.load(name), name)


if __name__ == "__main__":
    main()
