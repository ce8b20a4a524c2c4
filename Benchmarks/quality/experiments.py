"""Small experiments at equal budget: what parts of the networks are worth.

    python experiments.py parts --restore TOOL --work RUNS          # docs/results/parts.md
    python experiments.py denoising --restore TOOL --work RUNS      # docs/results/convolutions.md
    python experiments.py segmentation --restore TOOL --work RUNS   # docs/results/convolutions.md
    python experiments.py weighted --restore TOOL --work RUNS       # docs/results/convolutions.md
    python experiments.py fields --restore TOOL --work RUNS         # docs/results/field-strengths.md

Every variant is trained with the same samples in the same order, the same steps and the same seeds;
seeds also draw the initial weights. Printed for each variant: parameters stored, the figure after the last
step (mean over seeds, standard deviation, each seed), processor seconds and peak memory of training
(of the whole process, preparation of data included), and differences to the first variant seed by seed.
Runs that are there already are not repeated.

parts: restoration of `data/splits/mri-denoise.json` at 10 % Rician noise; small Restore-RWKV without
attention, with one and two recurrences; without shift, with the mean of 3x3 pixels, with Omni-Shift; a
U-Net and a DnCNN with about as many parameters. denoising: a U-Net with each kind of convolution on
slices of brain phantoms of 64x64 pixels (TVConv is bound to places and one size), 10 % Rician noise.
segmentation: a U-Net with each kind on simulated photographs of the optic disc, 64x64. weighted: DnCNN and
NAFNet with plain and weighted convolutions (the published fixed density) on the data of `parts`. fields:
FS-RWKV, Restore-RWKV and a U-Net with the configuration of `mri-3t-to-7t`.
"""

import argparse
import json
import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

ROOT = Path(__file__).resolve().parents[2]
MAPS = [ROOT / "data/tissue" / f"mni152_2009a_{kind}.nii.gz" for kind in ("gm", "wm")]
SIDE = 64  # of the images that all kinds of convolution take


@dataclass(frozen=True)
class Variant:
    name: str
    model: dict


@dataclass
class Outcome:
    parameters: int = 0
    figures: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)


def rwkv(name: str, **changes: object) -> Variant:
    small = {"dim": 8, "num_blocks": [1, 1, 2, 2], "num_refinement_blocks": 1, **changes}
    return Variant(name, {"arch": "restore-rwkv", "hyperparameters": small})


PARTS = [
    rwkv("Restore-RWKV (two recurrences, Omni-Shift)"),
    rwkv("one recurrence", recurrences=1),
    rwkv("no attention", recurrences=0),
    rwkv("no shift", shift="none"),
    rwkv("mean of 3x3 as shift", shift="uniform"),
    Variant("U-Net", {"arch": "unet", "hyperparameters": {"channels": [12, 25, 50, 100]}}),
    Variant("DnCNN", {"arch": "dncnn", "hyperparameters": {"depth": 12, "features": 58}}),
]
WEIGHTED = [
    Variant(f"{name}, {kind}", {"arch": arch, "convolution": kind})
    for name, arch in (("DnCNN", "dncnn"), ("NAFNet", "nafnet"))
    for kind in ("plain", "weighted")
]
FIELDS = [
    Variant("FS-RWKV (light)", {"arch": "fs-rwkv"}),
    Variant("Restore-RWKV (light)", {"arch": "restore-rwkv"}),
    Variant("U-Net (light)", {"arch": "unet"}),
]
KINDS: list[tuple[str, object]] = [
    ("plain", "plain"),
    ("weighted", "weighted"),
    ("fdconv", {"kind": "fdconv", "fallback": "plain"}),
    ("tvconv", {"kind": "tvconv", "image_size": [SIDE, SIDE], "inter_chans": 16, "inter_layers": 1,
                "fallback": "plain"}),
]  # fmt: skip


