"""Turns `restore bench --ops --blocks --json` (files or standard input) into Markdown tables."""

import json
import sys
from pathlib import Path


def cells(item: dict) -> list[str]:
    timing = item["timing"]
    low, median, high = (1e3 * timing[k] for k in ("firstQuartile", "median", "thirdQuartile"))
    rate = f"{item['gflops']:.0f} GFLOP/s" if "gflops" in item else ""
    rate = rate or f"{item['gigabytesPerSecond']:.1f} GB/s"
    row = [item["name"], item["size"], f"{median:.2f} ({low:.2f} to {high:.2f})", rate]
    row.append(f"{100 * item['share']:.0f} %")
    if "opponent" in item:
        other = item["opponent"]
        row += [f"{1e3 * other['timing']['median']:.2f}", f"{other['ratio']:.2f}"]
    else:
        row += ["", ""]
    return row


def show(document: dict) -> None:
    print(f"{document['processor']}; {document['backEnd']}")
    for name, value in sorted(document["environment"].items()):
        print(f"{name}={value}")
    for part in document["parts"]:
        peak = part["peak"]
        print(
            f"\n{peak['threads']} thread(s), {peak['instructionSet']}: "
            f"{peak['multiplyAdd']:.0f} GFLOP/s multiply-add, {peak['triad']:.1f} GB/s triad\n"
        )
        print("| operation | size | ms (quartiles) | rate | of peak | oneDNN, ms | oneDNN / ours |")
        print("|---|---|---|---|---|---|---|")
        for item in part["measurements"]:
            print("| " + " | ".join(cells(item)) + " |")


if __name__ == "__main__":
    for text in [Path(name).read_text() for name in sys.argv[1:]] or [sys.stdin.read()]:
        show(json.loads(text))
