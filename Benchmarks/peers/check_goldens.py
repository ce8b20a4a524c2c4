"""Checks the peer against golden files (subjects op.bi_wkv, block. and model.restore_rwkv)."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from restore_rwkv import Block, RestoreRWKV, to_tokens
from weights import load
from wkv import wkv

Tensors = dict[str, Tensor]


def named(tensors: Tensors, prefix: str) -> Tensors:
    return {k.removeprefix(prefix): v.clone() for k, v in tensors.items() if k.startswith(prefix)}


def run(subject: str, config: dict, mode: str, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    """Yields the computed values by golden name."""
    inputs = named(tensors, "input.")
    for value in inputs.values():
        value.requires_grad_()
    parameters: Tensors = {}
    if subject == "op.bi_wkv":
        y = wkv(*(inputs[name] for name in "wukv"))
    elif subject in ("block.restore_rwkv", "model.restore_rwkv"):
        config = {key: value for key, value in config.items() if key != "ln_eps"}
        build = Block if subject.startswith("block") else RestoreRWKV
        network = build(**config)
        network.load_state_dict(named(tensors, "param."), strict=True)
        network.train(mode == "train")
        parameters = dict(network.named_parameters())
        x = inputs["x"]
        if subject.startswith("block"):
            with torch.no_grad():
                size = (x.shape[2], x.shape[3])
                tokens = to_tokens(x)
                yield "expect.spatial_mix_of_ln1", network.att(network.ln1(tokens), size)
                yield "expect.channel_mix_of_ln2", network.ffn(network.ln2(tokens), size)
        y = network(x)
    else:
        sys.exit(f"unknown subject {subject}")

    yield "output.y", y.detach()
    if "target" in tensors:
        loss = (y - tensors["target"]).abs().mean()
        yield "output.loss", loss.detach()
    else:
        loss = (y * tensors["upstream.y"]).sum()
    loss.backward()
    yield from ((f"grad.input.{name}", value.grad) for name, value in inputs.items())
    yield from ((f"grad.param.{n}", p.grad) for n, p in parameters.items() if p.grad is not None)
    if "expect.eval_y" in tensors:
        with torch.no_grad():
            yield "expect.eval_y", network.fold()(inputs["x"])


def check(path: Path) -> bool:
    tensors, metadata = load(path)
    tolerance, config = json.loads(metadata["tolerance"]), json.loads(metadata["config"])
    results = dict(run(metadata["subject"], config, metadata["mode"], tensors))
    worst, passed = 0.0, True
    for name, stored in tensors.items():
        if not name.startswith(("output.", "expect.", "grad.")):
            continue
        limit = tolerance["gradient" if name.startswith("grad.") else "forward"]
        allowed = limit * stored.abs().max() + tolerance["absolute"]
        error = (results[name].reshape(stored.shape) - stored).abs().max() / allowed
        worst = max(worst, error.item())
        if not error <= 1:
            passed = False
            print(f"  {name}: {error:.3g} times the allowed error")
    print(f"{'ok  ' if passed else 'FAIL'} {path.name}: worst error {worst:.3f} of the limit")
    return passed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    outcomes = [check(path) for path in parser.parse_args().files]
    sys.exit(0 if all(outcomes) else 1)
