"""Classical denoisers on the test subjects, at Rician noise of 5, 10 and 15 %.

Prints a Markdown table and writes the same figures as JSON. `--tune` repeats the choice of each
method's settings on the validation subjects. `--method` does either for some methods and takes the
others from the files that are there. See README.md.
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

from rician import stabilized, unstabilized
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


def bm3d_stabilized(noisy: Volume, sigma: float, mask: Volume, factor: float) -> Volume:
    """BM3D on slices of stabilised variance; `factor` counts in units of the true deviation."""
    from bm3d import bm3d

    def one(image: Volume) -> Volume:
        return unstabilized(bm3d(stabilized(image, sigma), factor), sigma)

    return by_slice(noisy, one)


def ants_denoise(noisy: Volume, sigma: float, mask: Volume, patch: int, radius: int) -> Volume:
    """ANTs' DenoiseImage on slices; it estimates the noise itself."""
    import ants

    def one(image: Volume) -> Volume:
        image = ants.from_numpy(np.ascontiguousarray(image))
        return ants.denoise_image(image, noise_model="Rician", p=patch, r=radius).numpy()

    return by_slice(noisy, one)


METHODS: dict[str, Denoiser] = {
    "Gaussian": gaussian,
    "TV (scikit-image)": total_variation,
    "NLM (scikit-image)": non_local_means,
    "NLM, Rician (DIPY, defaults)": rician_nlm,
    "NLM, Rician (DIPY, volume)": rician_nlm,
    "NLM, Rician (DIPY, slices)": rician_nlm_by_slice,
    "ANTs DenoiseImage, Rician": ants_denoise,
    "BM3D, Rician (VST)": bm3d_stabilized,
}
# Too slow for all slices: settings come from six, and it is measured where `--slices` limits them.
SLOW = {"BM3D, Rician (VST)"}
# These see neighbouring slices, so they cannot be measured on some slices alone.
NEED_VOLUMES = {"NLM, Rician (DIPY, defaults)", "NLM, Rician (DIPY, volume)"}

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
    "ANTs DenoiseImage, Rician": {"patch": (1, 2), "radius": (2, 3)},
    "BM3D, Rician (VST)": {"factor": (0.9, 1.0, 1.1, 1.2)},
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


def some(scan: Scan, images: Volume, count: int) -> tuple[Scan, Volume]:
    """At most `count` counted slices, evenly spaced."""
    counted = scan.slices
    count = min(count, len(counted))
    chosen = [counted[(2 * k + 1) * len(counted) // (2 * count)] for k in range(count)]
    part = np.s_[..., chosen]
    clean, mask = scan.clean[part], scan.foreground[part]
    return replace(scan, clean=clean, foreground=mask), np.ascontiguousarray(images[part])


def tune(scans: Sequence[Scan], args: argparse.Namespace) -> None:
    """Picks the settings with the best validation PSNR for each method and level."""
    best = json.loads(SETTINGS.read_text()) if SETTINGS.exists() else {}
    best.update({method: {} for method in args.method})
    for percent in LEVELS:
        whole = [(s, noisy_volume(s, percent, args.seed, args.work, args.restore)) for s in scans]
        for method in args.method:
            grid = GRIDS[method]
            pairs = [middle(*pair) for pair in whole]
            if method in SLOW:
                pairs = [some(*pair, 6) for pair in pairs]
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
    rows = [*args.method, *([args.label] if args.restored else [])]
    records = []
    for percent, row in itertools.product(LEVELS, rows):
        psnr, ssim = [], []
        for whole in scans:
            noisy = noisy_volume(whole, percent, args.seed, args.work, args.restore)
            scan = whole
            if args.slices:
                scan, noisy = some(whole, noisy, args.slices)
            if row == "noisy":
                result = noisy
            elif row in METHODS:
                result = denoise(row, scan, noisy, percent, chosen[row][str(percent)])
            else:
                result = read_volume(args.restored / f"{scan.name}_p{percent:02d}.nii.gz")[0]
                if args.slices:
                    result = some(whole, result, args.slices)[1]
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


def merged(old: Sequence[dict], new: Sequence[dict]) -> list[dict]:
    """Old figures with new ones in their place or after them."""
    found = {(r["percent"], r["method"]): r for r in [*old, *new]}
    order = ["noisy", *METHODS]
    return sorted(
        found.values(),
        key=lambda r: (r["percent"], order.index(r["method"]) if r["method"] in order else 99),
    )


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
    parser.add_argument(
        "--method", action="append", choices=["noisy", *METHODS], help="measure these alone"
    )
    parser.add_argument(
        "--slices", type=int, default=0, help="measure on at most so many slices of a volume"
    )
    parser.add_argument("--label-only", action="store_true", help="measure --restored alone")
    args = parser.parse_args()

    left_out = NEED_VOLUMES if args.slices else SLOW
    keeps = bool(args.method) or args.label_only
    if not keeps:
        args.method = ["noisy", *(name for name in METHODS if name not in left_out)]
    args.method = args.method or []
    if args.tune:
        args.method = [name for name in args.method if name in METHODS]
        tune(load_split(args.split, "validation"), args)
        return
    records = evaluate(load_split(args.split, args.part), args)
    if keeps and args.output and args.output.with_suffix(".json").exists():
        records = merged(json.loads(args.output.with_suffix(".json").read_text()), records)
    table = markdown(records)
    print("\n" + table)
    if args.output:
        args.output.with_suffix(".md").write_text(table)
        args.output.with_suffix(".json").write_text(json.dumps(records, indent=2) + "\n")


if __name__ == "__main__":
    main()
