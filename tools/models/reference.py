"""Writes the reference outputs of the demo's models, as ONNX Runtime computes them.

usage: reference.py

Writes ../demo/reference/: manifest.json, an .npy file (float32) for each output, and the
pictures and lines that serve as inputs, already cropped and scaled, so that a test needs
neither. README.md says what the manifest's fields mean. Prints how far ONNX Runtime is
from itself with its optimisations off, which is the noise below any comparison.
"""

import json

import numpy as np
from PIL import Image

import graphs
import pre_processing as pre
import random_weights

FOLDER = pre.DEMO / "reference"
TILE = 32
# Where each graph is cut: the tensor before its last Softmax.
OUTPUTS = {
    "light_squeezenet.onnx": "r65",
    "light_resnet50.onnx": "r174",
    "efficientnet_lite0.onnx": "logits",
    "ppocr_v4_rec.onnx": "p2o.Add.277",
}
# Of the graphs that have no weights of their own; other cases use other seeds.
WEIGHTS_SEED = 1
# Keep only every so many elements of a text line's scores (1x40x6625 at width 320); it
# shares no factor with 6625, so every step is sampled, and each at other classes.
LINE_STRIDE = 97


def seeded_input(seed, name, shape):
    """Half tiles of 32x32 pixels of one value each, half noise."""
    tiles = [shape[0], shape[1], -(-shape[2] // TILE), -(-shape[3] // TILE)]
    coarse = random_weights.uniform(seed, name + ":tiles", tiles)
    coarse = coarse.repeat(TILE, 2).repeat(TILE, 3)[:, :, : shape[2], : shape[3]]
    noise = random_weights.uniform(seed, name + ":noise", shape)
    return np.float32(0.5) * coarse + np.float32(0.5) * noise


def cases():
    """Yields (model, seed of its weights, name of the case, account of the input, tensor)."""
    for short in ("squeezenet", "resnet50"):
        model = f"light_{short}.onnx"
        shape = graphs.INPUTS[model][1]
        for seed in (1, 2):
            yield model, WEIGHTS_SEED, *seeded_case(model, short, shape, seed)
        yield model, 2, *seeded_case(model, f"{short}-weights2", shape, 3)
        yield model, WEIGHTS_SEED, *picture_case(short, "goldfish")
    yield "efficientnet_lite0.onnx", None, *seeded_case(
        "efficientnet_lite0.onnx", "efficientnet", [1, 3, 224, 224], 1
    )
    for name in ("cat", "goldfish"):
        yield "efficientnet_lite0.onnx", None, *picture_case("efficientnet", name)
    model = "ppocr_v4_rec.onnx"
    for width in pre.LINE_WIDTHS:
        yield model, None, *seeded_case(model, f"ppocr-{width}", [1, 3, 48, width], 1)
    for name in ("title", "ref", "promise"):
        yield model, None, *line_case(name)


def seeded_case(model, short, shape, seed):
    tensor = seeded_input(seed, graphs.INPUTS[model][0], shape)
    return f"{short}-seed{seed}", {"rule": "seeded", "seed": seed}, tensor


def picture_case(short, name):
    image = pre.crop_picture(Image.open(pre.DEMO / "inputs" / f"{name}.png"))
    account = {"rule": "picture", "file": f"picture-{name}.png"}
    image.save(FOLDER / account["file"], optimize=True)
    return f"{short}-{name}", account, pre.picture_tensor(image)


def line_case(name):
    image = Image.open(pre.DEMO / "inputs" / f"line-{name}.png")
    variant = pre.line_variant(image.size)
    image = pre.scale_line(image, variant)
    account = {"rule": "line", "file": f"line-{name}.png"}
    image.save(FOLDER / account["file"], optimize=True)
    return f"ppocr-{name}", account, pre.line_tensor(image, variant)


def prepare(model, seed):
    """The graph, with random weights where it has none of its own, cut before Softmax."""
    graph = graphs.load(model)
    if seed is not None:
        random_weights.randomise(graph, seed)
    graphs.cut(graph, [OUTPUTS[model]])
    return graphs.session(graph), graphs.session(graph, optimise=False)


def main():
    FOLDER.mkdir(exist_ok=True)
    prepared, manifest, last = {}, [], {}
    for model, seed, case, account, tensor in cases():
        if (model, seed) not in prepared:
            prepared[model, seed] = prepare(model, seed)
        session, plain = prepared[model, seed]
        name = graphs.INPUTS[model][0]
        (scores,) = session.run(None, {name: tensor})
        (other,) = plain.run(None, {name: tensor})
        stride = LINE_STRIDE if model.startswith("ppocr") else 1
        np.save(FOLDER / f"{case}.npy", scores.ravel()[::stride])
        largest = float(np.abs(scores).max())
        manifest.append({
            "case": case,
            "model": model,
            "weights_seed": seed,
            "input": {"name": name, "shape": list(tensor.shape)} | account,
            "output": {"name": OUTPUTS[model], "shape": list(scores.shape)},
            "file": f"{case}.npy",
            "stride": stride,
            "max_abs": largest,
        })  # fmt: skip
        noise = float(np.abs(scores - other).max()) / largest
        print(f"{case:22} max {largest:9.4g}  std {scores.std():9.4g}", end="")
        print(f"  own noise {noise:.1e}", end="")
        if last.get(model) is not None and last[model].shape == scores.shape:
            step = float(np.abs(scores - last[model]).max()) / largest
            print(f"  from the case before {step:.2f}", end="")
        print()
        last[model] = scores
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
