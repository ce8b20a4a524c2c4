"""Test sets and classical baselines of super-resolution, low-dose CT and low-count PET.

python task_baselines.py --restore TOOL --work WORK --output tasks
python task_baselines.py --restore TOOL --work WORK --output tasks --model ct-denoise=ct-denoise ...

The sets are made by `restore simulate` from the test subjects of the splits (seed 0), each with the
image that a perfect restoration gives. Settings of the baselines are those with the best mean PSNR
over the validation subjects. Figures: foreground PSNR and SSIM as in scans.py, on the reference (CT
as HU + 1024), over at most `--slices` evenly spaced slices of each volume, the same for every row; real
subjects and phantoms stand apart. `--model TASK=BUNDLE` adds a row restored by a bundle, and one of the
bundle on the reference itself: what it costs an undegraded image. `--only-models` keeps the other rows
of the file that is there. BM3D and ANTs take part if the packages bm3d and antspyx are installed.
"""

import argparse
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, estimate_sigma

from scans import Scan, Volume, foreground_mask, read_volume, slice_psnr, slice_ssim

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data"
MAPS = [
    "--grey-matter", str(DATA / "tissue/mni152_2009a_gm.nii.gz"),
    "--white-matter", str(DATA / "tissue/mni152_2009a_wm.nii.gz"), "--average", "2",
]  # fmt: skip
SLOW = {"BM3D", "ANTs DenoiseImage"}
CT_PICTURES = {"ct_small_u16": "0.66", "lung_lm0_u16": "0.7"}


@dataclass(frozen=True)
class Task:
    """How a test set is made: the split and the arguments of `restore simulate`."""

    split: str
    arguments: tuple[str, ...]
    offset: float = 0  # added to the images, so that the foreground is above 0
    options: tuple[str, ...] = ()  # what a user of `restore run` knows about the degraded images


TASKS = {
    "mri-sr-x2": Task(
        "mri-denoise", ("mri-sr", "--factor", "2"), options=("--k-space-factor", "2")
    ),
    "mri-sr-x4": Task(
        "mri-denoise", ("mri-sr", "--factor", "4"), options=("--k-space-factor", "4")
    ),
    # Without shading, which no image of the source tells.
    "mri-3t-to-7t": Task("mri-denoise", ("mri-7t", "--bias", "0")),
    "ct-denoise": Task("ct-denoise", ("ct-lowdose", "--photons", "2.5e5"), 1024),
    "pet-synthesis": Task("pet-synthesis", ("pet-lowcount", "--counts", "1e5")),
}


@dataclass(frozen=True)
class Case:
    subject: str
    degraded_path: Path
    reference_path: Path
    scan: Scan
    degraded: Volume
    chosen: tuple[int, ...]  # slices that are measured

    @property
    def is_phantom(self) -> bool:
        return self.subject.startswith("phantom_")


