"""The figures of MONAI, MedPy and surface-distance for one pair of masks, and random pairs."""

import warnings

import numpy as np

warnings.filterwarnings("ignore")
if not hasattr(np, "Inf"):  # surface-distance still uses the name that numpy 2 dropped
    np.Inf = np.inf

import torch  # noqa: E402
from medpy.metric import binary as medpy  # noqa: E402
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance  # noqa: E402
from monai.metrics.utils import get_edge_surface_distance  # noqa: E402
from scipy import ndimage  # noqa: E402

if not hasattr(ndimage, "filters"):  # names that scipy 2 dropped
    ndimage.filters = ndimage
    ndimage.morphology = ndimage

import surface_distance  # noqa: E402


def random_pair(generator: np.random.Generator, shape) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping sets of smooth blobs, neither empty."""
    while True:
        noise = ndimage.gaussian_filter(generator.normal(size=shape), generator.uniform(0.5, 2))
        other = ndimage.gaussian_filter(generator.normal(size=shape), generator.uniform(0.5, 2))
        weight = generator.uniform(0, 1)
        first = noise > np.quantile(noise, generator.uniform(0.5, 0.98))
        mixed = weight * noise / noise.std() + (1 - weight) * other / other.std()
        second = mixed > np.quantile(mixed, generator.uniform(0.5, 0.98))
        if first.any() and second.any():
            return first, second


def figures(prediction: np.ndarray, reference: np.ndarray, spacing) -> dict[str, float]:
    """All figures that the peers have, by the names of `restore eval`; arrays are [z, y, x]."""
    p, r = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (prediction, reference))
    spacing = [float(s) for s in spacing]

    hausdorff = compute_hausdorff_distance(p, r, include_background=True, spacing=spacing)
    # MONAI interpolates percentiles in float32, which costs up to 3e-6; its distances are taken and
    # the same definition is evaluated in double precision.
    _, distances, _ = get_edge_surface_distance(
        p[0, 0].bool(), r[0, 0].bool(), use_subvoxels=False, spacing=spacing, symmetric=True
    )
    percentile = max(float(np.percentile(d.numpy().astype(np.float64), 95)) for d in distances)

    surfels = surface_distance.compute_surface_distances(reference, prediction, spacing)
    return {
        "dice": float(medpy.dc(prediction, reference)),
        "iou": float(medpy.jc(prediction, reference)),
        "precision": float(medpy.precision(prediction, reference)),
        "recall": float(medpy.recall(prediction, reference)),
        "hd": float(hausdorff),
        "hd95": percentile,
        "hd95_pooled": float(medpy.hd95(prediction, reference, voxelspacing=spacing)),
        "hd95_surfel": float(surface_distance.compute_robust_hausdorff(surfels, 95)),
        "assd": float(
            compute_average_surface_distance(
                p, r, include_background=True, symmetric=True, spacing=spacing
            )
        ),
        "asd": float(medpy.asd(prediction, reference, voxelspacing=spacing)),
        "nsd_surfel": float(surface_distance.compute_surface_dice_at_tolerance(surfels, 1.0)),
    }
