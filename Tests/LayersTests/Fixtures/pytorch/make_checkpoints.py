"""Writes the small checkpoints of this folder with PyTorch; expected.json has their values.

python make_checkpoints.py    (PyTorch 2; the values depend on nothing)
"""

import collections
import json
import os
import pickle
import zipfile
from pathlib import Path

import torch

HERE = Path(__file__).parent


def state() -> "collections.OrderedDict[str, torch.Tensor]":
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6) / 7 - 1
    return collections.OrderedDict(
        {
            "conv.weight": base.clone(),
            "conv.transposed": base.t(),
            "conv.part": base[1:3, ::2],
            "half": base[0].half(),
            "bfloat": base[1].bfloat16(),
            "double": base[2].double(),
            "long": torch.tensor([-3, 5, 1 << 40]),
            "int": torch.tensor([-3, 70000], dtype=torch.int32),
            "short": torch.tensor([-300, 7], dtype=torch.int16),
            "char": torch.tensor([-3, 7], dtype=torch.int8),
            "byte": torch.tensor([200, 7], dtype=torch.uint8),
            "bool": torch.tensor([True, False]),
            "scalar": torch.tensor(2.5),
            "empty": torch.zeros(0, 3),
            "parameter": torch.nn.Parameter(torch.tensor([1.0, -2.0])),
        }
    )


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        torch.nn.init.constant_(self.layer.weight, 0.5)
        torch.nn.init.constant_(self.layer.bias, -1.0)


class Evil:
    """A pickle that would run a command when loaded by Python."""

    def __reduce__(self):
        return (os.system, ("touch /nonexistent-folder/executed",))


class EvilBuiltin:
    def __reduce__(self):
        return (eval, ("1 + 1",))


def replace_pickle(source: Path, target: Path, pickled: bytes) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = pickled if name.endswith("data.pkl") else old.read(name)
            new.writestr(name, data)


def main() -> None:
    torch.save(state(), HERE / "types.pth")
    model = Model()
    plain = model.state_dict()
    torch.save({"epoch": 3, "lr": 0.5, "state_dict": plain}, HERE / "wrapped.pth")
    prefixed = {"module._orig_mod." + name: value for name, value in plain.items()}
    torch.save({"params": prefixed}, HERE / "prefixed.pth")
    torch.save(torch.arange(6.0).reshape(1, 2, 3), HERE / "tensor.pth")
    torch.save(model, HERE / "whole_model.pth")
    torch.save(plain, HERE / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save({"state_dict": plain, "x": Evil()}, HERE / "evil_system.pth")
    replace_pickle(HERE / "tensor.pth", HERE / "evil_eval.pth", pickle.dumps(EvilBuiltin()))
    (HERE / "evil_bare.pth").write_bytes(pickle.dumps(Evil()))
    with zipfile.ZipFile(HERE / "tensor.pth") as old, zipfile.ZipFile(
        HERE / "compressed.pth", "w", zipfile.ZIP_DEFLATED
    ) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    # The records of zip64, which Python writes beyond its limits.
    zipfile.ZIP64_LIMIT = -1
    zipfile.ZIP_FILECOUNT_LIMIT = 0
    with zipfile.ZipFile(HERE / "tensor.pth") as old, zipfile.ZipFile(
        HERE / "zip64.pth", "w"
    ) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    # All ones in the last record, so that readers must look at that of zip64.
    whole = (HERE / "zip64.pth").read_bytes()
    (HERE / "zip64.pth").write_bytes(whole[:-14] + b"\xff" * 12 + whole[-2:])
    # Bare pickles of one tensor, and of what is none.
    slice_ = (torch.arange(35, dtype=torch.float32) / 4).reshape(1, 5, 7)
    for name, value, protocol in (
        ("slice", slice_, 4),
        ("slice_view", slice_.half().transpose(1, 2)[:, 1:], 3),
        ("slice_evil", Evil(), 4),
        ("slice_list", [slice_], 4),
    ):
        with open(HERE / f"{name}.bin", "wb") as file:
            pickle.dump(value, file, protocol=protocol)
    expected = {
        name: {"shape": list(value.shape), "values": value.detach().float().flatten().tolist()}
        for name, value in state().items()
    }
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