def run(tool: Path, *arguments: object) -> None:
    command = [str(tool), *map(str, arguments), "-q"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def clean_file(tool: Path, file: str, split: Path, work: Path) -> Path:
    """The path of a clean image; a phantom is made first."""
    if not file.startswith("phantom:"):
        return (split.parent / file).resolve()
    _, contrast, seed = file.split(":")
    path = work / "phantoms" / f"{contrast}_{seed}.nii.gz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        maps = [] if contrast == "ct" else MAPS
        run(tool, "simulate", "phantom", "--contrast", contrast, "--subject", seed, *maps, "-o", path)
    return path


def cases(tool: Path, name: str, part: str, work: Path, count: int) -> Iterator[Case]:
    """Makes the set of one part of a task's split, or reads what is there."""
    task = TASKS[name]
    split = DATA / "splits" / f"{task.split}.json"
    for entry in json.loads(split.read_text()).get(part, []):
        for file in entry["files"]:
            clean = clean_file(tool, file, split, work)
            stem = clean.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".png")
            ending = ".png" if clean.suffix == ".png" else ".nii.gz"
            folders = [work / name / part / kind for kind in ("degraded", "reference")]
            paths = [folder / f"{stem}{ending}" for folder in folders]
            if not all(path.exists() for path in paths):
                for folder in folders:
                    folder.mkdir(parents=True, exist_ok=True)
                options = ["-i", clean, "-o", paths[0], "--reference-output", paths[1], "--overwrite"]
                if stem in CT_PICTURES:
                    options += ["--picture-offset", 1024, "--picture-spacing", CT_PICTURES[stem]]
                run(tool, "simulate", *task.arguments, *options)
            # Pictures of CT hold the offset already.
            offset = 0 if ending == ".png" else task.offset
            degraded, reference = (read_volume(path)[0] + np.float32(offset) for path in paths)
            scale = float(np.percentile(reference[reference > 0], 99.5))
            mask = foreground_mask(reference, scale)
            scan = Scan(entry["subject"], stem, reference, np.eye(4), scale, mask)
            counted = scan.slices
            number = min(count, len(counted))
            chosen = [counted[(2 * k + 1) * len(counted) // (2 * number)] for k in range(number)]
            part_of = np.s_[..., chosen]
            scan = Scan(
                entry["subject"], stem, reference[part_of], np.eye(4), scale, mask[part_of]
            )
            yield Case(entry["subject"], *paths, scan, degraded[part_of], tuple(chosen))


def by_slice(volume: Volume, function: Callable[[Volume], Volume]) -> Volume:
    return np.stack([function(volume[..., k]) for k in range(volume.shape[2])], axis=2)


def bicubic(volume: Volume, factor: int) -> Volume:
    """The small image of the same k-space, enlarged by cubic splines with centres in register."""

    def one(image: Volume) -> Volume:
        size = [max(2, round(n / factor)) for n in image.shape]
        spectrum = np.fft.fftshift(np.fft.fft2(image))
        starts = [n // 2 - m // 2 for n, m in zip(image.shape, size, strict=True)]
        cut = tuple(slice(start, start + m) for start, m in zip(starts, size, strict=True))
        small = np.fft.ifft2(np.fft.ifftshift(spectrum[cut])).real * np.prod(size) / image.size
        # Sample j of the small image lies at j n/m of the large one.
        grid = np.meshgrid(
            *(np.arange(n) * m / n for n, m in zip(image.shape, size, strict=True)), indexing="ij"
        )
        return ndimage.map_coordinates(small, grid, order=3, mode="grid-wrap").astype(np.float32)

    return by_slice(volume, one)


def field_strength_methods() -> dict[str, tuple[Callable[..., Volume], tuple[float, ...]]]:
    """The other contrast by an exponent on intensities; then less noise, by non-local means."""

    def powered(x: Volume, exponent: float) -> Volume:
        scale = np.percentile(x[x > 0], 99.5)
        return (scale * (np.maximum(x, 0) / scale) ** exponent).astype(np.float32)

    def smooth(x: Volume, h: float) -> Volume:
        def one(image: Volume) -> Volume:
            sigma = max(float(estimate_sigma(image)), 1e-6)
            return denoise_nl_means(
                image, h=h * sigma, sigma=sigma, patch_size=5, patch_distance=6, fast_mode=True
            )

        return by_slice(x, one)

    # 0.8 / 1.1 is what an image without noise and blur would need.
    exponents = (0.6, 0.65, 0.7, 0.727, 0.75, 0.8, 0.9)
    return {
        "degraded": (lambda x, _: x, (0.0,)),
        "exponent": (powered, exponents),
        "NLM, exponent": (lambda x, h: powered(smooth(x, h), 0.727), (0.5, 0.8, 1.1, 1.5)),
    }


def methods(name: str) -> dict[str, tuple[Callable[..., Volume], tuple[object, ...]]]:
    """Baselines of a task, each with the settings that are tried."""
    if name.startswith("mri-sr"):
        factor = int(name[-1])
        return {
            "sinc (zero-filled)": (lambda x, _: x, (0.0,)),
            "bicubic": (lambda x, _: bicubic(x, factor), (0.0,)),
        }

    if name == "mri-3t-to-7t":
        return field_strength_methods()

    def sigma(image: Volume) -> float:
        """What settings are multiples of.

        The noise of CT is strongest in the finest details, where it can be estimated; that of PET is
        smooth, so that only the intensity of the slice is left.
        """
        if name == "pet-synthesis":
            return max(float(np.percentile(image, 99.5)), 1e-6) / 100
        return max(float(estimate_sigma(image)), 1e-6)

    def gaussian(x: Volume, width: float) -> Volume:
        return ndimage.gaussian_filter(x, (width, width, 0))

    def variation(x: Volume, weight: float) -> Volume:
        return by_slice(
            x, lambda i: sigma(i) * denoise_tv_chambolle(i / sigma(i), weight=weight, max_num_iter=100)
        )

    def non_local(x: Volume, h: float) -> Volume:
        return by_slice(
            x,
            lambda i: denoise_nl_means(
                i, h=h * sigma(i), sigma=sigma(i), patch_size=5, patch_distance=6, fast_mode=True
            ),
        )

    found = {
        "degraded": (lambda x, _: x, (0.0,)),
        "Gaussian": (gaussian, (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)),
        "TV (scikit-image)": (variation, (0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0)),
        "NLM (scikit-image)": (non_local, (0.5, 0.8, 1.1, 1.5, 2.0, 3.0, 6.0, 12.0, 25.0)),
    }
    try:
        from bm3d import bm3d
    except ImportError:
        print("bm3d is not installed: its row is left out")
    else:
        found["BM3D"] = (
            lambda x, h: by_slice(x, lambda i: np.asarray(bm3d(i, h * sigma(i)), np.float32)),
            (3.0, 6.0, 12.0, 18.0, 25.0, 35.0, 50.0)
            if name == "pet-synthesis"
            else (1.5, 2.0, 3.0, 4.0, 6.0),
        )
    try:
        import ants
    except ImportError:
        print("antspyx is not installed: its row is left out")
    else:

        def adaptive(x: Volume, setting: str) -> Volume:
            patch, radius = map(int, setting.split("/"))
            return by_slice(
                x,
                lambda i: ants.denoise_image(
                    ants.from_numpy(np.ascontiguousarray(i)), p=patch, r=radius
                ).numpy(),
            )

        # Radii of patch and neighbourhood; it estimates the noise itself.
        found["ANTs DenoiseImage"] = (adaptive, ("1/2", "1/3", "1/5", "2/3", "2/5"))
    return found


def figures(case: Case, result: Volume) -> tuple[float, float]:
    return fmean(slice_psnr(case.scan, result)), fmean(slice_ssim(case.scan, result))


def by_subject(values: list[tuple[str, float]]) -> float:
    """Mean over a subject's images, then over subjects."""
    subjects: dict[str, list[float]] = {}
    for subject, value in values:
        subjects.setdefault(subject, []).append(value)
    return fmean(fmean(own) for own in subjects.values())


def restored(
    case: Case, source: Path, folder: Path, bundle: str, tool: Path, task: Task, extra: list[str]
) -> Volume:
    """The measured slices of what a bundle makes of a file."""
    output = folder / source.name
    if not output.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--dtype", "float32"] if output.suffix == ".gz" else []
        options += extra
        if source == case.degraded_path:
            options += task.options
        run(tool, "run", "-i", source, "-o", output, "-m", bundle, "--overwrite", *options)
    own = 0 if output.suffix == ".png" else task.offset
    return (read_volume(output)[0] + np.float32(own))[..., list(case.chosen)]


def evaluate(name: str, arguments: argparse.Namespace) -> list[dict[str, object]]:
    def part(which: str, count: int = arguments.slices) -> list[Case]:
        return list(cases(arguments.restore, name, which, arguments.work, count))

    test = part("test")
    results: dict[str, tuple[object, list[tuple[Case, float, float]]]] = {}
    if not arguments.only_models:
        validation = part("validation")
        for method, (function, grid) in methods(name).items():
            if arguments.method and method not in arguments.method:
                continue
            best = grid[0]
            if len(grid) > 1:
                # These take seconds a slice: two of each volume have to do.
                tuned = part("validation", 2) if method in SLOW else validation
                scores = {
                    setting: by_subject(
                        [(c.subject, figures(c, function(c.degraded, setting))[0]) for c in tuned]
                    )
                    for setting in grid
                }
                best = max(scores, key=scores.__getitem__)
            results[method] = (best, [(c, *figures(c, function(c.degraded, best))) for c in test])
            print(f"{name}: {method} {best}", flush=True)
    for label, bundle in arguments.models.get(name, []):
        for suffix, source in (("", "degraded_path"), (", undegraded input", "reference_path")):
            kind = source.removesuffix("_path")
            extra = arguments.run_options.split()
            folder = arguments.work / name / "test" / "-".join(["restored", label, kind, *extra])
            options = (bundle, arguments.restore, TASKS[name], extra)
            results[label + suffix] = (
                None,
                [(c, *figures(c, restored(c, getattr(c, source), folder, *options))) for c in test],
            )
    table = []
    for method, (setting, rows) in results.items():
        for kind, chosen in (
            ("real", [r for r in rows if not r[0].is_phantom]),
            ("phantom", [r for r in rows if r[0].is_phantom]),
        ):
            if chosen:
                psnr, ssim = (by_subject([(r[0].subject, r[i]) for r in chosen]) for i in (1, 2))
                subjects = len({r[0].subject for r in chosen})
                table.append(
                    {"task": name, "method": method, "setting": setting, "subjects": kind,
                     "n": subjects, "psnr": psnr, "ssim": ssim}
                )  # fmt: skip
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restore", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="path without ending")
    parser.add_argument("--task", action="append", choices=list(TASKS))
    parser.add_argument("--slices", type=int, default=6, help="most slices of a volume")
    parser.add_argument("--method", action="append", help="measure these baselines alone")
    parser.add_argument("--only-models", action="store_true", help="keep the baselines' rows")
    parser.add_argument(
        "--run-options", default="", help="more options of `restore run`, as in --run-options='--tta none'"
    )
    parser.add_argument("--model", action="append", default=[], metavar="TASK=BUNDLE")
    arguments = parser.parse_args()
    arguments.models = {}
    for entry in arguments.model:
        task, bundle = entry.split("=", 1)
        arguments.models.setdefault(task, []).append((Path(bundle).name, bundle))
    rows = []
    for name in arguments.task or (arguments.models if arguments.only_models else TASKS):
        rows += evaluate(name, arguments)
    stored = arguments.output.with_suffix(".json")
    if stored.exists():
        # Rows of other tasks stay, and those of the same task that were not measured again.
        new = {(row["task"], row["method"]) for row in rows}
        keeps = arguments.only_models or arguments.method
        tasks = set() if keeps else {row["task"] for row in rows}
        old = [
            row
            for row in json.loads(stored.read_text())
            if (row["task"], row["method"]) not in new and row["task"] not in tasks
        ]
        # Baselines, which have settings, before models.
        rows = sorted(
            old + rows, key=lambda row: (list(TASKS).index(row["task"]), row["setting"] is None)
        )
    lines = ["| Task | Method | Setting | Subjects | n | PSNR (dB) | SSIM |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        setting = "" if row["setting"] in (None, 0.0) else row["setting"]
        lines.append(
            f"| {row['task']} | {row['method']} | {setting} | {row['subjects']} | {row['n']} "
            f"| {row['psnr']:.2f} | {row['ssim']:.4f} |"
        )
    arguments.output.with_suffix(".md").write_text("\n".join(lines) + "\n")
    arguments.output.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
