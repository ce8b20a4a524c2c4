"""The compiled Bi-WKV operator, with gradients and shape rules for torch.compile."""

from pathlib import Path

import torch
from torch import Tensor

SOURCE = Path(__file__).with_name("wkv.cpp")
NAME = "restore_peer_wkv"


def _load() -> None:
    """Loads the operator; builds it for the CPU at hand if that was not done yet."""
    built = Path(__file__).with_name("build") / f"{NAME}.so"
    sources = (SOURCE, SOURCE.with_name("wkv_lanes.h"))
    changed = max(source.stat().st_mtime for source in sources)
    if built.exists() and built.stat().st_mtime > changed:
        torch.ops.load_library(built)
        return
    # Imported only here: it takes longer than everything else.
    from torch.utils.cpp_extension import load

    built.parent.mkdir(exist_ok=True)
    load(
        name=NAME,
        sources=[str(SOURCE)],
        extra_cflags=["-O3", "-march=native"],
        build_directory=str(built.parent),
        is_python_module=False,
    )


_load()


@torch.library.register_fake("restore_peer::wkv")
def _(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.empty_like(k, memory_format=torch.contiguous_format)


@torch.library.register_fake("restore_peer::wkv_backward")
def _(gy: Tensor, w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, ...]:
    contiguous = torch.contiguous_format
    return (
        torch.empty_like(w),
        torch.empty_like(u),
        torch.empty_like(k, memory_format=contiguous),
        torch.empty_like(v, memory_format=contiguous),
    )


def _save(ctx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx, gy: Tensor) -> tuple[Tensor, ...]:
    return torch.ops.restore_peer.wkv_backward(gy, *ctx.saved_tensors)


torch.library.register_autograd("restore_peer::wkv", _backward, setup_context=_save)


def wkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Bi-WKV of `k, v: [B, T, C]` with `w, u: [C]`, already divided by T; float32."""
    return torch.ops.restore_peer.wkv(w, u, k.float(), v.float())
