"""Writes the fuzzer's seeds: the node cases that a wheel of the package onnx carries, as models that are imported.

usage: seeds.py onnx-1.20.0-*.whl corpus/import
"""

import pathlib
import sys

import onnx

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "models"))
import node_cases

MOST_BYTES = 16 << 10


def seed(name, files):
    """A case whose inputs that must be known are stored in the model; none if it is about no operator that is built."""
    model = onnx.load_from_string(files["model.onnx"])
    if not node_cases.operator_of(name, [node.op_type for node in model.graph.node]):
        return None
    bound = node_cases.known_inputs(model)
    for i, info in enumerate(model.graph.input):
        path = f"test_data_set_0/input_{i}.pb"
        if info.name in bound and path in files:
            tensor = onnx.TensorProto.FromString(files[path])
            tensor.name = info.name
            model.graph.initializer.append(tensor)
    kept = [value for value in model.graph.input if value.name not in bound]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    if not kept:
        node_cases.pass_through(model)
    return model.SerializeToString()


def main():
    wheel, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, files in node_cases.cases_of(wheel).items():
        content = seed(name, files)
        if content and len(content) <= MOST_BYTES:
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
