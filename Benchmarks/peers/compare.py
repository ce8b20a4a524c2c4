"""Takes turns with PyTorch, round by round, and prints each row of the goals with its ratio.

Every opponent is a process of its own that waits while it is not its turn; a round of ours is a
fresh `restore bench`. Ratios are formed within a round, medians and quartiles over rounds.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Peer:
    """A waiting peer.py."""

    def __init__(self, *arguments: str, threads: int) -> None:
        command = [sys.executable, str(HERE / "peer.py"), *arguments, "--serve"]
        self.process = subprocess.Popen(
            [*command, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.report = self.answer()

    def answer(self) -> dict | list:
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the peer ended with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, request: str) -> dict | list:
        print(request, file=self.process.stdin, flush=True)
        return self.answer()

    def seconds(self, repeats: int) -> float:
        return statistics.median(self.ask(f"run {repeats}"))

    def stop(self) -> int:
        """Ends it; its peak memory in bytes."""
        memory = self.ask("stop")["peak_rss"]
        self.process.wait()
        return memory


class Ours:
    """`restore bench` with fixed options."""

    def __init__(self, restore: str, threads: int, *arguments: str) -> None:
        self.command = [restore, "bench", "--json", "--threads", str(threads), *arguments]

    def part(self) -> dict:
        result = subprocess.run(self.command, check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(result.stdout)["parts"][0]

    def model(self, runs: int) -> dict:
        self.command += ["--runs", str(runs)]
        part = self.part()
        del self.command[-2:]
        return part["model"] | {"peak": part["peak"]}


def text(values: list[float], form: str = ".3f", unit: str = "") -> str:
    """Median with quartiles."""
    if len(values) == 1:
        return f"{values[0]:{form}}{unit}"
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:{form}}{unit} ({first:{form}} to {third:{form}})"


def note(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def row(what: str, ours: str, other: str, result: str, goal: str) -> None:
    print(f"| {what} | {ours} | {other} | {result} | {goal} |", flush=True)


def duel(args: argparse.Namespace, what: str, goal: str, ours: list[str], peer: list[str]) -> None:
    """One row: the time of a network against PyTorch's."""
    opponent = Peer(*peer, threads=args.threads)
    mine = Ours(args.restore, args.threads, *ours)
    times, theirs, shares, memory = [], [], [], []
    for number in range(args.rounds):
        found = mine.model(args.repeats)
        time.sleep(0.3)  # idle OpenMP workers spin for a while
        times.append(found["timing"]["median"])
        theirs.append(opponent.seconds(args.repeats))
        time.sleep(0.3)
        shares.append(100 * found["shareOfMultiplyAdd"])
        memory.append(found["peakMemoryBytes"] / 1e6)
        note(f"{what}, round {number + 1}: {times[-1]:.3f} s, PyTorch {theirs[-1]:.3f} s")
    peak = opponent.stop() / 1e6
    ratios = [b / a for a, b in zip(times, theirs, strict=True)]
    row(what, text(times, ".3f", " s"), text(theirs, ".3f", " s"), text(ratios, ".2f", "x"), goal)
    row(f"{what}: share of the FMA peak", text(shares, ".0f", " %"), "", "", "")
    row(
        f"{what}: peak memory",
        text(memory, ".0f", " MB"),
        f"{peak:.0f} MB",
        f"{statistics.median(memory) / peak:.2f}",
        "",
    )


def eager(args: argparse.Namespace) -> None:
    ours = ["-m", "restore-rwkv:full", "--shape", "1x256x256"]
    duel(args, "full, 1x256x256, against eager", "4x", ours, ["inference", *args.peer_options])


def compiled(args: argparse.Namespace) -> None:
    ours = ["-m", "restore-rwkv:full", "--shape", "1x256x256"]
    peer = ["inference", "--compile", *args.peer_options]
    duel(args, "full, 1x256x256, against compiled and frozen", "2x", ours, peer)


def bf16(args: argparse.Namespace) -> None:
    """bf16 against our float32, and against PyTorch's autocast."""
    shape = ["-m", "restore-rwkv:full", "--shape", "1x256x256"]
    half = [*shape, "--precision", "bf16"]
    single, mine = (Ours(args.restore, args.threads, *options) for options in (shape, half))
    opponent = Peer("inference", "--bf16", *args.peer_options, threads=args.threads)
    times, own, theirs = [], [], []
    for number in range(args.rounds):
        times.append(mine.model(args.repeats)["timing"]["median"])
        own.append(single.model(args.repeats)["timing"]["median"])
        time.sleep(0.3)
        theirs.append(opponent.seconds(args.repeats))
        time.sleep(0.3)
        note(f"bf16, round {number + 1}: {times[-1]:.3f}, {own[-1]:.3f}, {theirs[-1]:.3f} s")
    opponent.stop()
    for name, other, goal in (("our float32", own, "1.5x"), ("autocast", theirs, "")):
        ratios = [b / a for a, b in zip(times, other, strict=True)]
        row(
            f"full, 1x256x256, bf16 against {name}",
            text(times, ".3f", " s"),
            text(other, ".3f", " s"),
            text(ratios, ".2f", "x"),
            goal,
        )


def training(args: argparse.Namespace) -> None:
    ours = ["-m", "restore-rwkv:full", "--shape", "1x128x128", "--train"]
    peer = ["training", "--shape", "128", "128", *args.peer_options]
    duel(args, "full, 1x128x128, forward + backward + AdamW, against eager", "3x", ours, peer)


