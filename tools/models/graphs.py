"""What the scripts of this folder share about ONNX graphs."""

import pathlib

import onnx
import onnxruntime as ort

MODELS = pathlib.Path(__file__).parent.parent / "demo" / "models"
# The input's name and its shape at batch 1. The text model's width is the one by default.
INPUTS = {
    "light_squeezenet.onnx": ("data_0", [1, 3, 224, 224]),
    "light_resnet50.onnx": ("gpu_0/data_0", [1, 3, 224, 224]),
    "efficientnet_lite0.onnx": ("images", [1, 3, 224, 224]),
    "ppocr_v4_rec.onnx": ("x", [1, 3, 48, 320]),
}


def load(name):
    return onnx.load(MODELS / name)


def set_shape(value, shape):
    """Fixes a value's dimensions; `None` leaves one free."""
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for size in shape:
        dim = dims.add()
        if size is not None:
            dim.dim_value = size


def cut(model, outputs):
    """Makes the named tensors (float32) the model's outputs; the runtime drops dead nodes."""
    del model.graph.output[:]
    for name in outputs:
        value = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        model.graph.output.append(value)


def session(model, optimise=True):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if not optimise:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
