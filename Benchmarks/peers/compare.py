"""Runs `restore bench` and the PyTorch peer in turn and prints the ratio of their times."""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def run_json(command: list[str]) -> dict:
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output)


def results(document: dict) -> dict:
    """The record with the times: `results` itself, or the first of a list."""
    found = document["results"]
    return found[0] if isinstance(found, list) else found


def quartiles(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3f}"
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.3f} ({first:.3f} to {third:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("restore", help="the restore tool")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of the peer a round")
    parser.add_argument("--compile", action="store_true", help="the peer under torch.compile")
    parser.add_argument("--keep-memory", action="store_true", help="see README")
    args = parser.parse_args()

    ours_command = [args.restore, "bench", "-m", "restore-rwkv", "--json"]
    ours_command += ["--shape", f"1x{args.size}x{args.size}", "--threads", str(args.threads)]
    peer_command = [sys.executable, str(HERE / "restore_rwkv_bench.py"), "inference"]
    peer_command += ["--shape", str(args.size), str(args.size), "--threads", str(args.threads)]
    peer_command += ["--repeats", str(args.repeats)]
    peer_command += ["--compile"] * args.compile + ["--keep-memory"] * args.keep_memory

    ours, peer, ratios, memory = [], [], [], []
    for round_number in range(args.rounds):
        document, opponent = run_json(ours_command), run_json(peer_command)
        ours.append(statistics.median(results(document)["seconds"]))
        peer.append(statistics.median(opponent["results"]["seconds"]))
        ratios.append(peer[-1] / ours[-1])
        memory.append(opponent["results"]["peak_rss"])
        print(
            f"round {round_number + 1}: restore {ours[-1]:.3f} s, PyTorch {peer[-1]:.3f} s,"
            f" ratio {ratios[-1]:.2f}",
            file=sys.stderr,
        )
    print("| | median (quartiles) |\n|---|---|")
    print(f"| restore, s | {quartiles(ours)} |")
    print(f"| PyTorch, s | {quartiles(peer)} |")
    print(f"| PyTorch / restore | {quartiles(ratios)} |")
    print(f"| PyTorch peak memory, MiB | {statistics.median(memory) / 2**20:.0f} |")


if __name__ == "__main__":
    main()
