"""What is done to a picture or a text line before a model, and to its output after.

README.md states the same rules in words.
"""

import json
import math
import pathlib

import numpy as np
from PIL import Image

DEMO = pathlib.Path(__file__).parent.parent / "demo"
SIDE, CROP = 224, 0.875
LINE_HEIGHT, LINE_WIDTHS = 48, (320, 480, 640)


def crop_picture(image):
    """The central square that EfficientNet-Lite0 looks at, as 224x224 RGB."""
    image = image.convert("RGB")
    width, height = image.size
    side = math.floor(min(width, height) * CROP + 0.5)
    left, top = (width - side) // 2, (height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def picture_tensor(image):
    """224x224 RGB -> 1x3x224x224, (x - 127) / 128."""
    pixels = np.asarray(image, np.float32)
    return ((pixels - np.float32(127)) / np.float32(128)).transpose(2, 0, 1)[None]


def line_width(size):
    """The width that a line of this size has at height 48."""
    return math.ceil(LINE_HEIGHT * size[0] / size[1])


def line_variant(size):
    """The narrowest input that the line fits; a longer line is squeezed into the widest."""
    return next((w for w in LINE_WIDTHS if line_width(size) <= w), LINE_WIDTHS[-1])


def scale_line(image, variant):
    image = image.convert("RGB")
    width = min(line_width(image.size), variant)
    return image.resize((width, LINE_HEIGHT), Image.Resampling.BILINEAR)


def line_tensor(image, variant):
    """Height 48, RGB -> 1x3x48xvariant in BGR order, (x / 255 - 0.5) / 0.5, zeros to the right."""
    pixels = np.asarray(image, np.float32)[:, :, ::-1].transpose(2, 0, 1)
    tensor = np.zeros((1, 3, LINE_HEIGHT, variant), np.float32)
    normal = (pixels / np.float32(255) - np.float32(0.5)) / np.float32(0.5)
    tensor[0, :, :, : normal.shape[2]] = normal
    return tensor


def dictionary(model):
    """Classes of the text model: blank, the dictionary's characters in order, space."""
    (characters,) = (p.value for p in model.metadata_props if p.key == "character")
    return ["", *characters.split("\n"), " "]


def ctc_greedy(scores, characters):
    """The likeliest class of each step; repeats merged, then blanks (class 0) dropped."""
    best = scores.argmax(-1)
    starts = np.concatenate(([True], best[1:] != best[:-1]))
    return "".join(characters[i] for i in best[starts & (best != 0)])


def inputs(kind):
    """The entries of that kind in the demo's list of inputs."""
    listed = json.loads((DEMO / "inputs" / "inputs.json").read_text())
    return [entry for entry in listed if entry["kind"] == kind]
