"""Makes the demo's pictures and its list of labels from the packages that carry them.

usage: demo_pictures.py GCOMPRIS_RCC_FOLDER TORCHVISION_META.py OUTPUT_FOLDER

The first is `usr/share/gcompris-qt/rcc` of Debian's gcompris-qt-data 3.1-2, the second
`torchvision/models/_meta.py` of torchvision 0.29.2. Pictures are scaled so that the
shorter side has 256 pixels at most. Prints each picture's entry for inputs.json.
"""

import ast
import io
import json
import pathlib
import sys

import skimage
from PIL import Image

import qt_resources

SHORTER_SIDE = 256
GCOMPRIS, SKIMAGE = "Debian gcompris-qt-data 3.1-2", "PyPI scikit-image 0.26.0"
COMMONS = "https://commons.wikimedia.org/wiki/File:"
# (file, classes, package, path in it, author, licence, original)
PICTURES = [
    ("cat.png", [281, 282], SKIMAGE, "chelsea.png", "Stefan van der Walt", "CC0-1.0", None),
    ("espresso.png", [967], SKIMAGE, "coffee.png", "Rachel Michetti", "CC0-1.0", None),
    ("tripod.png", [872], SKIMAGE, "camera.png", "Lav Varshney", "CC0-1.0", None),
    ("panda.jpg", [388], GCOMPRIS, "explore_world_animals/resource/animals/panda.webp",
     "Aaron Logan", "CC-BY-1.0", "Lightmatter_panda.jpg"),
    ("goldfish.png", [1], GCOMPRIS, "categorization/resource/images/fishes/fish25.webp",
     "Necrophorus", "public domain", "Goldfisch_1.jpg"),
    ("pan.jpg", [567], GCOMPRIS, "categorization/resource/images/others/pan.webp",
     "Suricata", "public domain", "Pfanne_(Gusseisen).jpg"),
    ("screwdriver.png", [784], GCOMPRIS, "categorization/resource/images/tools/screwDriver.webp",
     "Dmitry G", "public domain", "Screw_driver.jpg"),
]  # fmt: skip


def read(folder, package, path):
    if package == SKIMAGE:
        return (pathlib.Path(skimage.__file__).parent / "data" / path).read_bytes()
    entries = qt_resources.read(folder / (path.split("/")[0] + ".rcc"))
    return entries["/gcompris/src/activities/" + path]


def shrink(image):
    image = image.convert("RGB")
    scale = min(1, SHORTER_SIDE / min(image.size))
    size = [round(side * scale) for side in image.size]
    return image.resize(size, Image.Resampling.LANCZOS)


def labels(meta):
    """The 1000 names in the order of the classes, from the source as it is written."""
    for node in ast.parse(meta.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_IMAGENET_CATEGORIES":
            return ast.literal_eval(node.value)
    raise ValueError(f"{meta} has no list of categories")


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    folder, meta, output = map(pathlib.Path, sys.argv[1:])
    names, entries = labels(meta), []
    (output / "imagenet_labels.txt").write_text("".join(name + "\n" for name in names))
    for file, classes, package, path, author, licence, original in PICTURES:
        image = shrink(Image.open(io.BytesIO(read(folder, package, path))))
        options = {"quality": 92} if file.endswith(".jpg") else {"optimize": True}
        image.save(output / file, **options)
        truth = [{"class": c, "label": names[c]} for c in classes]
        source = f"{package}, {path}, by {author}, scaled"
        if original:
            source += f"; original {COMMONS}{original}"
        entry = {"file": file, "kind": "picture", "truth": truth, "source": source}
        entries.append(entry | {"licence": licence})
    print(json.dumps(entries, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
