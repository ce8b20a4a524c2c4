"""Writes a tiny Restore-RWKV checkpoint and what it makes of a ramp, with PyTorch.

PYTHONPATH=Benchmarks/peers python Tests/RestoreCommandTests/Fixtures/make_model.py
"""

import json
import sys
import types
from pathlib import Path

import torch


def plain_wkv(decay, first, key, value):
    """Bi-WKV by its definition, [B, T, C]; slow, and needs no compiler."""
    steps = key.shape[1]
    distance = (torch.arange(steps)[:, None] - torch.arange(steps)[None]).abs()
    exponent = -(distance - 1)[..., None] * decay + key[:, None]
    own = torch.eye(steps, dtype=torch.bool)[..., None]
    exponent = torch.where(own, first + key[:, None], exponent)
    weight = torch.softmax(exponent, dim=2)
    return (weight * value[:, None]).sum(2)


sys.modules["wkv"] = types.SimpleNamespace(wkv=plain_wkv)

from restore_rwkv import RestoreRWKV  # noqa: E402

HERE = Path(__file__).parent


def write_single_tensors() -> None:
    """One tensor of each segmenting network; the rest keeps its initial values (--allow-missing)."""
    for arch, name, length in (
        ("gdkvm", "KPFF.gate_layer.bias", 1),
        ("stroke-2.5d", "paths.XY_12.anat_encoder.bn0.bias", 4),
        ("tvconv-net", "classifier.classifier.3.bias", 2),
    ):
        torch.save({name: torch.full((length,), 0.25)}, HERE / f"one_tensor_{arch}.pth")


def main() -> None:
    write_single_tensors()
    torch.manual_seed(3)
    model = RestoreRWKV(dim=4, num_blocks=(1, 1, 1, 1), num_refinement_blocks=1)
    # Values that half precision holds exactly, so that the file is small and the figures are sharp.
    model.load_state_dict({k: v.half().float() for k, v in model.state_dict().items()})
    model.eval()
    state = {"module." + name: value.half() for name, value in model.state_dict().items()}
    torch.save({"epoch": 1, "state_dict": state}, HERE / "tiny_restore_rwkv.pth")
    # The checkpoint's folded kernels are stale, as in the authors' files before their first evaluation.
    model.fold()
    image = (torch.arange(16 * 24, dtype=torch.float32).reshape(1, 1, 16, 24) % 37) / 37
    with torch.no_grad():
        output = model(image)
    text = json.dumps([round(value, 7) for value in output.flatten().tolist()])
    (HERE / "tiny_restore_rwkv.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
