"""Variance stabilisation of Rician noise, for denoisers that expect Gaussian noise.

The transform f makes the standard deviation of f(z) about 1 for every clean value, and the inverse
is the exact unbiased one: it maps the mean of f(z) back to the clean value. Both are tabulated, for
sigma = 1. Idea: Foi, "Noise estimation and removal in MR imaging: the variance-stabilization
approach", ISBI 2011; the transform here is the integral of 1 / std, not the optimised one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ive

LARGEST = 60.0  # from here on Rician noise is Gaussian

Array = NDArray[np.float64]


def density(z: Array, clean: Array) -> Array:
    """The Rician density for sigma = 1, shape [clean, z]."""
    z, clean = z[None, :], clean[:, None]
    return z * np.exp(-0.5 * (z - clean) ** 2) * ive(0, z * clean)


def tables() -> tuple[Array, Array, Array, Array]:
    """Observed values, their transforms; clean values, the means of the transforms."""
    clean = np.concatenate([np.linspace(0, 8, 400), np.linspace(8, LARGEST, 400)[1:]])
    z = np.linspace(0, LARGEST + 8, 12000)
    weight = density(z, clean) * (z[1] - z[0])
    weight /= weight.sum(axis=1, keepdims=True)
    mean = weight @ z
    deviation = np.sqrt(weight @ z**2 - mean**2)
    # Below the mean of pure noise there is no clean value: the slope goes on.
    slope = 1 / np.interp(z, mean, deviation)
    transform = np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(z))])
    return z, transform, clean, weight @ transform


OBSERVED, TRANSFORMED, CLEAN, MEANS = tables()


def stabilized(noisy: NDArray[np.float32], sigma: float) -> Array:
    """Noise of standard deviation about 1 everywhere."""
    z = noisy / sigma
    # Far above the table the noise is Gaussian of deviation 1: the slope is 1.
    return np.interp(z, OBSERVED, TRANSFORMED) + np.maximum(z - OBSERVED[-1], 0)


def unstabilized(transformed: Array, sigma: float) -> NDArray[np.float32]:
    """Clean values of denoised transforms."""
    clean = np.interp(transformed, MEANS, CLEAN) + np.maximum(transformed - MEANS[-1], 0)
    return (clean * sigma).astype(np.float32)