def light(args: argparse.Namespace) -> None:
    ours = ["-m", "restore-rwkv:light", "--shape", "1x512x512"]
    peer = ["inference", "--light", "--shape", "512", "512", *args.peer_options]
    duel(args, "light, 1x512x512, against eager", "4x", ours, peer)


def wkv(args: argparse.Namespace) -> None:
    """The operator: our share of the bandwidth bound, and PyTorch's operator."""
    mine = Ours(args.restore, args.threads, "--ops", "--only", "wkv")
    peers = {
        channels: Peer("wkv", "--channels", str(channels), threads=args.threads)
        for channels in (48, 96)
    }
    times, theirs, shares = ({48: [], 96: []} for _ in range(3))
    for number in range(args.rounds):
        entries = mine.part()["measurements"]
        found = {entry["size"]: entry for entry in entries if entry["name"] == "WKV"}
        for channels, peer in peers.items():
            time.sleep(0.3)
            theirs[channels].append(1e3 * peer.seconds(20))
            entry = found[f"65536 x {channels}"]
            times[channels].append(1e3 * entry["timing"]["median"])
            shares[channels].append(100 * entry["share"])
        note(f"WKV, round {number + 1}")
    for channels, goal in ((48, "40 %"), (96, "35 %")):
        peers[channels].stop()
        pairs = zip(times[channels], theirs[channels], strict=True)
        row(
            f"WKV forward, 65536 tokens, C = {channels}: share of the bandwidth bound",
            text(times[channels], ".2f", " ms"),
            text(theirs[channels], ".2f", " ms"),
            text(shares[channels], ".0f", " %") + ", " + text([b / a for a, b in pairs], ".2f", "x"),
            goal,
        )


def start(args: argparse.Namespace) -> None:
    """From the start of the process to the restored slice."""
    bundle, image = ROOT / "data/models/mri-denoise", ROOT / "data/scans/ants_r30.png"
    with tempfile.TemporaryDirectory() as folder:
        source, ours, theirs = (Path(folder) / name for name in ("in.npy", "ours.png", "theirs.npy"))
        as_array(image, source)
        commands = (
            [args.restore, "run", "-q", "-i", str(image), "-o", str(ours), "-m", str(bundle),
             "--overwrite", "--threads", str(args.threads)],
            [sys.executable, str(HERE / "first_slice.py"), str(bundle), str(source), str(theirs),
             str(args.threads)],
        )
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(max(args.rounds, 7) + 1):
            for command, seconds in zip(commands, times, strict=True):
                begin = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                if number > 0:  # the first round fills the system's cache of files
                    seconds.append(time.perf_counter() - begin)
        as_array(ours, ours.with_suffix(".npy"))
        differ = difference(ours.with_suffix(".npy"), theirs)
    ratios = [b / a for a, b in zip(*times, strict=True)]
    row(
        f"start to first restored slice (results differ by {differ} grey levels at most)",
        text(times[0], ".3f", " s"),
        text(times[1], ".3f", " s"),
        text(ratios, ".2f", "x"),
        "5x",
    )


def scaling(args: argparse.Namespace) -> None:
    """Time and memory of ours alone, at sides that double."""
    for preset, sides in (("light", (256, 512, 1024, 2048)), ("full", (256, 512, 1024))):
        first = None
        for side in sides:
            shape = ["--shape", f"1x{side}x{side}"]
            found = Ours(args.restore, args.threads, "-m", f"restore-rwkv:{preset}", *shape).model(
                args.rounds if side <= 512 else 1
            )
            seconds = found["timing"]["median"]
            first = first or seconds
            memory = found["peakMemoryBytes"] / 1e6
            row(
                f"{preset}, {side}x{side}",
                f"{seconds:.3f} s",
                f"{memory:.0f} MB",
                f"{seconds / first:.1f} times {sides[0]}x{sides[0]}",
                f"{(side / sides[0]) ** 2 * 1.05:.1f} times at most",
            )


def as_array(picture: Path, target: Path) -> None:
    import numpy as np
    from PIL import Image

    np.save(target, np.asarray(Image.open(picture)))


def difference(first: Path, second: Path) -> int:
    import numpy as np

    return int(np.abs(np.load(first).astype(int) - np.load(second).astype(int)).max())


ROWS = {
    function.__name__: function
    for function in (eager, compiled, bf16, training, light, wkv, start, scaling)
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("restore", help="the restore tool")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2, help="timed steps of each side a round")
    parser.add_argument("--keep-memory", action="store_true", help="kindest to PyTorch, see README")
    args = parser.parse_args()
    for name in args.rows:
        if name not in ROWS:
            parser.error(f"no row {name}; there are {', '.join(ROWS)}")
    args.peer_options = ["--keep-memory"] * args.keep_memory
    print(f"{args.threads} threads, {args.rounds} rounds of {args.repeats}; median (quartiles)\n")
    print("| what | restore | PyTorch | ratio | goal |\n|---|---|---|---|---|", flush=True)
    for name in args.rows or ROWS:
        if name == "scaling":
            print("\n| what | time | peak memory | growth | goal |\n|---|---|---|---|---|")
        ROWS[name](args)


if __name__ == "__main__":
    main()
