"""Times Restore-RWKV in PyTorch on the CPU and prints one JSON document."""

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch


# Large buffers stay with the process instead of going back to the system after each use.
KEEP_MEMORY = ":".join(
    f"glibc.malloc.{name}={value}"
    for name, value in (("mmap_threshold", 2**32), ("trim_threshold", 2**34), ("top_pad", 2**28))
)


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def peak_rss() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(function: Callable[[], object], warmup: int, repeats: int) -> list[float]:
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return seconds


def summary(seconds: list[float]) -> dict:
    first, median, third = statistics.quantiles(seconds, n=4, method="inclusive")
    return {
        "seconds": seconds,
        "minimum": min(seconds),
        "first_quartile": first,
        "median": median,
        "third_quartile": third,
    }


def gemm_gflops(repeats: int, size: int = 2048) -> float:
    """Median speed of a float32 matrix product, the machine's reference."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    seconds = timed(lambda: torch.mm(a, b, out=out), 2, max(repeats, 10))
    return 2 * size**3 / statistics.median(seconds) / 1e9


def inference(args: argparse.Namespace) -> Callable[[], object]:
    from restore_rwkv import RestoreRWKV

    network = RestoreRWKV().fold()
    image = torch.rand(1, 1, *args.shape)
    if args.compile:
        import torch._inductor.config as inductor

        inductor.freezing = True
        network = torch.compile(network)

    @torch.inference_mode(not args.compile)
    @torch.no_grad()
    def step() -> object:
        return network(image)

    return step


def training(args: argparse.Namespace) -> Callable[[], object]:
    from restore_rwkv import RestoreRWKV

    network = RestoreRWKV().train()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4)
    image, target = torch.rand(2, args.batch, 1, *args.shape)
    if args.compile:
        network = torch.compile(network)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        (network(image) - target).abs().mean().backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("inference", "training", "gemm"))
    parser.add_argument("--shape", type=int, nargs=2, metavar=("H", "W"))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--compile", action="store_true", help="torch.compile (with freezing)")
    parser.add_argument("--keep-memory", action="store_true", help="avoid page faults, see README")
    args = parser.parse_args()
    if args.keep_memory and "GLIBC_TUNABLES" not in os.environ:  # read when the process starts
        os.environ["GLIBC_TUNABLES"] = KEEP_MEMORY
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    report: dict = {
        "mode": args.mode,
        "threads": args.threads,
        "compiled": args.compile,
        "keep_memory": args.keep_memory,
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "cpu": cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    if args.mode != "gemm":
        args.shape = args.shape or ([256, 256] if args.mode == "inference" else [128, 128])
        report["shape"] = [args.batch, 1, *args.shape]
        report["rss_after_import"] = peak_rss()
        step = inference(args) if args.mode == "inference" else training(args)
        report["results"] = summary(timed(step, args.warmup, args.repeats))
        report["results"]["peak_rss"] = peak_rss()
    report["gemm_gflops"] = gemm_gflops(args.repeats)
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
