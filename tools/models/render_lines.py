"""Renders the demo's text lines: uneven ground, slight rotation, blur and noise.

usage: render_lines.py OUTPUT_FOLDER

Debian's fonts are named below; the noise comes from the seeded numbers of this folder.
Prints each line's entry for inputs.json.
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

import random_weights

FONTS = "/usr/share/fonts/truetype/"
SANS, SANS_BOLD = "dejavu/DejaVuSans.ttf", "liberation/LiberationSans-Bold.ttf"
MONO, MONO_BOLD = "liberation/LiberationMono-Regular.ttf", "dejavu/DejaVuSansMono-Bold.ttf"
SERIF, ITALIC = "dejavu/DejaVuSerif.ttf", "liberation/LiberationSerif-Italic.ttf"
HEI = "wqy/wqy-microhei.ttc"
# (file, text, font, size, ink, ground, rotation in degrees, blur, noise)
LINES = [
    ("line-title.png", "Clockwork", SANS, 40, "#202830", "#f2efe6", 0.6, 0.6, 10),
    ("line-deadline.png", "a deadline of 100 ms", ITALIC, 52, "#10204a", "#ece6d2", -0.8, 0.7, 12),
    ("line-ref.png", "Ref. 48-1073-B", MONO, 34, "#303030", "#ffffff", 0.5, 0.5, 14),
    ("line-total.jpg", "Total: $1,294.50", MONO_BOLD, 36, "#3a3a3a", "#f7f7f2", -0.7, 0.8, 16),
    ("line-platform.png", "PLATFORM 9 TO OSLO", SANS_BOLD, 44, "#f4f4f4", "#1c3f7a", 0.4, 0.6, 12),
    ("line-serial.png", "7F3A-9C0E-55D1", MONO_BOLD, 30, "#101010", "#c9d3c0", 0.9, 0.5, 12),
    ("line-beijing.png", "开往北京南站", HEI, 44, "#ffe9a0", "#4a2020", 0.5, 0.6, 10),
    ("line-promise.png", "Every promise about time is kept", SERIF, 32, "#222222", "#efe9dc",
     0.3, 0.6, 12),
    ("line-lane.png", "One thing at a time, first in, first out", ITALIC, 40, "#1e3320", "#e4efe0",
     -0.3, 0.6, 10),
    ("line-zh.png", "准时就是承诺，迟到的回答不算数", HEI, 36, "#252525", "#f5f1ea", 0.2, 0.5, 10),
]  # fmt: skip


def ground(name, size, colour):
    """A ground that is a little brighter at one end than at the other."""
    width, height = size
    base = np.array(Image.new("RGB", size, colour), np.float32)
    slope = random_weights.uniform(1, name + ":light", [2]) * 14
    x, y = np.linspace(-1, 1, width), np.linspace(-1, 1, height)
    return base + (slope[0] * x[None, :] + slope[1] * y[:, None])[:, :, None]


def render(name, text, font, size, ink, colour, angle, blur, noise):
    face = ImageFont.truetype(FONTS + font, size, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = face.getbbox(text)
    side, edge = size // 8, size // 4
    box = (right - left + 2 * side, bottom - top + 2 * edge)
    mask = Image.new("L", box)
    ImageDraw.Draw(mask).text((side - left, edge - top), text, 255, font=face)
    mask = mask.rotate(angle, Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(blur))
    cover = np.asarray(mask, np.float32)[:, :, None] / 255
    inked = np.array(Image.new("RGB", box, ink), np.float32)
    pixels = ground(name, box, colour) * (1 - cover) + inked * cover
    pixels += random_weights.uniform(1, name + ":noise", pixels.shape) * noise
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    entries = []
    for name, text, *style in LINES:
        options = {"quality": 92} if name.endswith(".jpg") else {"optimize": True}
        render(name, text, *style).save(pathlib.Path(sys.argv[1]) / name, **options)
        source = f"rendered by tools/models/render_lines.py with {style[0]}"
        entry = {"file": name, "kind": "line", "truth": text, "source": source}
        entries.append(entry | {"licence": "Apache-2.0"})
    print(json.dumps(entries, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
