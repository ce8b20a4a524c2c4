"""Photographs under free licences that some models see in training beside medical scans.

python photographs.py [FOLDER]
python photographs.py --more [FOLDER]

Writes grey 16-bit PNG files to FOLDER (by default data/photographs, where `data/splits/photographs.json`
and `photographs-more.json` expect them). The pictures come with the Python packages scikit-image and
PyWavelets, which state that they are in the public domain or CC0. `--more` adds two of scikit-learn
(CC BY 2.0) and those of the Debian packages lomiri-wallpapers-16.04 and -20.04 (CC0, CC BY 4.0,
CC BY-SA 3.0 and 4.0; their files `copyright` name the photographers). None is copied into this repository.
Edges and textures of many kinds teach a network of super-resolution or denoising what ten heads do not.
"""

import argparse
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

# Files of the wallpapers, and by how many of their pixels one of ours is averaged: no lens, no noise and
# no compression shows any more. Those sharp enough are there in two sizes.
WALLPAPERS = Path("/usr/share/backgrounds")
AVERAGED = {
    "Bridge_by_Sander_Klootwijk": (6,),
    "Dragonfly_by_Bolly": (3, 6),
    "Kleiber_by_Lukas_Baubkus": (8,),
    "Picture_0B_by_freespace": (2, 4),
    "Picture_1A_by_freespace": (1, 2),
    "Wine_by_Jakkub_Mede": (6,),
    "aitzgorri_by_Aitzol_Berasategi": (2, 4),
    "analogpattern_by_Peter_Nerlich": (4,),
    "free_by_Peter_Nerlich": (4,),
    "friends_by_Aitzol_Berasategi": (4,),
    "greentock_by_Peter_Nerlich": (4,),
    "life_by_Aitzol_Berasategi": (2, 4),
    "picosdeeuropa_by_Aitzol_Berasategi": (2, 4),
    "seeding_by_Clements_Engelhardt": (4, 8),
    "sunset_by_Aitzol_Berasategi": (6,),
}


def grey(path: Path) -> np.ndarray:
    """The picture in a file, 0 to 1."""
    picture = io.imread(str(path))
    return color.rgb2gray(picture) if picture.ndim == 3 else picture / 255


def averaged(values: np.ndarray, count: int) -> np.ndarray:
    """Means of count x count pixels; what is left over at the far edges goes."""
    rows, columns = (side // count for side in values.shape)
    return values[: rows * count, : columns * count].reshape(rows, count, columns, count).mean((1, 3))


def first() -> dict[str, np.ndarray]:
    """The pictures of scikit-image and PyWavelets."""
    pictures = {}
    for name in PICTURES:
        values = grey(Path(str(files("skimage.data") / name)))
        if name in HALVED:
            side = 2 * (min(values.shape) // 2)
            values = averaged(values[:side, :side], 2)
        pictures[name.split(".")[0]] = values
    pictures["ascent"] = pywt.data.ascent() / 255
    return pictures


def more() -> dict[str, np.ndarray]:
    """The pictures of scikit-learn and of the wallpapers."""
    missing = [stem for stem in AVERAGED if not (WALLPAPERS / f"{stem}.jpg").exists()]
    if missing:
        raise SystemExit(
            f"{WALLPAPERS} lacks {', '.join(missing)}: "
            "apt-get install lomiri-wallpapers-16.04 lomiri-wallpapers-20.04"
        )
    images = files("sklearn.datasets") / "images"
    pictures = {name: averaged(grey(Path(str(images / f"{name}.jpg"))), 2) for name in ("china", "flower")}
    for stem, counts in AVERAGED.items():
        values = grey(WALLPAPERS / f"{stem}.jpg")
        name = stem.split("_by_")[0].lower()
        pictures |= {f"{name}_{count}": averaged(values, count) for count in counts}
    return pictures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(__file__).resolve().parents[2] / "data/photographs"
    )
    parser.add_argument("--more", action="store_true", help="those of photographs-more.json too")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    pictures = first() | (more() if args.more else {})
    for name, values in pictures.items():
        path = args.folder / f"{name}.png"
        io.imsave(path, np.round(values * 65535).astype(np.uint16), check_contrast=False)
    print(f"{len(pictures)} photographs in {args.folder}")


if __name__ == "__main__":
    main()
