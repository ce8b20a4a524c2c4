"""One PyTorch network as an opponent: prints JSON, or with --serve answers requests on stdin.

With --serve each line `run N` on standard input times N steps and answers with a JSON list of
seconds; `stop` answers with the peak memory and ends. So another program can take turns with it.
"""

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
LIGHT = {"dim": 12, "num_blocks": (4, 4, 4, 4), "num_refinement_blocks": 4}

Step = Callable[[], object]


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def peak_rss() -> int:
    """Largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(step: Step, repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def inference(args: argparse.Namespace) -> Step:
    from restore_rwkv import RestoreRWKV

    network = RestoreRWKV(**(LIGHT if args.light else {})).fold()
    image = torch.rand(args.batch, 1, *args.shape)
    if args.channels_last:
        network = network.to(memory_format=torch.channels_last)
        image = image.to(memory_format=torch.channels_last)
    if args.compile:
        import torch._inductor.config as inductor

        inductor.freezing = True  # as TORCHINDUCTOR_FREEZING=1: weights become constants
        network = torch.compile(network)
    autocast = torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.bf16)

    # Freezing needs no_grad; inference_mode is a little faster for eager.
    @torch.inference_mode(not args.compile)
    @torch.no_grad()
    def step() -> object:
        with autocast:
            return network(image)

    return step


def training(args: argparse.Namespace) -> Step:
    from restore_rwkv import RestoreRWKV

    network = RestoreRWKV(**(LIGHT if args.light else {})).train()
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


def wkv(args: argparse.Namespace) -> Step:
    """The operator alone: one recurrence over the tokens of an image, C = --channels."""
    from wkv import wkv as operator

    tokens = args.shape[0] * args.shape[1]
    w, u = torch.randn(2, args.channels) / tokens
    k, v = torch.rand(2, 1, tokens, args.channels) - 0.5

    @torch.inference_mode()
    def step() -> object:
        return operator(w, u, k, v)

    return step


def serve(step: Step) -> None:
    """Answers `run N` with seconds and `stop` with the peak memory."""
    for line in sys.stdin:
        word, *rest = line.split()
        if word == "stop":
            print(json.dumps({"peak_rss": peak_rss()}), flush=True)
            return
        print(json.dumps(timed(step, int(rest[0]))), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=("inference", "training", "wkv"))
    parser.add_argument("--shape", type=int, nargs=2, metavar=("H", "W"), default=(256, 256))
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--channels", type=int, default=48, help="of the operator alone")
    parser.add_argument("--light", action="store_true", help="the light network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--compile", action="store_true", help="torch.compile, weights frozen")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--channels-last", action="store_true", help="memory format")
    parser.add_argument("--keep-memory", action="store_true", help="avoid page faults, see README")
    parser.add_argument("--serve", action="store_true", help="take turns, see above")
    args = parser.parse_args()
    if args.keep_memory and "GLIBC_TUNABLES" not in os.environ:  # read when the process starts
        os.environ["GLIBC_TUNABLES"] = KEEP_MEMORY
        os.execv(sys.executable, [sys.executable, *sys.argv])
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rss_after_import = peak_rss()
    step = {"inference": inference, "training": training, "wkv": wkv}[args.mode](args)
    for _ in range(args.warmup):
        step()
    report = {
        "options": {key: value for key, value in vars(args).items() if key != "serve"},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "cpu": cpu_model(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "rss_after_import": rss_after_import,
    }
    if args.serve:
        print(json.dumps(report), flush=True)
        return serve(step)
    seconds = timed(step, args.repeats)
    first, median, third = statistics.quantiles(seconds, n=4, method="inclusive")
    report["results"] = {
        "seconds": seconds,
        "first_quartile": first,
        "median": median,
        "third_quartile": third,
        "peak_rss": peak_rss(),
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
