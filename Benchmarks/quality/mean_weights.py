"""The weighted mean of networks that were trained from the same weights.

python mean_weights.py OUTPUT.safetensors PART WEIGHTS.safetensors [PART WEIGHTS.safetensors ...]

Parts are shares, as 0.55 and 0.45. Sums are in double precision, the result in single. Such a mean is often
as good as both networks where one of them is weaker (Wortsman et al., Model soups, ICML 2022).
"""

import sys

import numpy as np
from safetensors.numpy import load_file, save_file


def main() -> None:
    if len(sys.argv) < 4 or len(sys.argv) % 2:
        raise SystemExit(__doc__)
    output, pairs = sys.argv[1], list(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    shares = [float(share) for share, _ in pairs]
    if abs(sum(shares) - 1) > 1e-9:
        raise SystemExit(f"the shares {shares} do not add up to 1")
    networks = [load_file(path) for _, path in pairs]
    if any(network.keys() != networks[0].keys() for network in networks):
        raise SystemExit("the files hold tensors of different names")
    mean = {
        name: sum(s * n[name].astype(np.float64) for s, n in zip(shares, networks, strict=True))
        for name in networks[0]
    }
    save_file({name: values.astype(np.float32) for name, values in mean.items()}, output)


if __name__ == "__main__":
    main()