def train(command: list[str], folder: Path) -> None:
    """Runs a training and keeps what it cost in `cost.json`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    cost = {"seconds": usage.ru_utime + usage.ru_stime, "megabytes": usage.ru_maxrss / 1024}
    (folder / "cost.json").write_text(json.dumps(cost))


def parameters(bundle: Path) -> int:
    with open(bundle / "weights.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    total = 0
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for length in entry["shape"]:
                count *= length
            total += count
    return total


def denoising(data: dict) -> dict:
    """The configuration of a denoising experiment, but for network, steps and seed."""
    return {
        "data": data,
        "optim": {"name": "adam", "learning_rate": 1e-3, "clip": 0.5, "ema": 0.99},
        "schedule": {"name": "cosine", "warmup": 20},
        "loss": {"name": "l1"},
        "train": {"batch": 4, "validation_slices": 6},
    }


def fields() -> dict:
    """The same of `mri-3t-to-7t`, whose training file says the rest."""
    file = ROOT / "data/models/mri-3t-to-7t/training.json"
    configuration = json.loads(file.read_text())
    data = configuration["data"]
    data["split"] = str((file.parent / data["split"]).resolve())
    return configuration


def restoration(variant: Variant, base: dict, seed: int, folder: Path, args: argparse.Namespace) -> float:
    """Foreground PSNR of the validation after the last step, dB."""
    if not (folder / "cost.json").exists():
        configuration = base | {
            "model": {"preset": "light", "name": "experiment", **variant.model},
            "train": base["train"] | {"iterations": args.steps, "validate_every": args.steps,
                                      "log_every": args.steps},
            "seed": seed,
        }  # fmt: skip
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = folder.with_suffix(".json")
        file.write_text(json.dumps(configuration, indent=2))
        train([args.restore, "train", "-c", str(file), "-o", str(folder), "-q", "-t", args.threads], folder)
    lines = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return next(line["validationPSNR"] for line in lines if "validationPSNR" in line)


def phantoms(args: argparse.Namespace) -> Path:
    """Slices of T1-like phantoms, 64x64, as a split file."""
    import nibabel
    import numpy as np

    split = args.work / "phantoms/split.json"
    if split.exists():
        return split
    split.parent.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list] = {"train": [], "validation": [], "test": []}
    for number in range(28):
        whole, small = (split.parent / f"{kind}{number}.nii.gz" for kind in ("whole", "t1_"))
        command = [args.restore, "simulate", "phantom", "--contrast", "t1", "--subject", str(400 + number),
                   "--grey-matter", str(MAPS[0]), "--white-matter", str(MAPS[1]), "--average", "3",
                   "-o", str(whole), "-q", "--overwrite"]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        voxels = np.asarray(nibabel.load(whole).dataobj, np.float32)
        # The middle of the head, cut or continued with air to the side.
        for axis in (0, 1):
            missing = SIDE - voxels.shape[axis]
            if missing < 0:
                voxels = np.take(voxels, range(-missing // 2, -missing // 2 + SIDE), axis)
            else:
                pad = [(0, 0)] * 3
                pad[axis] = (missing // 2, missing - missing // 2)
                voxels = np.pad(voxels, pad)
        count = voxels.shape[2]
        image = nibabel.Nifti1Image(voxels[:, :, count // 3 : 3 * count // 4], np.diag([3, 3, 3, 1]))
        nibabel.save(image, small)
        whole.unlink()
        part = "train" if number < 24 else "validation"
        parts[part].append({"subject": f"p{number}", "files": [small.name]})
    split.write_text(json.dumps(parts, indent=1))
    return split


def photographs(args: argparse.Namespace) -> Path:
    """An nnU-Net raw folder of simulated photographs, with the test images' truth beside it."""
    folder = args.work / "photographs"
    if (folder / "dataset.json").exists():
        return folder
    for part, count, seed in (("Tr", 160, 200000), ("Ts", 80, 300000)):
        made = args.work / f"fundus{part}"
        command = [args.restore, "simulate", "fundus", "-o", str(made), "--count", str(count), "--side",
                   str(SIDE), "--seed", str(seed), "--overwrite", "-q"]  # fmt: skip
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        labels = folder / ("labelsTr" if part == "Tr" else "truth")
        for target in (folder / f"images{part}", labels):
            target.mkdir(parents=True, exist_ok=True)
        for mask in made.glob("*_mask.png"):
            name = mask.name.removesuffix("_mask.png")
            (folder / f"images{part}" / f"{name}_0000.png").write_bytes(
                (made / f"{name}.png").read_bytes()
            )
            (labels / f"{name}.png").write_bytes(mask.read_bytes())
    (folder / "dataset.json").write_text(
        json.dumps({"channel_names": {"0": "red", "1": "green", "2": "blue"},
                    "labels": {"background": 0, "rim": 1, "cup": 2}})
    )  # fmt: skip
    return folder


