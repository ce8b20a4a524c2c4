"""Classical denoisers on the test subjects, at Rician noise of 5, 10 and 15 %.

Prints a Markdown table and writes the same figures as JSON. `--tune` repeats the choice of each
method's settings on the validation subjects. See README.md.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import numpy as np
from dipy.denoise.nlmeans import nlmeans
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from scans import Scan, Volume, load_split, noisy_volume, read_volume, slice_psnr, slice_ssim

LEVELS = (5, 10, 15)
ROOT = Path(__file__).resolve().parents[2]

# A denoiser takes the noisy volume, the known noise sigma, the voxels that matter and its settings.
Denoiser = Callable[..., Volume]


def by_slice(volume: Volume, function: Callable[[Volume], Volume]) -> Volume:
    return np.stack([function(volume[..., k]) for k in range(volume.shape[2])], axis=2)


def gaussian(noisy: Volume, sigma: float, mask: Volume, width: float) -> Volume:
    return ndimage.gaussian_filter(noisy, (width, width, 0))


def total_variation(noisy: Volume, sigma: float, mask: Volume, weight: float) -> Volume:
    """`weight` counts in units of sigma, so that it does not depend on the intensity scale."""
    return by_slice(
        noisy, lambda x: sigma * denoise_tv_chambolle(x / sigma, weight=weight, max_num_iter=100)
    )


def non_local_means(noisy: Volume, sigma: float, mask: Volume, h: float) -> Volume:
    options = {"patch_size": 5, "patch_distance": 6, "fast_mode": True}
    return by_slice(noisy, lambda x: denoise_nl_means(x, h=h * sigma, sigma=sigma, **options))


def rician_nlm(
    noisy: Volume, sigma: float, mask: Volume, block_radius: int | None, factor: float, method: str
) -> Volume:
    return nlmeans(
        noisy,
        factor * sigma,
        mask=mask,
        patch_radius=1,
        block_radius=block_radius,
        rician=True,
        method=method,
    )


def rician_nlm_by_slice(noisy: Volume, sigma: float, mask: Volume, **settings: object) -> Volume:
    slices = (np.ascontiguousarray(noisy[..., k : k + 1]) for k in range(noisy.shape[2]))
    masks = (mask[..., k : k + 1] for k in range(noisy.shape[2]))
    done = [rician_nlm(x, sigma, m, **settings) for x, m in zip(slices, masks, strict=True)]
    return np.concatenate(done, axis=2)


METHODS: dict[str, Denoiser] = {
    "Gaussian": gaussian,
    "TV (scikit-image)": total_variation,
    "NLM (scikit-image)": non_local_means,
    "NLM, Rician (DIPY, defaults)": rician_nlm,
    "NLM, Rician (DIPY, volume)": rician_nlm,
    "NLM, Rician (DIPY, slices)": rician_nlm_by_slice,
}

NLM_GRID = {"block_radius": (1, 2, 3, 5), "factor": (0.6, 0.8, 1.0), "method": ("classic",)}
GRIDS: dict[str, dict[str, Sequence[object]]] = {
    "Gaussian": {"width": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)},
    "TV (scikit-image)": {"weight": (0.4, 0.6, 0.8, 1.0, 1.2, 1.5, 2.0)},
    "NLM (scikit-image)": {"h": (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)},
    "NLM, Rician (DIPY, defaults)": {
        "block_radius": (None,),
        "factor": (1.0,),
        "method": ("blockwise",),
    },
    "NLM, Rician (DIPY, volume)": NLM_GRID,
    "NLM, Rician (DIPY, slices)": NLM_GRID,
}
SETTINGS = Path(__file__).with_name("settings.json")


def denoise(method: str, scan: Scan, noisy: Volume, percent: int, settings: dict) -> Volume:
    # Results outside the foreground count only through the SSIM window.
    mask = ndimage.binary_dilation(scan.foreground, np.ones((13, 13, 1)))
    sigma = percent / 100 * scan.scale
    return METHODS[method](noisy, sigma, mask.astype(np.uint8), **settings)


def middle(scan: Scan, noisy: Volume) -> tuple[Scan, Volume]:
    """The middle third of the counted slices, enough to choose settings."""
    counted = scan.slices
    first, last = counted[len(counted) // 3], counted[(2 * len(counted)) // 3]
    part = np.s_[..., first : last + 1]
    clean, mask = scan.clean[part], scan.foreground[part]
    return replace(scan, clean=clean, foreground=mask), np.ascontiguousarray(noisy[part])


def tune(scans: Sequence[Scan], args: argparse.Namespace) -> None:
    """Picks the settings with the best validation PSNR for each method and level."""
    best: dict[str, dict[str, dict]] = {method: {} for method in METHODS}
    for percent in LEVELS:
        pairs = [
            middle(s, noisy_volume(s, percent, args.seed, args.work, args.restore)) for s in scans
        ]
        for method, grid in GRIDS.items():
            scores = []
            for values in itertools.product(*grid.values()):
                settings = dict(zip(grid, values, strict=True))
                results = (
                    fmean(slice_psnr(s, denoise(method, s, x, percent, settings))) for s, x in pairs
                )
                scores.append((fmean(results), settings))
            score, best[method][str(percent)] = max(scores, key=lambda item: item[0])
            print(
                f"{percent:2d} %  {method}: {score:.2f} dB {best[method][str(percent)]}", flush=True
            )
    SETTINGS.write_text(json.dumps(best, indent=2) + "\n")


def subject_means(scans: Sequence[Scan], values: Sequence[list[float]]) -> dict[str, float]:
    """Mean over all counted slices of each subject."""
    pooled: dict[str, list[float]] = {}
    for scan, slices in zip(scans, values, strict=True):
        pooled.setdefault(scan.subject, []).extend(slices)
    return {subject: fmean(slices) for subject, slices in pooled.items()}


def evaluate(scans: Sequence[Scan], args: argparse.Namespace) -> list[dict]:
    """Returns one record for each method and level."""
    chosen = json.loads(SETTINGS.read_text())
    rows = ["noisy", *METHODS, *([args.label] if args.restored else [])]
    records = []
    for percent, row in itertools.product(LEVELS, rows):
        psnr, ssim = [], []
        for scan in scans:
            noisy = noisy_volume(scan, percent, args.seed, args.work, args.restore)
            if row == "noisy":
                result = noisy
            elif row in METHODS:
                result = denoise(row, scan, noisy, percent, chosen[row][str(percent)])
            else:
                result = read_volume(args.restored / f"{scan.name}_p{percent:02d}.nii.gz")[0]
            psnr.append(slice_psnr(scan, result))
            ssim.append(slice_ssim(scan, result))
        record = {
            "method": row,
            "percent": percent,
            "psnr": subject_means(scans, psnr),
            "ssim": subject_means(scans, ssim),
        }
        records.append(record)
        print(f"{percent:2d} %  {row}: {fmean(record['psnr'].values()):.2f} dB", flush=True)
    return records


def markdown(records: Sequence[dict]) -> str:
    """One table for each level: mean over subjects first, then each subject's PSNR."""
    lines = []
    for percent in LEVELS:
        chosen = [record for record in records if record["percent"] == percent]
        subjects = list(chosen[0]["psnr"])
        lines += [f"\n### Rician noise, {percent} %\n"]
        lines += ["| Method | PSNR (dB) | SSIM | " + " | ".join(subjects) + " |"]
        lines += ["|---|---|---|" + "---|" * len(subjects)]
        for record in chosen:
            means = f"{fmean(record['psnr'].values()):.2f} | {fmean(record['ssim'].values()):.4f}"
            each = " | ".join(f"{record['psnr'][subject]:.2f}" for subject in subjects)
            lines += [f"| {record['method']} | {means} | {each} |"]
    return "\n".join(lines).lstrip("\n") + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", type=Path, default=ROOT / "data/splits/mri-denoise.json")
    parser.add_argument("--part", default="test", help="part of the split to evaluate")
    parser.add_argument("--work", type=Path, required=True, help="folder for the volumes")
    parser.add_argument("--restore", type=Path, help="the restore tool, to simulate the noise")
    parser.add_argument("--restored", type=Path, help="folder with NAME_pXX.nii.gz to compare")
    parser.add_argument("--label", default="restore", help="name of the row for --restored")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="stem of the .md and .json files")
    parser.add_argument("--tune", action="store_true", help="choose the settings on validation")
    args = parser.parse_args()

    if args.tune:
        tune(load_split(args.split, "validation"), args)
        return
    records = evaluate(load_split(args.split, args.part), args)
    table = markdown(records)
    print("\n" + table)
    if args.output:
        args.output.with_suffix(".md").write_text(table)
        args.output.with_suffix(".json").write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
