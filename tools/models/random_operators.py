"""The random graphs of `random_graphs.py`: what a graph is while it grows, and a function for each operator."""

import random

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Blocks of 8 and 16 channels, what is just beside them, and what no block divides.
CHANNELS = [1, 2, 3, 6, 7, 8, 9, 12, 15, 16, 17, 20, 24, 30, 32, 33, 34, 40, 48, 60, 66, 70, 96, 105, 120, 140]
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17, 28, 33]
OPSET = 17
MOST_ELEMENTS = 60_000
MOST_DIMENSIONS = 6
ACTIVATIONS = "Relu Sigmoid HardSwish Clip Tanh LeakyRelu HardSigmoid Softplus Erf Abs Neg swish".split()
# Of normalisations: large enough that values which are nearly alike are not blown up.
EPSILON = 1e-2


class Graph:
    """A graph that grows; `values` holds each value's shape at batch 1, in the order in which they came."""

    def __init__(self, seed):
        self.random, self.numbers = random.Random(seed), np.random.default_rng(seed)
        self.nodes, self.constants, self.values = [], {}, {}
        first = (1, self.random.choice(CHANNELS), self.random.choice(SIZES), self.random.choice(SIZES))
        self.inputs = {"x0": first}
        if self.chance(0.4):
            self.inputs["x1"] = first if self.chance(0.6) else (*first[:2], 1, 1)
        self.values |= self.inputs

    def chance(self, share):
        return self.random.random() < share

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def whole(self, *numbers):
        return self.constant(np.array(numbers, np.int64))

    def floats(self, *shape, least=None):
        array = self.numbers.standard_normal(shape).astype(np.float32)
        return self.constant(array if least is None else np.abs(array) + np.float32(least))

    def weights(self, fan_in, *shape):
        return self.constant(self.numbers.standard_normal(shape).astype(np.float32) / np.float32(fan_in**0.5))

    def add(self, operator, *inputs, outputs=1, **attributes):
        """The name of its output, or of each."""
        names = [f"{operator.lower()}{len(self.nodes)}{'_' * i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def alike(self, fits):
        """A value whose shape fits, or none."""
        found = [name for name, shape in self.values.items() if fits(shape)]
        return self.random.choice(found) if found else None

    def outputs(self):
        """The values that no node reads, and sometimes one more."""
        read = {name for node in self.nodes for name in node.input}
        made = [name for name in self.values if name not in self.inputs]
        more = self.random.choice(made) if made and self.chance(0.3) else None
        return [name for name in made if name not in read or name == more]

    def model(self, outputs):
        """A model of what the outputs are computed from."""
        nodes, needed = [], set(outputs)
        for node in reversed(self.nodes):
            if needed.intersection(node.output):
                nodes.insert(0, node)
                needed.update(node.input)
        value = helper.make_tensor_value_info
        inputs = [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in self.inputs.items() if name in needed]
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items() if name in needed]
        results = [value(name, onnx.TensorProto.FLOAT, None) for name in outputs]
        graph = helper.make_graph(nodes, "random", inputs, results, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def window(size, pads, kernel, stride, dilation=1):
    return (size + pads - (kernel - 1) * dilation - 1) // stride + 1


def axis_of(graph, shape):
    return graph.random.randrange(1, len(shape))


def with_axis(shape, axis, size):
    return (*shape[:axis], size, *shape[axis + 1:])


# Each function adds one operator, or a few that belong together, behind the value `name` of this shape. It returns
# the new values and their shapes, none where the operator does not fit; what it has added by then is dropped.


def activation(graph, name, shape):
    operator = graph.random.choice(ACTIVATIONS)
    if operator == "Clip":
        return {graph.add("Clip", name, *map(graph.constant, np.float32([0, 6]))): shape}
    if operator == "swish":
        return {graph.add("Mul", name, graph.add("Sigmoid", name)): shape}
    return {graph.add(operator, name): shape}


def convolve(graph, name, shape, group, out, same=False):
    """A convolution of any kernel; `same` keeps height and width."""
    choose = graph.random.choice
    kernel = [choose([1, 1, 2, 3, 3])] * 2 if graph.chance(0.7) else [choose([1, 2, 3]) for _ in range(2)]
    stride, dilation = 1 if same else choose([1, 1, 2]), choose([1, 1, 1, 2])
    if same:
        whole = [(k - 1) * dilation for k in kernel]
        pads = [w // 2 for w in whole] + [w - w // 2 for w in whole]
    else:
        pads = [graph.random.randint(0, 2) for _ in range(4)]
    sizes = [window(shape[2 + i], pads[i] + pads[2 + i], kernel[i], stride, dilation) for i in range(2)]
    if min(sizes) < 1:
        return None
    inside = shape[1] // group
    parameters = [graph.weights(inside * kernel[0] * kernel[1], out, inside, *kernel)]
    if graph.chance(0.6):
        parameters.append(graph.floats(out))
    made = graph.add("Conv", name, *parameters, pads=pads, strides=[stride] * 2, dilations=[dilation] * 2, group=group,
                     kernel_shape=kernel)
    return made, (1, out, *sizes)


def conv(graph, name, shape):
    made = len(shape) == 4 and convolve(graph, name, shape, 1, graph.random.choice(CHANNELS))
    return {made[0]: made[1]} if made else None


def depthwise(graph, name, shape):
    made = len(shape) == 4 and convolve(graph, name, shape, shape[1], shape[1] * graph.random.choice([1, 1, 2, 3]))
    return activation(graph, *made) if made else None


def groups(graph, channels):
    return graph.random.choice([g for g in range(1, channels + 1) if channels % g == 0 and channels // g <= 70])


def grouped(graph, name, shape):
    if len(shape) != 4:
        return None
    group = groups(graph, shape[1])
    made = convolve(graph, name, shape, group, group * min(graph.random.randint(1, 70), max(1, 420 // group)))
    return (activation(graph, *made) if graph.chance(0.5) else {made[0]: made[1]}) if made else None


def residual(graph, name, shape):
    """A convolution in groups, added to its input or a value alike, and activated before or after."""
    made = len(shape) == 4 and convolve(graph, name, shape, groups(graph, shape[1]), shape[1], same=True)
    if not made:
        return None
    inner = next(iter(activation(graph, *made))) if graph.chance(0.3) else made[0]
    other = graph.alike(lambda other: other == shape) if graph.chance(0.3) else name
    parts = [inner, other]
    graph.random.shuffle(parts)
    return activation(graph, graph.add("Add", *parts), shape)


def conv_transpose(graph, name, shape):
    if len(shape) != 4:
        return None
    out, kernel, stride = map(graph.random.choice, (CHANNELS[:12], [1, 2, 3], [1, 2]))
    weights = graph.weights(shape[1] * kernel, shape[1], out, kernel, kernel)
    made = graph.add("ConvTranspose", name, weights, strides=[stride] * 2, kernel_shape=[kernel] * 2)
    return {made: (1, out, *((size - 1) * stride + kernel for size in shape[2:]))}


def shuffle(graph, name, shape):
    """Channels of groups in turn, as ShuffleNet does it."""
    fitting = [g for g in range(2, 11) if len(shape) == 4 and shape[1] % g == 0]
    if not fitting:
        return None
    group = graph.random.choice(fitting)
    apart = graph.add("Reshape", name, graph.whole(0, group, shape[1] // group, *shape[2:]))
    turned = graph.add("Transpose", apart, perm=[0, 2, 1, 3, 4])
    return {graph.add("Reshape", turned, graph.whole(0, *shape[1:])): shape}


def split(graph, name, shape):
    axis = 1 if graph.chance(0.6) else axis_of(graph, shape)
    if shape[axis] < 2:
        return None
    first = graph.random.choice([shape[axis] // 2, graph.random.randint(1, shape[axis] - 1)])
    sizes = [first, shape[axis] - first]
    made = graph.add("Split", name, graph.whole(*sizes), axis=axis, outputs=2)
    return {part: with_axis(shape, axis, size) for part, size in zip(made, sizes)}


def slice_(graph, name, shape):
    axis = 1 if graph.chance(0.6) else axis_of(graph, shape)
    if shape[axis] < 2:
        return None
    begin, step = graph.random.randrange(shape[axis] - 1), graph.random.choice([1, 1, 2, 3])
    end = graph.random.randint(begin + 1, shape[axis])
    if graph.chance(0.15):
        begin, end, step = shape[axis] - 1, -shape[axis] - 1, -1
    size = shape[axis] if step < 0 else len(range(begin, end, step))
    return {graph.add("Slice", name, *map(graph.whole, (begin, end, axis, step))): with_axis(shape, axis, size)}


def concat(graph, name, shape):
    axis = 1 if graph.chance(0.6) else axis_of(graph, shape)

    def fits(other):
        return len(other) == len(shape) and with_axis(other, axis, 0) == with_axis(shape, axis, 0)

    parts = [name] + [graph.alike(fits) for _ in range(graph.random.randint(1, 3))]
    graph.random.shuffle(parts)
    return {graph.add("Concat", *parts, axis=axis): with_axis(shape, axis, sum(graph.values[p][axis] for p in parts))}


def gather(graph, name, shape):
    axis = axis_of(graph, shape)
    indices = [graph.random.randrange(shape[axis]) for _ in range(graph.random.randint(1, 5))]
    if graph.chance(0.3):
        chosen = graph.constant(np.int64(indices[0]))
        return {graph.add("Gather", name, chosen, axis=axis): shape[:axis] + shape[axis + 1:]}
    return {graph.add("Gather", name, graph.whole(*indices), axis=axis): with_axis(shape, axis, len(indices))}


def transpose(graph, name, shape):
    order = list(range(1, len(shape)))
    graph.random.shuffle(order)
    return {graph.add("Transpose", name, perm=[0, *order]): (1, *(shape[i] for i in order))}


def reshape(graph, name, shape):
    rest, sizes = int(np.prod(shape[1:])), []
    for _ in range(graph.random.randint(0, 3)):
        sizes.append(graph.random.choice([d for d in range(1, rest + 1) if rest % d == 0]))
        rest //= sizes[-1]
    return {graph.add("Reshape", name, graph.whole(0, *sizes, rest)): (1, *sizes, rest)}


def flatten(graph, name, shape):
    return {graph.add("Flatten", name, axis=1): (1, int(np.prod(shape[1:])))}


def squeeze(graph, name, shape):
    ones = [i for i in range(1, len(shape)) if shape[i] == 1]
    if ones and len(shape) > 2:
        axis = graph.random.choice(ones)
        return {graph.add("Squeeze", name, graph.whole(axis)): shape[:axis] + shape[axis + 1:]}
    axis = graph.random.randint(1, len(shape))
    return {graph.add("Unsqueeze", name, graph.whole(axis)): (*shape[:axis], 1, *shape[axis:])}


def expand(graph, name, shape):
    wanted = (1, *(graph.random.choice([1, 2, 3]) if size == 1 else size for size in shape[1:]))
    return {graph.add("Expand", name, graph.whole(*wanted)): wanted}


def tile(graph, name, shape):
    times = [1] + [graph.random.choice([1, 1, 2]) for _ in shape[1:]]
    return {graph.add("Tile", name, graph.whole(*times)): tuple(s * t for s, t in zip(shape, times))}


def pad(graph, name, shape):
    before, after = ([0] + [graph.random.choice([0, 0, 1, 2]) for _ in shape[1:]] for _ in range(2))
    made = graph.add("Pad", name, graph.whole(*before, *after), mode=graph.random.choice(["constant", "edge"]))
    return {made: tuple(map(sum, zip(before, shape, after)))}


def pool(graph, name, shape):
    if len(shape) != 4:
        return None
    kernel, stride, pads = graph.random.choice([2, 3]), graph.random.choice([1, 2]), graph.random.choice([0, 1])
    operator, rest = graph.random.choice(["MaxPool", "AveragePool"]), {}
    if operator == "AveragePool":
        rest["count_include_pad"] = graph.random.choice([0, 1])
    sizes = [window(size, 2 * pads, kernel, stride) for size in shape[2:]]
    if min(sizes) < 1:
        return None
    # Rounded up where that is the same: what a window beyond the end means differs from one version to the next.
    if all((size + 2 * pads - kernel) % stride == 0 for size in shape[2:]):
        rest["ceil_mode"] = graph.random.choice([0, 1])
    made = graph.add(operator, name, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pads] * 4, **rest)
    return {made: (*shape[:2], *sizes)}


def global_pool(graph, name, shape):
    operator = graph.random.choice(["GlobalAveragePool", "GlobalMaxPool"])
    return {graph.add(operator, name): (*shape[:2], 1, 1)} if len(shape) == 4 else None


def reduce(graph, name, shape):
    axes = sorted(graph.random.sample(range(1, len(shape)), graph.random.randint(1, len(shape) - 1)))
    keep = graph.random.choice([0, 1])
    operator = graph.random.choice(["ReduceMean", "ReduceMax", "ReduceMin"])
    left = tuple(1 if i in axes else size for i, size in enumerate(shape) if keep or i not in axes)
    return {graph.add(operator, name, axes=axes, keepdims=keep): left}


def softmax(graph, name, shape):
    return {graph.add("Softmax", name, axis=axis_of(graph, shape)): shape}


def layer_norm(graph, name, shape):
    axis = axis_of(graph, shape)
    weights = graph.floats(*shape[axis:]), graph.floats(*shape[axis:])
    return {graph.add("LayerNormalization", name, *weights, axis=axis, epsilon=EPSILON): shape}


def instance_norm(graph, name, shape):
    if len(shape) < 3:
        return None
    weights = graph.floats(shape[1]), graph.floats(shape[1])
    return {graph.add("InstanceNormalization", name, *weights, epsilon=EPSILON): shape}


def batch_norm(graph, name, shape):
    weights = [graph.floats(shape[1]) for _ in range(3)] + [graph.floats(shape[1], least=0.5)]
    return {graph.add("BatchNormalization", name, *weights): shape}


def binary(graph, name, shape):
    def fits(other):
        # Shorter shapes would meet the batch in the middle.
        return len(other) == len(shape) and all(a == b or 1 in (a, b) for a, b in zip(shape, other))

    parts = [name, graph.alike(fits)]
    graph.random.shuffle(parts)
    together = np.broadcast_shapes(*map(graph.values.get, parts))
    return {graph.add(graph.random.choice(["Add", "Mul", "Sub", "Min", "Max"]), *parts): together}


def binary_constant(graph, name, shape):
    other = graph.floats(*(size if i and graph.chance(0.5) else 1 for i, size in enumerate(shape)), least=0.5)
    if graph.chance(0.3):
        return {graph.add(graph.random.choice(["Add", "Mul", "Sub"]), other, name): shape}
    return {graph.add(graph.random.choice(["Add", "Mul", "Sub", "Div", "PRelu"]), name, other): shape}


def cumsum(graph, name, shape):
    axis = graph.constant(np.int64(axis_of(graph, shape)))
    ways = {"reverse": graph.random.choice([0, 1]), "exclusive": graph.random.choice([0, 1])}
    return {graph.add("CumSum", name, axis, **ways): shape}


def where(graph, name, shape):
    mask = graph.constant(graph.numbers.random((1, *shape[1:])) < 0.5)
    return {graph.add("Where", mask, name, graph.constant(np.float32(-1))): shape}


def resize(graph, name, shape):
    if len(shape) != 4:
        return None
    scales = graph.constant(np.float32([1, 1, 2, 2]))
    ways = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    made = graph.add("Resize", name, "", scales, mode=graph.random.choice(["nearest", "linear"]), **ways)
    return {made: (*shape[:2], 2 * shape[2], 2 * shape[3])}


def gemm(graph, name, shape):
    if len(shape) != 2:
        return None
    out, turned = graph.random.choice(CHANNELS), graph.random.choice([0, 1])
    weights = graph.weights(shape[1], *((out, shape[1]) if turned else (shape[1], out)))
    factors = {"alpha": graph.random.choice([1.0, 0.5]), "beta": graph.random.choice([1.0, 2.0])}
    return {graph.add("Gemm", name, weights, graph.floats(out), transB=turned, **factors): (1, out)}


def matmul(graph, name, shape):
    other = graph.alike(lambda other: len(other) == len(shape) > 2 and other[:-1] == (*shape[:-2], shape[-1]))
    if other and graph.chance(0.7):
        return {graph.add("MatMul", name, other): (*shape[:-1], graph.values[other][-1])}
    out = graph.random.choice(CHANNELS)
    return {graph.add("MatMul", name, graph.weights(shape[-1], shape[-1], out)): (*shape[:-1], out)}


def attention(graph, name, shape):
    """Several heads of a text of as many words as the last dimension, some of them hidden by Where."""
    if len(shape) not in (3, 4) or shape[-1] > 40:
        return None
    words, wide = shape[-1], int(np.prod(shape[1:-1]))
    heads, each = graph.random.choice([1, 2, 3, 4]), graph.random.choice([1, 4, 8, 16, 20, 32])
    flat = graph.add("Reshape", name, graph.whole(0, wide, words))
    text = graph.add("Transpose", flat, perm=[0, 2, 1])

    def projected(order):
        made = graph.add("MatMul", text, graph.weights(wide, wide, heads * each))
        return graph.add("Transpose", graph.add("Reshape", made, graph.whole(0, words, heads, each)), perm=order)

    scores = graph.add("MatMul", projected([0, 2, 1, 3]), projected([0, 2, 3, 1]))
    # Large scores too: what hides a word must swallow them.
    scale = graph.random.choice([1, 1, 40]) * each**-0.5
    scores = graph.add("Mul", scores, graph.constant(np.float32(scale)))
    if graph.chance(0.7):
        # Few seen: rows of which no word is.
        seen, rows = graph.random.choice([0.2, 0.7]), graph.random.choice([1, words])
        mask = graph.constant(graph.numbers.random((1, 1, rows, words)) < seen)
        hidden = graph.constant(np.float32(graph.random.choice([-1e4, -1e9, np.finfo(np.float32).min])))
        scores = graph.add("Where", mask, scores, hidden)
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), projected([0, 2, 1, 3]))
    together = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    return {graph.add("Reshape", together, graph.whole(0, words, heads * each)): (1, words, heads * each)}


# By name: the function, and how often it is drawn.
OPERATORS = {
    "grouped": (grouped, 10), "residual": (residual, 7), "shuffle": (shuffle, 5), "split": (split, 5),
    "slice": (slice_, 5), "concat": (concat, 6), "activation": (activation, 5), "conv": (conv, 4),
    "depthwise": (depthwise, 3), "conv_transpose": (conv_transpose, 1), "pool": (pool, 2),
    "global_pool": (global_pool, 1), "attention": (attention, 3), "matmul": (matmul, 2), "gemm": (gemm, 1),
    "binary": (binary, 4), "binary_constant": (binary_constant, 2), "batch_norm": (batch_norm, 1),
    "layer_norm": (layer_norm, 1), "instance_norm": (instance_norm, 1), "softmax": (softmax, 1),
    "reduce": (reduce, 1), "gather": (gather, 2), "transpose": (transpose, 2), "reshape": (reshape, 2),
    "flatten": (flatten, 1), "squeeze": (squeeze, 1), "expand": (expand, 1), "tile": (tile, 1), "pad": (pad, 1),
    "resize": (resize, 1), "cumsum": (cumsum, 1), "where": (where, 1),
}


def grown(seed, only):
    """A graph of the operators that are named, and its outputs; none if no operator fits."""
    graph = Graph(seed)
    weights = [OPERATORS[name][1] for name in only]
    for _ in range(graph.random.randint(3, 9)):
        name = list(graph.values)[-1] if graph.chance(0.5) else graph.random.choice(list(graph.values))
        function = OPERATORS[graph.random.choices(only, weights)[0]][0]
        before = len(graph.nodes), len(graph.constants)
        made = function(graph, name, graph.values[name])
        if made and all(2 <= len(s) <= MOST_DIMENSIONS and np.prod(s) <= MOST_ELEMENTS for s in made.values()):
            graph.values |= {new: tuple(map(int, shape)) for new, shape in made.items()}
        else:
            del graph.nodes[before[0]:]
            graph.constants = dict(list(graph.constants.items())[: before[1]])
    return graph, graph.outputs()
