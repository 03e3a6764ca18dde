"""Writes an encoder of BERT base's size with seeded weights, in the form in which PyTorch exports it.

usage: bert.py OUT.onnx [SEED] [--layer-norm]

Inputs `input_ids`, `attention_mask` and `token_type_ids`, int64 [N, 128]; outputs
`last_hidden_state` [N, 128, 768] and `pooler_output` [N, 768]. Opset 13 with layer
normalisation spelled out; with --layer-norm opset 17 and `LayerNormalization`.
Weights are uniform with the bound of `random_weights.bound_of`, 440 MB inside the file.
"""

import math
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import random_weights

LAYERS, WIDTH, HEADS, INNER, TOKENS = 12, 768, 12, 3072, 128
WORDS, TYPES, PLACES = 30522, 2, 512


class Builder:
    def __init__(self, seed, layer_norm):
        self.seed, self.has_layer_norm = seed, layer_norm
        self.nodes, self.constants = [], {}

    def constant(self, name, array):
        self.constants.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def number(self, value):
        return self.constant(f"number {value:.9g}", np.array(value, np.float32))

    def whole(self, *values):
        array = np.array(values, np.int64)
        return self.constant(f"whole {values}", array)

    def weights(self, name, shape, bound=None):
        bound = random_weights.bound_of(shape[0]) if bound is None else bound
        return self.constant(name, random_weights.uniform(self.seed, name, shape, bound))

    def node(self, operator, *inputs, **attributes):
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def mean(self, x):
        return self.node("ReduceMean", x, axes=[-1], keepdims=1)

    def layer_norm(self, name, x):
        near_one = random_weights.uniform(self.seed, name + ".weight", [WIDTH], 0.1)
        gamma = self.constant(name + ".weight", near_one + np.float32(1))
        beta = self.weights(name + ".bias", [WIDTH], 0.1)
        if self.has_layer_norm:
            return self.node("LayerNormalization", x, gamma, beta, axis=-1, epsilon=1e-12)
        centred = self.node("Sub", x, self.mean(x))
        square = self.node("Pow", centred, self.number(2))
        variance = self.node("Add", self.mean(square), self.number(1e-12))
        normal = self.node("Div", centred, self.node("Sqrt", variance))
        return self.node("Add", self.node("Mul", normal, gamma), beta)

    def linear(self, name, x, inner, outer):
        weights = self.weights(name + ".weight", [inner, outer])
        bias = self.weights(name + ".bias", [outer], 0.1)
        return self.node("Add", bias, self.node("MatMul", x, weights))

    def size(self, x, axis):
        index = self.constant(f"index {axis}", np.array(axis, np.int64))
        size = self.node("Gather", self.node("Shape", x), index, axis=0)
        return self.node("Unsqueeze", size, self.whole(0))

    def reshaped(self, x, *ends):
        parts = [self.size(x, 0), self.size(x, 1), *(self.whole(end) for end in ends)]
        return self.node("Reshape", x, self.node("Concat", *parts, axis=0))

    def heads(self, x, perm):
        return self.node("Transpose", self.reshaped(x, HEADS, WIDTH // HEADS), perm=perm)

    def attention(self, name, x, mask):
        q = self.linear(name + ".self.query", x, WIDTH, WIDTH)
        k = self.linear(name + ".self.key", x, WIDTH, WIDTH)
        v = self.linear(name + ".self.value", x, WIDTH, WIDTH)
        q, v = self.heads(q, [0, 2, 1, 3]), self.heads(v, [0, 2, 1, 3])
        scores = self.node("MatMul", q, self.heads(k, [0, 2, 3, 1]))
        scores = self.node("Div", scores, self.number(math.sqrt(WIDTH / HEADS)))
        shares = self.node("Softmax", self.node("Add", scores, mask), axis=3)
        context = self.node("Transpose", self.node("MatMul", shares, v), perm=[0, 2, 1, 3])
        out = self.linear(name + ".output.dense", self.reshaped(context, WIDTH), WIDTH, WIDTH)
        return self.layer_norm(name + ".output.LayerNorm", self.node("Add", out, x))

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.number(math.sqrt(2))))
        product = self.node("Mul", x, self.node("Add", erf, self.number(1)))
        return self.node("Mul", product, self.number(0.5))

    def layer(self, name, x, mask):
        x = self.attention(name + ".attention", x, mask)
        inner = self.gelu(self.linear(name + ".intermediate.dense", x, WIDTH, INNER))
        out = self.linear(name + ".output.dense", inner, INNER, WIDTH)
        return self.layer_norm(name + ".output.LayerNorm", self.node("Add", out, x))

    def embeddings(self):
        name = "embeddings."
        words = self.weights(name + "word_embeddings.weight", [WORDS, WIDTH], 1)
        types = self.weights(name + "token_type_embeddings.weight", [TYPES, WIDTH], 1)
        places = self.weights(name + "position_embeddings.weight", [PLACES, WIDTH], 1)
        x = self.node("Gather", words, "input_ids")
        x = self.node("Add", x, self.node("Gather", types, "token_type_ids"))
        ids = self.constant("position_ids", np.arange(TOKENS, dtype=np.int64)[None])
        x = self.node("Add", x, self.node("Gather", places, ids))
        return self.layer_norm(name + "LayerNorm", x)

    def mask(self):
        mask = self.node("Unsqueeze", "attention_mask", self.whole(1))
        mask = self.node("Unsqueeze", mask, self.whole(2))
        hidden = self.node("Sub", self.number(1), self.node("Cast", mask, to=TensorProto.FLOAT))
        return self.node("Mul", hidden, self.number(-10000))

    def pooler(self, x):
        index = self.constant("index 0", np.array(0, np.int64))
        first = self.node("Gather", x, index, axis=1)
        weights = self.weights("pooler.dense.weight", [WIDTH, WIDTH])
        bias = self.weights("pooler.dense.bias", [WIDTH], 0.1)
        return self.node("Tanh", self.node("Gemm", first, weights, bias))


def build(seed, layer_norm):
    b = Builder(seed, layer_norm)
    mask, x = b.mask(), b.embeddings()
    for layer in range(LAYERS):
        x = b.layer(f"encoder.layer.{layer}", x, mask)
    pooled = b.pooler(x)
    for value, name in ((x, "last_hidden_state"), (pooled, "pooler_output")):
        b.nodes.append(helper.make_node("Identity", [value], [name], name))

    def info(name, kind, *dims):
        return helper.make_tensor_value_info(name, kind, ["N", *dims])

    inputs = ("input_ids", "attention_mask", "token_type_ids")
    graph = helper.make_graph(
        b.nodes,
        "bert",
        [info(name, TensorProto.INT64, TOKENS) for name in inputs],
        [
            info("last_hidden_state", TensorProto.FLOAT, TOKENS, WIDTH),
            info("pooler_output", TensorProto.FLOAT, WIDTH),
        ],
        list(b.constants.values()),
    )
    opset = helper.make_opsetid("", 17 if layer_norm else 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model)
    return model


def main():
    arguments = [a for a in sys.argv[1:] if a != "--layer-norm"]
    if len(arguments) not in (1, 2):
        sys.exit(__doc__)
    seed = int(arguments[1]) if len(arguments) == 2 else 1
    onnx.save(build(seed, "--layer-norm" in sys.argv), arguments[0])


if __name__ == "__main__":
    main()