def segmentation(kind: object, seed: int, folder: Path, args: argparse.Namespace) -> float:
    """Mean Dice of rim and cup on the test photographs."""
    source = photographs(args)
    if not (folder / "cost.json").exists():
        configuration = {
            "model": {"arch": "unet-segmentation", "preset": "2d", "name": "experiment",
                      "convolution": kind},
            "data": {"split": str(source), "validation_share": 0.1, "flips": False,
                     "deforms": False},
            "optim": {"name": "adamw", "learning_rate": 2e-3},
            "schedule": {"name": "cosine", "warmup": 10},
            "train": {"iterations": args.steps, "batch": 8, "validate_every": args.steps,
                      "log_every": args.steps},
            "seed": seed,
        }  # fmt: skip
        folder.parent.mkdir(parents=True, exist_ok=True)
        file = folder.with_suffix(".json")
        file.write_text(json.dumps(configuration, indent=2))
        train([args.restore, "train", "-c", str(file), "-o", str(folder), "-q", "-t", args.threads], folder)
    result = folder / "evaluation.json"
    if not result.exists():
        output = folder / "labels"
        for command in (
            [args.restore, "segment", "-i", str(source / "imagesTs"), "-o", str(output), "-m",
             str(folder / "bundle"), "--overwrite", "-q"],
            [args.restore, "eval", "--pred", str(output), "--reference", str(source / "truth"),
             "--labels", "1,2", "--json", str(result), "--overwrite", "-q"],
        ):  # fmt: skip
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for sidecar in output.glob("*.json"):
                sidecar.unlink()
    summary = json.loads(result.read_text())["summary"]
    return fmean(structure["dice"]["mean"] for structure in summary.values())


def report(outcomes: dict[str, Outcome], unit: str, digits: int) -> None:
    names = list(outcomes)
    first = outcomes[names[0]].figures
    print(f"\n| Variant | Parameters | {unit}, mean | sd | each seed | minus the first, by seed | "
          "CPU s | peak MB |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for name in names:
        own = outcomes[name]
        spread = stdev(own.figures) if len(own.figures) > 1 else 0
        each = ", ".join(f"{value:.{digits}f}" for value in own.figures)
        gaps = ", ".join(f"{a - b:+.{digits}f}" for a, b in zip(own.figures, first, strict=True))
        print(f"| {name} | {own.parameters} | {fmean(own.figures):.{digits}f} | {spread:.{digits}f} | "
              f"{each} | {'' if name == names[0] else gaps} | {fmean(own.seconds):.0f} | "
              f"{fmean(own.megabytes):.0f} |")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=["parts", "denoising", "segmentation", "weighted", "fields"])
    parser.add_argument("--restore", default=str(ROOT / ".build/release/restore"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--threads", default="1")
    args = parser.parse_args()
    args.work = args.work.resolve()
    args.work.mkdir(parents=True, exist_ok=True)
    outcomes: dict[str, Outcome] = {}
    variants = {"parts": PARTS, "weighted": WEIGHTED, "fields": FIELDS}.get(args.experiment) or [
        Variant(name, {"arch": "unet", "convolution": kind}) for name, kind in KINDS
    ]  # fmt: skip
    if args.experiment in ("parts", "weighted"):
        base = denoising({
            "split": str(ROOT / "data/splits/mri-denoise.json"), "noise_percent": [10, 10], "crop": 48,
            "slices_per_volume": 24, "all_planes": False})  # fmt: skip
    elif args.experiment == "denoising":
        base = denoising({
            "split": str(phantoms(args)), "noise_percent": [10, 10], "crop": SIDE, "flips": False,
            "all_planes": False, "minimum_foreground": 0.05})  # fmt: skip
    elif args.experiment == "fields":
        base = fields()
    for seed in args.seeds:
        for number, variant in enumerate(variants):
            folder = args.work / f"{args.experiment}-{args.steps}" / f"{number}-{seed}"
            began = time.time()
            if args.experiment == "segmentation":
                figure = segmentation(variant.model["convolution"], seed, folder, args)
            else:
                figure = restoration(variant, base, seed, folder, args)
            cost = json.loads((folder / "cost.json").read_text())
            own = outcomes.setdefault(variant.name, Outcome())
            own.parameters = parameters(folder / "bundle")
            own.figures.append(figure)
            own.seconds.append(cost["seconds"])
            own.megabytes.append(cost["megabytes"])
            print(f"{variant.name}, seed {seed}: {figure:.4f} ({time.time() - began:.0f} s)", flush=True)
    report(outcomes, "Dice" if args.experiment == "segmentation" else "PSNR (dB)",
           4 if args.experiment == "segmentation" else 2)  # fmt: skip


if __name__ == "__main__":
    main()
