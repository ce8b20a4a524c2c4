"""What a bundle does on parts of the validation subject: on finer grids, and with test-time augmentation.

Figures of the card of `mri-denoise` that no test subject can give: twelve axial slices of ms_p26 (T1), as they are
and with k-space filled with zeros to 1.6 times the grid, and a block of 96x96x96 voxels for `--tta`.
PSNR over voxels above 5 % of the 99.5th percentile, which is the peak. `--classical` measures BM3D (slice by slice)
and BM4D on the noisy blocks too, with variance stabilised (rician.py) and the true noise told. Seconds are processor time.

`--factor 2` or `4` measures a super-resolution bundle instead, on 16 slices as they are, on a grid 1.4 times as fine
(cubic splines), and with k-space filled to 0.7 and 0.85: foreground PSNR as `restore run --reference` prints it.
"""

import argparse
import json
import resource
import subprocess
import time
from pathlib import Path

import nibabel
import numpy as np
from scipy import ndimage

from rician import stabilized, unstabilized

SCAN = Path(__file__).resolve().parents[2] / "data" / "scans" / "ms_p26_t1.nii.gz"
LEVELS = (5, 10, 15)
GRID = 1.6
SPLINE_GRID = 1.4
FILLED = (0.7, 0.85)


def rician(clean, sigma, generator):
    real = clean + generator.normal(0, sigma, clean.shape)
    return np.sqrt(real**2 + generator.normal(0, sigma, clean.shape) ** 2).astype(np.float32)


def magnified(image):
    """A slice on a finer grid: zeros around its k-space."""
    size = [round(n * GRID) for n in image.shape]
    start = [n // 2 - o // 2 for n, o in zip(size, image.shape)]
    space = np.zeros(size, complex)
    inner = tuple(slice(s, s + n) for s, n in zip(start, image.shape))
    space[inner] = np.fft.fftshift(np.fft.fft2(image))
    return np.abs(np.fft.ifft2(np.fft.ifftshift(space))) * (space.size / image.size)


def psnr(clean, result):
    peak = np.percentile(clean[clean > 0], 99.5)
    inside = clean > 0.05 * peak
    return 10 * np.log10(peak**2 / np.mean((clean[inside] - result[inside]) ** 2))


def filled(image):
    """A slice of which only a part of k-space was measured."""

    def weights(count, part):
        frequency = np.minimum(np.arange(count), count - np.arange(count)) / (count / 2)
        return (frequency <= part).astype(float)

    rows, columns = (weights(n, part) for n, part in zip(image.shape, FILLED, strict=True))
    return np.abs(np.fft.ifft2(np.fft.fft2(image) * rows[:, None] * columns))


def super_resolution(args, whole):
    """Foreground PSNR of degraded and restored slices."""
    slices = np.maximum(whole[:, :, 84:100], 0)
    shown = {
        "own grid": (slices, 1),
        "finer grid": (ndimage.zoom(slices, (SPLINE_GRID, SPLINE_GRID, 1), order=3), 1 / SPLINE_GRID),
        "filled": (np.stack([filled(slices[:, :, k]) for k in range(slices.shape[2])], 2), 1),
    }
    for name, (clean, side) in shown.items():
        reference, degraded, restored = (
            args.work / f"{kind}.nii.gz" for kind in ("reference", "degraded", "restored")
        )
        # Slices 1.5 mm apart are those of acquisition.
        image = nibabel.Nifti1Image(np.maximum(clean, 0).astype(np.float32), np.diag([side, side, 1.5, 1]))
        nibabel.save(image, reference)
        factor = str(args.factor)
        subprocess.run(
            [args.restore, "simulate", "mri-sr", "-i", reference, "-o", degraded, "--factor", factor,
             "--overwrite", "-q"], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        output = subprocess.run(
            [args.restore, "run", "-i", degraded, "-o", restored, "-m", args.bundle, "--reference", reference,
             "--k-space-factor", factor, "--overwrite", "--no-sidecar", "-q", "--json"],
            check=True, stdout=subprocess.PIPE).stdout  # fmt: skip
        item = json.loads(output)["items"][0]
        before, after = (item[key]["foregroundPSNR"] for key in ("before", "after"))
        print(f"{name}: {before:.2f} to {after:.2f} dB", flush=True)


def classical(noisy, sigma):
    """Names and results of the methods."""
    from bm3d import bm3d
    from bm4d import bm4d

    volume = stabilized(noisy, sigma)
    slices = [np.asarray(bm3d(volume[:, :, k], 1.0)) for k in range(volume.shape[2])]
    yield "BM3D (VST)", unstabilized(np.stack(slices, 2), sigma)
    yield "BM4D (VST)", unstabilized(np.asarray(bm4d(volume, 1.0)), sigma)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restore", required=True)
    parser.add_argument("--bundle", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--classical", action="store_true")
    parser.add_argument("--factor", type=int, choices=(2, 4))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    scan = nibabel.load(SCAN)
    whole = np.asarray(scan.dataobj, np.float32)
    if args.factor:
        return super_resolution(args, whole)
    peak = np.percentile(whole[whole > 0], 99.5)

    def measure(name, clean, sigma, affine, generator, tta="none", noisy=None):
        noisy = rician(clean, sigma, generator) if noisy is None else noisy
        paths = [args.work / f"{kind}.nii.gz" for kind in ("noisy", "restored")]
        nibabel.save(nibabel.Nifti1Image(noisy, affine), paths[0])
        command = [args.restore, "run", "-i", *paths[:1], "-o", paths[1], "-m", args.bundle]
        command += ["--tta", tta, "--overwrite", "--no-sidecar", "-q"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
        result = np.asarray(nibabel.load(paths[1]).dataobj, np.float64)
        print(f"{name}, {tta}: {psnr(clean.astype(np.float64), noisy):.2f} to "
              f"{psnr(clean.astype(np.float64), result):.2f} dB, {seconds:.0f} s", flush=True)  # fmt: skip
        return noisy

    slices = whole[:, :, 80:92].astype(np.float64)
    fine = np.stack([magnified(slices[:, :, k]) for k in range(slices.shape[2])], 2)
    sigma = np.percentile(fine[fine > 0.02 * fine.max()], 99.5) / 100
    affine = scan.affine.copy()
    affine[:3, :2] /= GRID
    generator = np.random.default_rng(6)
    for level in LEVELS:
        measure(f"finer grid, {level} %", fine, level * sigma, affine, generator)
        measure(f"own grid, {level} %", slices, level * sigma, scan.affine, generator)
    block = whole[44:140, 60:156, 50:146]
    generator = np.random.default_rng(9)
    for level in LEVELS:
        noisy = None
        for tta in ("none", "flip", "planes", "all"):
            noisy = measure(
                f"block, {level} %", block, level * peak / 100, scan.affine, generator, tta, noisy
            )
        if args.classical:
            start = time.process_time()
            for name, result in classical(noisy, level * peak / 100):
                seconds = time.process_time() - start
                print(f"block, {level} %, {name}: {psnr(block.astype(np.float64), result):.2f} dB, "
                      f"{seconds:.0f} s", flush=True)  # fmt: skip
                start = time.process_time()


if __name__ == "__main__":
    main()
