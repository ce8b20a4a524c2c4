"""Times wavelet and Fourier transforms, FDConv and FS-RWKV on the CPU and prints one JSON document.

Wavelets are those of PyWavelets, Fourier transforms those of scipy.fft with one worker and with all.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch


def median(function: Callable[[], object], warmup: int, repeats: int) -> float:
    """Median time in milliseconds."""
    for _ in range(warmup):
        function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds)


def transforms(args: argparse.Namespace) -> dict[str, float]:
    import pywt
    import scipy.fft

    results = {}
    rng = np.random.default_rng(0)
    for n, side, channels in ((1, 1024, 1), (16, 256, 1), (1, 256, 48)):
        # The best layout for both libraries: contiguous images.
        x = rng.standard_normal((n * channels, side, side)).astype(np.float32)
        size = f"{n}x{side}x{side}x{channels}"
        for name in ("haar", "db4", "bior4.4"):
            bands = pywt.dwt2(x, name, "symmetric")
            results[f"dwt2 {name} {size}"] = median(
                lambda: pywt.dwt2(x, name, "symmetric"), 2, args.repeats
            )
            results[f"idwt2 {name} {size}"] = median(
                lambda: pywt.idwt2(bands, name, "symmetric"), 2, args.repeats
            )
    for n, side, channels in ((1, 1024, 1), (16, 256, 1), (1, 256, 48), (1, 576, 1), (1, 2304, 1)):
        x = rng.standard_normal((n * channels, side, side)).astype(np.float32)
        size = f"{n}x{side}x{side}x{channels}"
        spectrum = scipy.fft.rfft2(x)
        for workers in (1, args.threads):
            results[f"rfft2 {size}, {workers} workers"] = median(
                lambda: scipy.fft.rfft2(x, workers=workers), 2, args.repeats
            )
            results[f"irfft2 {size}, {workers} workers"] = median(
                lambda: scipy.fft.irfft2(spectrum, s=(side, side), workers=workers), 2, args.repeats
            )
    return results


def fdconv(args: argparse.Namespace) -> dict[str, float]:
    from fdconv import FDConv

    results = {}
    for b, c, k, side in LAYERS:
        layer = FDConv(c, c, k, 64 if c >= 64 else 16)
        size = f"{b}x{side}x{side}x{c}, {k}x{k}"
        x = torch.randn(b, c, side, side)
        layer.eval()
        with torch.inference_mode():
            results[f"fdconv {size}"] = median(lambda: layer(x), 3, args.repeats)
        if b < 2:
            continue
        layer.train()
        x.requires_grad_()
        upstream = torch.randn(b, c, side, side)

        def step() -> None:
            layer.zero_grad(set_to_none=True)
            x.grad = None
            layer(x).backward(upstream)

        results[f"fdconv {size}, forward and backward"] = median(step, 3, args.repeats)
    return results


LAYERS = [(1, 64, 3, 64), (2, 64, 3, 64), (2, 64, 1, 64), (2, 128, 3, 32), (2, 256, 3, 16), (4, 32, 3, 128)]


def network(args: argparse.Namespace) -> dict[str, float]:
    from fs_rwkv import FSRWKV

    model, x = FSRWKV().eval(), torch.rand(1, 1, args.side, args.side)
    with torch.inference_mode():
        return {f"fs-rwkv 1x{args.side}x{args.side}": median(lambda: model(x), 1, args.runs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", nargs="+", choices=("transforms", "fdconv", "network"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--runs", type=int, default=5, help="timed passes of the network")
    parser.add_argument("--side", type=int, default=256)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    measures = {"transforms": transforms, "fdconv": fdconv, "network": network}
    results = {}
    for subject in args.subjects:
        results |= measures[subject](args)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    print(
        json.dumps(
            {"threads": args.threads, "versions": versions, "milliseconds": results}, indent=2
        )
    )


if __name__ == "__main__":
    main()
