"""Makes the models that `compare_models.py` compares, all with weights: trained ones, or seeded ones of He's scale.

usage: architectures.py FOLDER WHEEL... [--only NAME,...]

The wheels are those of onnx 1.17.0, rapidocr_onnxruntime 1.4.4 and ddddocr (`pip download --no-deps`).
"""

import argparse
import pathlib
import zipfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import graphs
import random_weights

SEED = 1
LIGHT = "onnx/backend/test/data/light/light_"
LIGHTS = ["bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet",
          "vgg19", "zfnet512"]
# Models that wheels carry, with weights: (file within the wheel, shapes of open inputs).
CARRIED = {
    "ppocr_v4_rec": ("rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx", {"x": [1, 3, 48, 320]}),
    "ppocr_v4_det": ("rapidocr_onnxruntime/models/ch_PP-OCRv4_det_infer.onnx", {"x": [1, 3, 320, 320]}),
    "ppocr_v2_cls": ("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": [1, 3, 48, 192]}),
    "ddddocr_det": ("ddddocr/common_det.onnx", {}),
    "ddddocr_common": ("ddddocr/common.onnx", {"input1": [1, 1, 64, 160]}),
    "ddddocr_old": ("ddddocr/common_old.onnx", {"input1": [1, 1, 64, 160]}),
}
NAMES = [*LIGHTS, "mobilenet_v2", "efficientnet_lite0", *CARRIED, "bert"]


def read(wheels, path):
    """The file of that path in whichever wheel holds it."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            if path in archive.namelist():
                return archive.read(path)
    raise FileNotFoundError(f"none of the wheels holds {path}")


def scales_and_shifts(model, seed):
    """Other constants that are all alike: factors become numbers near 1, summands small ones."""
    graph = model.graph
    shapes = random_weights.trained_constants(graph)
    # A constant may pass an Unsqueeze on its way.
    behind = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Unsqueeze"}
    made = {n.output[0] for n in graph.node if n.op_type == "ConstantOfShape"}
    new = {}
    for node in graph.node:
        for name in node.input if node.op_type in ("Mul", "Add") else []:
            name = behind.get(name, name)
            if name in made and name in shapes:
                values = random_weights.uniform(seed, name, shapes[name], 0.25)
                new[name] = values + np.float32(node.op_type == "Mul")
    nodes = [node for node in graph.node if node.output[0] not in new]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in new.items())
    return model


class MobileNetV2:
    """Sandler et al. 2018: inverted residuals of depthwise convolutions; width 1, 224x224."""

    BLOCKS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]

    def __init__(self, seed):
        self.seed, self.nodes, self.constants = seed, [], []
        self.channels = 3
        for name, value in (("zero", 0.0), ("six", 6.0)):
            self.constants.append(numpy_helper.from_array(np.float32(value), name))

    def constant(self, name, values):
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def node(self, operator, inputs, name, **attributes):
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def conv(self, x, name, channels, kernel, stride=1, groups=1, clipped=True):
        shape = [channels, self.channels // groups, kernel, kernel]
        bound = random_weights.bound_of(np.prod(shape[1:]))
        weights = self.constant(name + ".weight", random_weights.uniform(self.seed, name + ".weight", shape, bound))
        pad = kernel // 2
        y = self.node("Conv", [x, weights], name, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                      pads=[pad] * 4, group=groups)
        self.channels = channels
        parts = [("gamma", 0.25, 1.0), ("beta", 0.1, 0.0), ("mean", 0.1, 0.0), ("variance", 0.25, 1.0)]
        norm = [self.constant(f"{name}.{part}", random_weights.uniform(self.seed, f"{name}.{part}", [channels], bound)
                              + np.float32(middle)) for part, bound, middle in parts]
        y = self.node("BatchNormalization", [y, *norm], name + ".norm", epsilon=1e-5)
        return self.node("Clip", [y, "zero", "six"], name + ".relu6") if clipped else y

    def block(self, x, name, factor, channels, stride):
        entered, y = self.channels, x
        if factor != 1:
            y = self.conv(y, name + ".expand", entered * factor, 1)
        y = self.conv(y, name + ".depthwise", self.channels, 3, stride, groups=self.channels)
        y = self.conv(y, name + ".project", channels, 1, clipped=False)
        if stride == 1 and entered == channels:
            y = self.node("Add", [x, y], name + ".sum")
        return y

    def build(self):
        x = self.conv("input", "first", 32, 3, 2)
        for i, (factor, channels, count, stride) in enumerate(self.BLOCKS):
            for k in range(count):
                x = self.block(x, f"block{i}.{k}", factor, channels, stride if k == 0 else 1)
        x = self.conv(x, "last", 1280, 1)
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x], "pooled")], "flat", axis=1)
        weights = random_weights.uniform(self.seed, "classes", [1000, 1280], random_weights.bound_of(1280))
        self.node("Gemm", [x, self.constant("classes", weights)], "logits", transB=1)
        info = helper.make_tensor_value_info
        graph = helper.make_graph(self.nodes, "mobilenet_v2", [info("input", TensorProto.FLOAT, ["N", 3, 224, 224])],
                                  [info("logits", TensorProto.FLOAT, ["N", 1000])], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def make(name, wheels):
    """The model, and the shapes of its open inputs."""
    if name in LIGHTS:
        model = random_weights.randomise(onnx.load_from_string(read(wheels, f"{LIGHT}{name}.onnx")), SEED)
        return scales_and_shifts(model, SEED), {}
    if name in CARRIED:
        path, shapes = CARRIED[name]
        return onnx.load_from_string(read(wheels, path)), shapes
    if name == "mobilenet_v2":
        return MobileNetV2(SEED).build(), {}
    if name == "efficientnet_lite0":
        return graphs.load("efficientnet_lite0.onnx"), {}
    import bert  # It takes a while, and 440 MB.

    return bert.build(SEED, False), {}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("wheels", nargs="+")
    parser.add_argument("--only", help="names, with commas between: " + ", ".join(NAMES))
    arguments = parser.parse_args()
    for name in arguments.only.split(",") if arguments.only else NAMES:
        onnx.save(make(name, arguments.wheels)[0], arguments.folder / f"{name}.onnx")
        print(name, flush=True)


if __name__ == "__main__":
    main()
