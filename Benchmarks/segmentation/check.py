"""Compares `restore eval` with MONAI, MedPy and surface-distance on random pairs of masks.

    python check.py /path/to/restore --pairs 500

Prints for each figure the largest difference relative to 1 or to the figure, whichever is larger.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import nibabel
import numpy as np

from peers import figures, random_pair


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("restore")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    generator = np.random.default_rng(args.seed)
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("pred", "ref"):
            (Path(folder) / kind).mkdir()
        for number in range(args.pairs):
            shape = tuple(int(n) for n in generator.integers(5, 28, 3))
            first, second = random_pair(generator, shape)
            # What a NIfTI header can hold exactly.
            spacing = [float(np.float32(s)) for s in np.round(generator.uniform(0.4, 3, 3), 3)]
            affine = np.diag([spacing[2], spacing[1], spacing[0], 1])
            name = f"{number:04d}.nii"
            for kind, mask in (("pred", first), ("ref", second)):
                image = nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), affine)
                image.to_filename(Path(folder) / kind / name)
            expected[f"{number:04d}"] = figures(first, second, spacing)
        output = subprocess.run(
            [args.restore, "eval", "--pred", f"{folder}/pred", "--reference", f"{folder}/ref"]
            + ["--labels", "1", "--nsd-tolerance", "1", "--json"],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout
    worst: dict[str, float] = {}
    for case in json.loads(output)["cases"]:
        found = case["metrics"]
        for name, value in expected[case["name"]].items():
            error = abs(found[name] - value) / max(1, abs(value))
            worst[name] = max(worst.get(name, 0), error)
    for name, error in worst.items():
        print(f"{name:14} largest difference {error:.2e}")
    failed = [name for name, error in worst.items() if not error <= 1e-6]
    print(f"{args.pairs} pairs, {len(failed)} figures differ by more than 1e-6")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
