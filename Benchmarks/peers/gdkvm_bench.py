"""Times GDKVM on a clip in PyTorch on the CPU and prints one JSON document."""

import argparse
import json
import statistics
import time

import torch

from gdkvm import GDKVM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", type=int, nargs=3, default=[10, 112, 112], metavar=("T", "H", "W"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="under torch.compile, frozen")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    network = GDKVM().eval().to(memory_format=torch.channels_last)
    if args.compile:
        import torch._inductor.config as inductor

        inductor.freezing = True
        network = torch.compile(network)
    frames, height, width = args.shape
    clip = torch.rand(1, frames, 1, height, width)
    seconds = []
    with torch.no_grad():
        for step in range(args.warmup + args.repeats):
            start = time.perf_counter()
            network(clip)
            if step >= args.warmup:
                seconds.append(time.perf_counter() - start)
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
        )
    )


if __name__ == "__main__":
    main()
