"""Reads .safetensors files of floating-point and integer tensors without further packages."""

import json
import struct
from pathlib import Path

import torch

TYPES = {"F16": torch.float16, "F32": torch.float32, "F64": torch.float64, "I64": torch.int64,
         "I32": torch.int32, "U8": torch.uint8}


def load(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The tensors of a file, and its metadata."""
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        kind = TYPES[entry["dtype"]]
        if begin == end:
            tensors[name] = torch.empty(entry["shape"], dtype=kind)
            continue
        values = torch.frombuffer(
            data, dtype=kind, count=(end - begin) // kind.itemsize, offset=8 + length + begin
        )
        tensors[name] = values.reshape(entry["shape"])
    return tensors, metadata
