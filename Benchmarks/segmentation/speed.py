"""Times `restore eval` of one 256x256x256 pair by turns with MedPy and MONAI: python speed.py RESTORE"""

import statistics
import subprocess
import sys
import tempfile
import time

import nibabel
import numpy as np
import torch

from peers import compute_average_surface_distance, compute_hausdorff_distance, medpy


ROUNDS = 3


def ellipsoid(centre, radii) -> np.ndarray:
    axes = np.ogrid[:256, :256, :256]
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii)) < 1


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main() -> None:
    first = ellipsoid((128, 128, 128), (100, 90, 80))
    second = ellipsoid((133, 126, 131), (98, 92, 79))

    def ours(folder: str) -> None:
        command = [sys.argv[1], "eval", "--pred", f"{folder}/p.nii", "--reference", f"{folder}/r.nii"]
        command += ["--labels", "1", "--nsd-tolerance", "1", "--json"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def with_medpy() -> None:
        for figure in (medpy.hd, medpy.hd95, medpy.assd, medpy.dc):
            figure(first, second)

    def with_monai() -> None:
        p, r = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (first, second))
        compute_hausdorff_distance(p, r, include_background=True)
        compute_hausdorff_distance(p, r, include_background=True, percentile=95)
        compute_average_surface_distance(p, r, include_background=True, symmetric=True)

    with tempfile.TemporaryDirectory() as folder:
        for name, mask in (("p", first), ("r", second)):
            image = nibabel.Nifti1Image(mask.transpose(2, 1, 0).astype(np.uint8), np.eye(4))
            image.to_filename(f"{folder}/{name}.nii")
        for name, call in (("MedPy", with_medpy), ("MONAI", with_monai)):
            call()
            ours(folder)
            pairs = [(timed(call), timed(lambda: ours(folder))) for _ in range(ROUNDS)]
            seconds, base = (statistics.median(column) for column in zip(*pairs))
            first_quartile, ratio, third_quartile = statistics.quantiles(
                [a / b for a, b in pairs], n=4, method="inclusive"
            )
            print(f"{name} {seconds:.2f} s, restore {base:.2f} s, ratio {ratio:.1f} "
                  f"({first_quartile:.1f} to {third_quartile:.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
