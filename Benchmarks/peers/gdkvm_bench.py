"""Times GDKVM on a clip in PyTorch on the CPU, by turns with `restore bench`; prints one JSON document."""

import argparse
import json
import statistics
import subprocess
import time

import torch

from gdkvm import GDKVM


def timed(program: str, shape: list[int], threads: int) -> float:
    """The median of our own clips, seconds."""
    command = [program, "bench", "-m", "gdkvm:full", "--clip", "--json", "--runs", "2"]
    command += ["--shape", "x".join(map(str, shape)), "--threads", str(threads)]
    result = subprocess.run(command, check=True, capture_output=True)
    return json.loads(result.stdout)["parts"][0]["model"]["timing"]["median"]


def ratio(theirs: list[float], ours: list[float]) -> list[float]:
    """First quartile, median and third quartile of the ratios of the rounds."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[10, 112, 112], metavar=("T", "H", "W"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--restore", help="the program, to take turns with")
    parser.add_argument("--compile", action="store_true", help="under torch.compile, frozen")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = GDKVM().eval().to(memory_format=torch.channels_last)
    if args.compile:
        import torch._inductor.config as inductor

        inductor.freezing = True
        # What runs once a clip and once a frame: the loop over frames, written out, takes a quarter of an
        # hour and more to compile.
        network.image.stages = torch.compile(network.image.stages, dynamic=False)
        network.encode_mask = torch.compile(network.encode_mask, dynamic=False)
        network.segment = torch.compile(network.segment, dynamic=False)
    frames, height, width = args.shape
    clip = torch.rand(1, frames, 1, height, width)
    seconds, ours = [], []
    with torch.no_grad():
        for step in range(args.warmup + args.repeats):
            start = time.perf_counter()
            network(clip)
            if step >= args.warmup:
                seconds.append(time.perf_counter() - start)
                if args.restore:
                    time.sleep(0.3)  # idle OpenMP workers spin for a while
                    ours.append(timed(args.restore, args.shape, args.threads))
    median = statistics.median(seconds)
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "compiled": args.compile,
                "parameters": sum(p.numel() for p in network.parameters()),
                "shape": args.shape,
                "threads": args.threads,
                "seconds": seconds,
                "frames_per_second": frames / median,
            }
            | ({"restore_seconds": ours, "ratio": ratio(seconds, ours)} if ours else {})
        )
    )


if __name__ == "__main__":
    main()
