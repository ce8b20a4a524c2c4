"""Makes reference.json: what NumPy, SciPy and scikit-image say about images made from integers.

The images are made again in the tests, so that only the results are stored. Run it in this folder with
scikit-image installed; the versions used are written beside the results.
"""

import json

import numpy as np
import scipy
import skimage
from scipy import ndimage
from skimage import metrics


def noise(seed, count):
    """A linear congruential sequence; its upper bits in 0 ... 255, in steps of 1/256."""
    state, values = seed, []
    for _ in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        values.append((state >> 16) / 256)
    return np.array(values)


def pair(shape, seed):
    """A reference with ramps and noise, and the same with other noise; exact in float32."""
    index = np.indices((1,) * (3 - len(shape)) + shape).reshape(3, -1)
    ramps = (7 * index[0] + 5 * index[1] + 3 * index[2]) % 97 * 2.0
    reference = ramps + noise(seed, ramps.size) / 8
    prediction = reference + noise(seed + 1, ramps.size) / 16 - 8
    return prediction.reshape(shape), reference.reshape(shape)


def gaussian_zero_padded(x, y, data_range):
    """SSIM on every pixel, the image continued by zeros, as the Restore-RWKV authors compute it."""
    def blur(a):
        tap = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
        tap /= tap.sum()
        a = ndimage.correlate1d(a, tap, axis=0, mode="constant")
        return ndimage.correlate1d(a, tap, axis=1, mode="constant")

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    index = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return index.mean()


def compare(shape, seed):
    p, r = pair(shape, seed)
    span = r.max() - r.min()
    gaussian = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    result = {
        "shape": list(shape), "seed": seed, "span": span,
        "mse": metrics.mean_squared_error(r, p), "mae": np.abs(p - r).mean(),
        "nmse": ((p - r) ** 2).sum() / (r**2).sum(),
        "nrmse_euclidean": metrics.normalized_root_mse(r, p),
        "nrmse_min_max": metrics.normalized_root_mse(r, p, normalization="min-max"),
        "nrmse_mean": metrics.normalized_root_mse(r, p, normalization="mean"),
        "psnr_span": metrics.peak_signal_noise_ratio(r, p, data_range=span),
        "psnr_255": metrics.peak_signal_noise_ratio(r, p, data_range=255),
        "ssim_gaussian": metrics.structural_similarity(r, p, data_range=span, **gaussian),
        "ssim_uniform7": metrics.structural_similarity(r, p, data_range=255),
    }
    if len(shape) == 2:
        result["ssim_zero_padded"] = gaussian_zero_padded(p, r, span)
    else:
        result["ssim_slices"] = np.mean(
            [metrics.structural_similarity(a, b, data_range=span, **gaussian) for a, b in zip(r, p)])
    return result


def percentiles(count, seed):
    values = noise(seed, count) - 50
    percents = [0, 0.5, 10, 33.3, 50, 75, 99.5, 100]
    return {
        "count": count, "seed": seed, "percents": percents,
        "all": [np.percentile(values, q) for q in percents],
        "positive": [np.percentile(values[values > 0], q) for q in percents],
    }


def ball(ndim):
    return sum(g * g for g in np.indices((5,) * ndim) - 2) <= 4


def blobs(shape, seed):
    """Shells with holes and scattered voxels, some at the edge: 200 inside, little outside."""
    z, y, x = np.indices(shape)
    draws = noise(seed, 40)
    values = noise(seed + 1, z.size).reshape(shape) / 256
    for k in range(5):
        centre = [draws[5 * k + a] / 256 * shape[a] for a in range(3)]
        radius = 3 + draws[5 * k + 3] / 80
        square = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
        values[(square <= radius**2) & (square >= (radius - 1.5) ** 2)] += 100
    values[noise(seed + 2, z.size).reshape(shape) > 250] += 90
    return values


def closed_and_filled(mask):
    """Closing on a grid that continues with background, then holes; single axes left out."""
    flat = np.squeeze(mask)
    padded = np.pad(flat, 2)
    closed = ndimage.binary_closing(padded, ball(flat.ndim))[(slice(2, -2),) * flat.ndim]
    return closed.reshape(mask.shape), ndimage.binary_fill_holes(closed).reshape(mask.shape)


def fingerprint(mask):
    places = np.flatnonzero(mask)
    return [int(mask.sum()), int((places * 2654435761 % 2**32).sum() % 2**32)]


def foreground(shape, seed):
    clean = blobs(shape, seed)
    image = clean + noise(seed + 3, clean.size).reshape(shape) / 16 - 8
    scale = np.percentile(clean[clean > 0], 99.5)
    raw = clean > 0.05 * scale
    closed, filled = closed_and_filled(raw)
    axes = {}
    for axis in range(3):
        slices = []
        for k in range(shape[axis]):
            inside = np.take(filled, k, axis)
            if inside.mean() >= 0.1:
                error = (np.take(image, k, axis) - np.take(clean, k, axis))[inside]
                slices.append([k, inside.mean(), 10 * np.log10(scale**2 / (error**2).mean())])
        # Array axes are (z, y, x), storage axes are counted from x.
        axes[str(2 - axis)] = slices
    return {
        "shape": list(shape), "seed": seed, "scale": scale, "raw": fingerprint(raw),
        "closed": fingerprint(closed), "filled": fingerprint(filled), "axes": axes,
    }


reference = {
    "versions": {
        "numpy": np.__version__, "scipy": scipy.__version__, "scikit-image": skimage.__version__
    },
    "pairs": [
        compare((24, 20), 1), compare((11, 37), 2), compare((11, 11), 3),
        compare((13, 14, 15), 4), compare((11, 11, 11), 5), compare((12, 23, 17), 6),
    ],
    "percentiles": [percentiles(1, 1), percentiles(2, 2), percentiles(1000, 3)],
    "foregrounds": [
        foreground((14, 17, 19), 16), foreground((1, 30, 26), 17), foreground((22, 1, 24), 20),
        foreground((9, 33, 12), 52),
    ],
}
with open("reference.json", "w") as file:
    json.dump(reference, file, indent=1)
    file.write("\n")
