"""TVConv in PyTorch, eager, as an opponent of `restore bench --convolutions`.

Written from the paper (Chen et al., CVPR 2022): the kernels are generated in every pass, the image is
unfolded, multiplied and summed. Prints one JSON object a size: milliseconds, medians.

With --restore PROGRAM the two programs take turns and a table with the ratios is printed.
"""

import argparse
import json
import statistics
import subprocess
import time

import torch
from torch import nn

SIZES = [(1, 16, 1920), (4, 16, 1920), (16, 16, 1920), (16, 32, 64)]


class TVConv(nn.Module):
    """Depthwise convolution with a generated kernel at each of the h x w positions."""

    def __init__(self, channels: int, h: int, w: int, k: int = 3, stride: int = 1,
                 affinity: int = 4, inter: int = 64, layers: int = 3) -> None:
        super().__init__()
        self.channels, self.k, self.h, self.w = channels, k, h, w
        self.posi_map = nn.Parameter(torch.ones(1, affinity, h, w))
        blocks = [
            nn.Sequential(
                nn.Conv2d(affinity if index == 0 else inter, inter, 3, padding=1, bias=False),
                nn.LayerNorm([inter, h, w]),
                nn.ReLU(),
            )
            for index in range(layers + 1)
        ]
        last = nn.Conv2d(inter, channels * k * k, 3, padding=1, bias=False)
        self.weight_layers = nn.Sequential(*blocks, last)
        self.unfold = nn.Unfold(k, padding=k // 2, stride=stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight = self.weight_layers(self.posi_map)
        weight = weight.view(1, self.channels, self.k * self.k, self.h, self.w)
        windows = self.unfold(x).view(
            x.shape[0], self.channels, self.k * self.k, self.h, self.w)
        return (weight * windows).sum(dim=2)


def median_ms(step, seconds: float) -> float:
    step()
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def measure(batch: int, side: int, channels: int, seconds: float) -> dict:
    module = TVConv(channels, side, side)
    image = torch.rand(batch, channels, side, side)
    tracked = image.clone().requires_grad_()
    upstream = torch.ones_like(image)

    @torch.inference_mode()
    def forward() -> None:
        module(image)

    def both() -> None:
        module.zero_grad(set_to_none=True)
        tracked.grad = None
        module(tracked).backward(upstream)

    return {"size": f"{batch} x {side} x {side} x {channels}",
            "forward": median_ms(forward, seconds), "both": median_ms(both, seconds)}


def ours(program: str, train: bool) -> dict:
    command = [program, "bench", "--convolutions", "--json"] + (["--train"] if train else [])
    document = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    found = {}

    def walk(value) -> None:
        if isinstance(value, dict):
            if "size" in value and str(value.get("name", "")).startswith("tvconv"):
                found[value["size"]] = 1e3 * value["timing"]["median"]
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(document)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--restore", help="the program to take turns with")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {args.threads} threads, "
          f"{torch.backends.cpu.get_cpu_capability()}")
    if not args.restore:
        for size in SIZES:
            print(json.dumps(measure(*size, args.seconds)))
        return
    forward, both = ours(args.restore, False), ours(args.restore, True)
    print("| size | PyTorch forward | restore | ratio | PyTorch both | restore | ratio |")
    print("|---|---|---|---|---|---|---|")
    for size in SIZES:
        peer = measure(*size, args.seconds)
        name = peer["size"]
        print(f"| {name} | {peer['forward']:.2f} ms | {forward[name]:.2f} ms | "
              f"{peer['forward'] / forward[name]:.1f} | {peer['both']:.1f} ms | "
              f"{both[name]:.1f} ms | {peer['both'] / both[name]:.2f} |")


if __name__ == "__main__":
    main()
