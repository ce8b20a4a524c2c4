"""Scans, noise and figures of merit shared by the quality tables.

Definitions, used by every table of this project:

- scale s: 99.5th percentile of the clean volume's voxels above zero;
- noise of p %: Rician, sigma = p / 100 * s in each of the two channels;
- foreground: clean > 0.05 s, closed by a ball of radius 2, holes filled, in 3D;
- PSNR: range s, over the foreground of a slice; slices with less than 10 % foreground are left
  out; mean over slices, then over subjects;
- SSIM: map with Gaussian window (sigma 1.5, 11 taps, population covariance), range s, mean over
  the same foreground, then as PSNR.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.io import imread
from skimage.metrics import structural_similarity

Volume = NDArray[np.float32]

MINIMUM_FOREGROUND = 0.1


@dataclass(frozen=True)
class Scan:
    """One clean volume, its slices along the last axis.

    A volume is turned so that the last axis is the one closest to feet-head; a picture is a volume
    of one slice.
    """

    subject: str
    name: str
    clean: Volume
    affine: NDArray[np.float64]
    scale: float
    foreground: NDArray[np.bool_]

    @property
    def slices(self) -> list[int]:
        """Slices that count: those with enough foreground."""
        share = self.foreground.mean(axis=(0, 1))
        return [k for k in range(self.clean.shape[2]) if share[k] >= MINIMUM_FOREGROUND]


def read_volume(path: Path) -> tuple[Volume, NDArray[np.float64]]:
    """Reads a NIfTI volume or a grey picture as float32 with axial slices last."""
    if path.suffix == ".png":
        picture = imread(path).astype(np.float32)
        return picture.T[:, ::-1, None].copy(), np.eye(4)
    image = nib.load(path)
    data = np.asarray(image.dataobj, np.float32)
    data = data.reshape(data.shape[:3])
    axial = [axis for axis, _ in nib.io_orientation(image.affine)].index(2)
    order = [axis for axis in range(3) if axis != axial] + [axial]
    affine = image.affine[:, order + [3]]
    return np.ascontiguousarray(data.transpose(order)), affine


def foreground_mask(clean: Volume, scale: float) -> NDArray[np.bool_]:
    """Foreground by the definition above; a volume of one slice is treated as a picture."""
    bright = clean > 0.05 * scale
    if clean.shape[2] == 1:
        bright = bright[..., 0]
    radius = 2  # also the margin: closing must not see the edge of the grid
    ball = np.hypot.reduce(np.indices([2 * radius + 1] * bright.ndim) - radius) <= radius
    closed = ndimage.binary_closing(np.pad(bright, radius), ball)
    inside = closed[(slice(radius, -radius),) * bright.ndim]
    return ndimage.binary_fill_holes(inside).reshape(clean.shape)


def load_split(split: Path, part: str) -> list[Scan]:
    """Reads all scans of one part ("train", "validation", "test") of a split file."""
    scans = []
    for entry in json.loads(split.read_text())[part]:
        for file in entry["files"]:
            path = split.parent / file
            clean, affine = read_volume(path)
            scale = float(np.percentile(clean[clean > 0], 99.5))
            name = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".png")
            mask = foreground_mask(clean, scale)
            scans.append(Scan(entry["subject"], name, clean, affine, scale, mask))
    return scans


def write_volume(path: Path, data: Volume, affine: NDArray[np.float64]) -> None:
    """Writes a float32 NIfTI file, creating its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, affine), path)


def noisy_volume(scan: Scan, percent: int, seed: int, work: Path, restore: Path | None) -> Volume:
    """Adds Rician noise, by `restore simulate` if the tool is given, else in NumPy.

    Both leave `clean/NAME.nii.gz` and `noisy/NAME_pXX.nii.gz` in the work folder, so that other
    methods can be run on the same files.
    """
    clean_path = work / "clean" / f"{scan.name}.nii.gz"
    noisy_path = work / "noisy" / f"{scan.name}_p{percent:02d}.nii.gz"
    if not noisy_path.exists():
        write_volume(clean_path, scan.clean, scan.affine)
        if restore is None:
            generator = np.random.default_rng([seed, percent])
            sigma = percent / 100 * scan.scale
            real = scan.clean + generator.normal(0, sigma, scan.clean.shape)
            imaginary = generator.normal(0, sigma, scan.clean.shape)
            write_volume(noisy_path, np.hypot(real, imaginary).astype(np.float32), scan.affine)
        else:
            noisy_path.parent.mkdir(parents=True, exist_ok=True)
            command = [restore, "simulate", "rician", "-i", clean_path, "-o", noisy_path]
            options = ["--percent", str(percent), "--seed", str(seed)]
            subprocess.run([*map(str, command), *options], check=True)
    return read_volume(noisy_path)[0]


def slice_psnr(scan: Scan, result: Volume) -> list[float]:
    """Foreground PSNR in dB of each counted slice."""
    values = []
    for k in scan.slices:
        error = (scan.clean[..., k] - result[..., k])[scan.foreground[..., k]].astype(np.float64)
        values.append(float(10 * np.log10(scan.scale**2 / np.mean(error**2))))
    return values


def slice_ssim(scan: Scan, result: Volume) -> list[float]:
    """Foreground SSIM of each counted slice."""
    values = []
    for k in scan.slices:
        _, ssim_map = structural_similarity(
            scan.clean[..., k].astype(np.float64),
            result[..., k].astype(np.float64),
            data_range=scan.scale,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        values.append(float(ssim_map[scan.foreground[..., k]].mean()))
    return values
