"""Writes the pairs that the tests of the package compare with: masks and the peers' figures.

    python fixture.py ../../Tests/ImagingTests/Fixtures/segmentation/peers.json
"""

import json
import sys

import numpy as np

from peers import figures, random_pair


def main() -> None:
    generator = np.random.default_rng(2019)
    cases = []
    for number in range(36):
        shape = (6, 9, 11) if number % 3 else (1, 13, 12)
        first, second = random_pair(generator, shape)
        spacing = np.round(generator.uniform(0.4, 3, 3), 3)
        if shape[0] == 1:
            found = figures(first[0], second[0], spacing[1:])
        else:
            found = figures(first, second, spacing)
        cases.append(
            {
                "shape": list(shape),
                "spacing_zyx": [float(s) for s in spacing],
                "prediction": "".join("1" if v else "0" for v in first.ravel()),
                "reference": "".join("1" if v else "0" for v in second.ravel()),
                "figures": found,
            }
        )
    with open(sys.argv[1], "w") as file:
        file.write(json.dumps(cases, separators=(",", ":")).replace("},{\"shape", "},\n{\"shape"))
        file.write("\n")


if __name__ == "__main__":
    main()
