"""Seeded random numbers for weights and inputs, and the rule that puts them into a graph.

The rule is specified in README.md; `clockwork import --random-weights SEED` follows it bit
for bit. Run as a script, this prints the test vectors of that page.
"""

import math

import numpy as np
from onnx import numpy_helper

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FNV_BASIS, FNV_PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1


def fnv1a(data):
    """FNV-1a, 64 bits."""
    value = FNV_BASIS
    for byte in data:
        value = (value ^ byte) * FNV_PRIME & MASK
    return value


def splitmix64(state, count):
    """The first `count` outputs of splitmix64 from `state`."""
    with np.errstate(over="ignore"):
        z = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(seed, name, shape, bound=1.0):
    """A float32 tensor, uniform in [-bound, bound), in row-major order."""
    out = splitmix64(seed ^ fnv1a(name.encode()), math.prod(shape))
    unit = (out >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    return ((np.float32(2) * unit - np.float32(1)) * np.float32(bound)).reshape(shape)


def bound_of(fan_in):
    return np.float32(math.sqrt(6.0 / fan_in))


def trained_constants(graph):
    """The shape of every float32 constant that a node of `graph` could read, by name."""
    arrays = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    shapes = {n: list(a.shape) for n, a in arrays.items() if a.dtype == np.float32}
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = arrays[node.input[0]].tolist()
    return shapes


def tensors_for(node, shapes, seed):
    """The new weights of one node, by name."""
    if node.op_type == "BatchNormalization":
        values = zip(node.input[1:5], (1, 0, 0, 1), strict=True)
        return {n: np.full(shapes[n], v, np.float32) for n, v in values if n in shapes}
    if node.op_type not in ("Conv", "Gemm") or node.input[1] not in shapes:
        return {}
    shape = shapes[node.input[1]]
    if node.op_type == "Conv":
        fan_in = math.prod(shape[1:])
    else:
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        fan_in = shape[1 if transposed else 0]
    names = [name for name in node.input[1:3] if name in shapes]
    return {n: uniform(seed, n, shapes[n], bound_of(fan_in)) for n in names}


def randomise(model, seed):
    """Replaces every constant weight of `model` in place."""
    graph = model.graph
    shapes, new = trained_constants(graph), {}
    for node in graph.node:
        new |= tensors_for(node, shapes, seed)
    nodes = [n for n in graph.node if not new.keys() & set(n.output)]
    kept = [i for i in graph.initializer if i.name not in new]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in new.items())
    return model


def main():
    for seed, name in ((1, "x"), (1, "conv1_w_0"), (2, "gpu_0/data_0")):
        print(f'seed {seed}, name "{name}":')
        print(f"  FNV-1a of the name {fnv1a(name.encode()):#018x}")
        outputs = splitmix64(seed ^ fnv1a(name.encode()), 4)
        values = uniform(seed, name, [4])
        for out, value in zip(outputs, values, strict=True):
            print(f"  {int(out):#018x} -> {value:.9g} (bits {value.view(np.uint32):#010x})")
    bound = bound_of(27)
    values = uniform(1, "conv1_w_0", [4], bound)
    print(f"conv1_w_0 of squeezenet, seed 1: a = {bound:.9g} (bits {bound.view(np.uint32):#010x})")
    print("  " + ", ".join(f"{v:.9g} (bits {v.view(np.uint32):#010x})" for v in values))


if __name__ == "__main__":
    main()
