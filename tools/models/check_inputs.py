"""Runs the trained models on the demo's inputs and compares with their true content.

usage: check_inputs.py      (exits 1 if anything is read or classified wrongly)
"""

import sys

import numpy as np
from PIL import Image

import graphs
import pre_processing as pre


def pictures():
    session = graphs.session(graphs.load("efficientnet_lite0.onnx"))
    labels = (pre.DEMO / "inputs" / "imagenet_labels.txt").read_text().splitlines()
    assert len(labels) == 1000
    for entry in pre.inputs("picture"):
        image = Image.open(pre.DEMO / "inputs" / entry["file"])
        tensor = pre.picture_tensor(pre.crop_picture(image))
        (logits,) = session.run(None, {"images": tensor})[0]
        share = np.exp(logits - logits.max())
        best = int(logits.argmax())
        accepted = [c["class"] for c in entry["truth"]]
        assert all(labels[c["class"]] == c["label"] for c in entry["truth"])
        said = f"{labels[best]} ({share[best] / share.sum():.2f})"
        yield best in accepted, entry["file"], image.size, said


def lines():
    model = graphs.load("ppocr_v4_rec.onnx")
    session, characters = graphs.session(model), pre.dictionary(model)
    keys = (pre.DEMO / "models" / "ppocr_v4_keys.txt").read_text().split("\n")
    assert ["", *keys[:-1], " "] == characters and len(characters) == 6625
    for entry in pre.inputs("line"):
        image = Image.open(pre.DEMO / "inputs" / entry["file"])
        variant = pre.line_variant(image.size)
        tensor = pre.line_tensor(pre.scale_line(image, variant), variant)
        (scores,) = session.run(None, {"x": tensor})[0]
        said = pre.ctc_greedy(scores, characters)
        least = np.min(scores.max(-1))
        note = f"{said}  [{pre.line_width(image.size)} of {variant}, least sure step {least:.2f}]"
        yield said == entry["truth"], entry["file"], image.size, note


def main():
    wrong = 0
    for right, name, size, said in [*pictures(), *lines()]:
        wrong += not right
        print(f"{'right' if right else 'WRONG'}  {name:22} {size[0]}x{size[1]}  {said}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
