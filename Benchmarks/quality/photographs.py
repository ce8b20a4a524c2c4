"""Photographs without restrictions that some models see in training beside medical scans.

python photographs.py [FOLDER]

Writes grey 16-bit PNG files to FOLDER (by default data/photographs, where `data/splits/photographs.json`
expects them). The pictures come with the Python packages scikit-image and PyWavelets, which state that
they are in the public domain or CC0; none is copied into this repository. Edges and textures of many kinds
teach a network of super-resolution or denoising what ten heads do not.
"""

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pywt.data
from skimage import color, io

# Names of files of scikit-image 0.26 (`skimage.data` says where each is from).
PICTURES = [
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png", "coins.png",
    "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "retina.jpg", "rocket.jpg",
]  # fmt: skip
HALVED = {"retina.jpg"}  # finer than its lens


def grey(name: str) -> np.ndarray:
    """A picture of scikit-image, 0 to 1."""
    picture = io.imread(str(files("skimage.data") / name))
    values = color.rgb2gray(picture) if picture.ndim == 3 else picture / 255
    if name in HALVED:
        side = min(values.shape) // 2
        values = values[: 2 * side, : 2 * side].reshape(side, 2, side, 2).mean((1, 3))
    return values


def main() -> None:
    root = Path(__file__).resolve().parents[2]
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else root / "data/photographs"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {name.split(".")[0]: grey(name) for name in PICTURES}
    pictures["ascent"] = pywt.data.ascent() / 255
    for name, values in pictures.items():
        path = folder / f"{name}.png"
        io.imsave(path, np.round(values * 65535).astype(np.uint16), check_contrast=False)
    print(f"{len(pictures)} photographs in {folder}")


if __name__ == "__main__":
    main()
