"""Times the stroke system of a bundle in PyTorch on the CPU, and compares with `restore segment`.

Both get the same brain: T1 and FLAIR at 1 mm without the skull. PyTorch's time is that of the arrays
(norms and networks); ours is `inferenceSeconds` of the report, which is that and the way between file
order and network order.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

import nibabel
import numpy
import torch

from stroke import System
from weights import load


def field(paths):
    """The brain's box, continued with zeros to multiples of 16, [D0, D1, D2, C]; and the way back."""
    images = [nibabel.as_closest_canonical(nibabel.load(path)) for path in paths]
    arrays = [numpy.asarray(image.dataobj, numpy.float32).transpose(2, 1, 0) for image in images]
    where = numpy.nonzero(arrays[0] > 0)
    box = tuple(slice(int(w.min()), int(w.max()) + 1) for w in where)
    cut = numpy.stack([array[box] for array in arrays], axis=3)
    sizes = [(n + 15) // 16 * 16 for n in cut.shape[:3]]
    before = [(size - n) // 2 for size, n in zip(sizes, cut.shape)]
    widths = [(b, s - n - b) for b, s, n in zip(before, sizes, cut.shape)] + [(0, 0)]
    inner = tuple(slice(b, b + n) for b, n in zip(before, cut.shape))
    return torch.from_numpy(numpy.pad(cut, widths)), inner, box


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("images", nargs=2, metavar=("T1", "FLAIR"))
    parser.add_argument("--restore", help="the program, to take turns with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8, help="slices at once in PyTorch")
    parser.add_argument("--compile", action="store_true", help="under torch.compile, frozen")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    card = json.loads((args.bundle / "model.json").read_text())["hyperparameters"]
    system = System(card["path"]["channels"], card["combiner_channels"], card["paths"])
    stored, _ = load(args.bundle / "weights.safetensors")
    missing, surplus = system.load_state_dict(stored, strict=False)
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    assert not missing and not surplus, (missing, surplus)
    system = system.eval()
    for path in system.paths.values():
        for part in (path.anat_encoder, path.flair_encoder, path.decoder):
            part.to(memory_format=torch.channels_last)
    system.combiner.to(memory_format=torch.channels_last_3d)
    if args.compile:
        import torch._inductor.config as inductor

        inductor.freezing = True
        torch._dynamo.config.recompile_limit = 64  # nine networks of one class
        for name in system.names:
            system.paths[name] = torch.compile(system.paths[name], dynamic=False)
        system.combiner = torch.compile(system.combiner, dynamic=False)
    volume, inner, box = field(args.images)
    # Whole batches alone, so that each shape is compiled once. Compiled code is made anew at the second
    # call.
    for _ in range(2 if args.compile else 1):
        system.probability(volume, args.batch)
    ours, theirs, peaks, report = [], [], [], None
    for _ in range(args.rounds):
        start = time.perf_counter()
        probability = system.probability(volume, args.batch)
        theirs.append(time.perf_counter() - start)
        if args.restore:
            with tempfile.TemporaryDirectory() as folder:
                output = f"{folder}/lesion.nii.gz"
                command = [args.restore, "segment", "-i", *args.images, "-o", output]
                command += ["-m", str(args.bundle), "-t", str(args.threads), "--json", "-q"]
                report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
                ours.append(report["inferenceSeconds"])
                peaks.append(report["peakMemoryBytes"])
                found = nibabel.as_closest_canonical(nibabel.load(report["probability"]))
                found = numpy.asarray(found.dataobj, numpy.float32).transpose(2, 1, 0)[box]
    result = {
        "torch": torch.__version__,
        "compiled": args.compile,
        "field": list(volume.shape),
        "threads": args.threads,
        "batch": args.batch,
        "torch_seconds": theirs,
        "torch_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    if args.restore:
        theirs_inside = probability.numpy()[inner]
        result |= {
            "restore_seconds": ours,
            "restore_total_seconds": report["seconds"],
            "restore_peak_bytes": max(peaks),
            "ratio": statistics.median(a / b for a, b in zip(theirs, ours)),
            "largest_difference": float(numpy.abs(found - theirs_inside).max()),
            "voxels_with_another_label": int(((found > 0.5) != (theirs_inside > 0.5)).sum()),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
