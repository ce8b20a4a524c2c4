"""Denoising with plain and weighted convolutions: same data, budget and seeds.

    python3 Benchmarks/quality/convolutions.py --restore .build/release/restore --output RUNS

Trains each network of each kind with each seed on the scans of data/splits/mri-denoise.json, and prints
a table of the validation's foreground PSNR: mean and standard deviation over the seeds, and the
differences between kinds seed by seed. Both kinds of one seed start from the same weights and see the
same noisy crops in the same order. Runs that are there already are not repeated.
"""

import argparse
import json
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def configuration(arch: str, kind: str, seed: int, args: argparse.Namespace) -> dict:
    return {
        "model": {"arch": arch, "preset": "light", "name": f"{arch}-{kind}", "convolution": kind},
        "data": {
            "split": str(ROOT / "data/splits/mri-denoise.json"),
            "noise_percent": [10, 10],
            "crop": args.crop,
        },
        "optim": {"name": "adam", "learning_rate": 1e-3},
        "schedule": {"name": "cosine"},
        "loss": {"name": "l1"},
        "train": {
            "iterations": args.steps,
            "batch": args.batch,
            "validate_every": args.steps,
            "validation_slices": 6,
            "log_every": max(1, args.steps // 10),
        },
        "seed": seed,
    }


def run(arch: str, kind: str, seed: int, args: argparse.Namespace) -> tuple[float, float]:
    """The last validation's PSNR of the network and of its noisy input, dB."""
    folder = args.output / f"{arch}-{kind}-{seed}"
    log = folder / "log.jsonl"
    if not log.exists():
        args.output.mkdir(parents=True, exist_ok=True)
        config = args.output / f"{arch}-{kind}-{seed}.json"
        config.write_text(json.dumps(configuration(arch, kind, seed, args)))
        command = [args.restore, "train", "-c", str(config), "-o", str(folder), "-q"]
        subprocess.run(command, check=True)
    records = [json.loads(line) for line in log.read_text().splitlines()]
    found = [record for record in records if any("alidation" in key for key in record)]
    last = found[-1]
    def value(*words: str) -> float:
        return next(last[key] for key in last if key.lower().replace("_", "") in words)
    return value("validationpsnr"), value("noisypsnr", "degradedpsnr")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restore", default=str(ROOT / ".build/release/restore"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--archs", nargs="+", default=["dncnn", "nafnet"])
    parser.add_argument("--kinds", nargs="+", default=["plain", "weighted"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--crop", type=int, default=48)
    args = parser.parse_args()
    print(f"{args.steps} steps, batch {args.batch}, crops of {args.crop}, seeds "
          + ", ".join(map(str, args.seeds)))
    print("| network | convolution | PSNR, dB | spread | of each seed | noisy |")
    print("|---|---|---|---|---|---|")
    for arch in args.archs:
        rows: dict[str, list[float]] = {}
        for kind in args.kinds:
            pairs = [run(arch, kind, seed, args) for seed in args.seeds]
            rows[kind] = [pair[0] for pair in pairs]
            spread = statistics.stdev(rows[kind]) if len(pairs) > 1 else 0
            each = ", ".join(f"{psnr:.2f}" for psnr in rows[kind])
            print(f"| {arch} | {kind} | {statistics.mean(rows[kind]):.2f} | {spread:.2f} | {each} "
                  f"| {pairs[0][1]:.2f} |", flush=True)
        for kind in args.kinds[1:]:
            differences = [b - a for a, b in zip(rows[args.kinds[0]], rows[kind])]
            print(f"{arch}: {kind} minus {args.kinds[0]} by seed: "
                  + ", ".join(f"{difference:+.2f}" for difference in differences) + " dB", flush=True)


if __name__ == "__main__":
    main()
