"""What `restore run` does with one slice, in PyTorch: from the start of Python to the written file.

Restores one 8-bit slice (a .npy file, quicker to read than the PNG that `restore` gets) with the
weights of a bundle and writes a PNG-sized .npy. The operator comes from a library that is already
built, weights and image are read without further packages: nothing is in this script's way.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch

from restore_rwkv import RestoreRWKV
from weights import load


def main() -> None:
    bundle, source, target, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    parameters = json.loads((Path(bundle) / "model.json").read_text())["hyperparameters"]
    parameters.pop("ln_eps")
    shift = parameters.pop("shift", "omni")
    assert shift == "omni", shift
    network = RestoreRWKV(**parameters)
    missing, unexpected = network.load_state_dict(
        load(Path(bundle) / "weights.safetensors")[0], strict=False
    )
    assert not unexpected and all("reparam" in name for name in missing), (missing, unexpected)
    network.fold()
    pixels = np.load(source).astype(np.float32)
    positive = pixels[pixels > 0]
    low, high = float(positive.min()), float(np.percentile(positive, 99.5))
    image = torch.from_numpy((pixels - low) / (high - low))
    with torch.inference_mode():
        # A lone slice is its own neighbour, as it is for `restore run`.
        stack = image.expand(1, parameters["in_channels"], -1, -1)
        restored = network(stack)[0, 0].numpy() * (high - low) + low
    np.save(target, np.clip(np.rint(restored), 0, 255).astype(np.uint8))


if __name__ == "__main__":
    main()
