"""Checks the FS-RWKV and FDConv peers against golden files (model.fs_rwkv, layer.fdconv with FBM)."""

import argparse
import json
import sys
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from fdconv import FDConv
from fs_rwkv import FSRWKV


def check(path: Path) -> bool:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    config, tolerance = json.loads(metadata["config"]), json.loads(metadata["tolerance"])
    if metadata["subject"] == "model.fs_rwkv":
        network = FSRWKV(
            *(config[k] for k in ("dim", "num_blocks", "num_refinement_blocks", "in_channels")),
            config["out_channels"], config["hidden_rate"],
        )  # fmt: skip
    elif metadata["subject"] == "layer.fdconv":
        network = FDConv(
            config["in_channels"], config["out_channels"], config["kernel_size"],
            config["kernel_num"],
        )  # fmt: skip
    else:
        sys.exit(f"unknown subject {metadata['subject']}")
    state = {
        name.removeprefix("param."): value.float()
        for name, value in tensors.items()
        if name.startswith("param.") and "dwt." not in name
    }
    # Batch counters are the only entries that a golden file leaves out.
    missing = network.load_state_dict(state, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing), missing

    def error(mode: str, name: str) -> float:
        network.load_state_dict(state, strict=False)
        y: Tensor = network.train(mode == "train")(tensors["input.x"])
        allowed = tolerance["forward"] * tensors[name].abs().max() + tolerance["absolute"]
        return ((y - tensors[name]).abs().max() / allowed).item()

    worst = error(metadata["mode"], "output.y")
    if "expect.eval_y" in tensors:
        worst = max(worst, error("eval", "expect.eval_y"))
    print(f"{'ok  ' if worst <= 1 else 'FAIL'} {path.name}: worst error {worst:.3f} of the limit")
    return worst <= 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    outcomes = [check(path) for path in parser.parse_args().files]
    sys.exit(0 if all(outcomes) else 1)
