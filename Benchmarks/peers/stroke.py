"""The stroke system in PyTorch: nine 2D path networks and the 3D network that joins them.

Xue et al., NeuroImage: Clinical 25 (2019) 102118. Parameter names are the authors'.
"""

import torch
import torch.nn.functional as F
from torch import nn

PLANES = {"XY": (0, 1, 2, 3), "ZX": (2, 0, 1, 3), "ZY": (1, 0, 2, 3)}
PATHS = [f"{plane}_{norm}" for plane in ("XY", "ZX", "ZY") for norm in ("12", "3", "123")]


def activated(count: int, channels: int) -> nn.Sequential:
    layers = []
    for _ in range(count):
        layers += [
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        ]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv0 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(channels)
        for level, depth in enumerate((1, 3, 3, 3, 2), start=1):
            setattr(self, f"conv{level}", activated(depth, channels))
        self.pool = nn.AvgPool2d(2)

    def forward(self, x):
        x = self.conv1(self.bn0(self.conv0(x)))
        features = [x]
        for level in range(2, 6):
            x = getattr(self, f"conv{level}")(self.pool(x))
            features.append(x)
        return features


class FuseBlock(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (2, 1, 1), bias=False)
        self.bn = nn.BatchNorm3d(channels)

    def forward(self, a, b):
        # The kernel over the axis of modalities is one 1x1 convolution of both side by side, which
        # stays channels-last: the kindest form for PyTorch.
        weight = self.conv.weight[..., 0, 0].permute(0, 2, 1).flatten(1)[..., None, None]
        x = F.conv2d(torch.relu(torch.cat([a, b], dim=1)), weight)
        norm = self.bn
        return F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )


class Fuse(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        for level in range(5):
            setattr(self, f"fuse{level}", FuseBlock(channels))

    def forward(self, first, second):
        return [self.fuse0(a, b) for a, b in zip(first, second)]


class Decoder(nn.Module):
    def __init__(self, channels: int, classes: int):
        super().__init__()
        for level in range(1, 5):
            setattr(
                self, f"deconv{level}", nn.ConvTranspose2d(channels, channels, 2, 2, bias=False)
            )
            setattr(self, f"conv{level}", activated(2, channels))
        self.conv = nn.Conv2d(channels, classes, 1, bias=False)

    def forward(self, features):
        x = features[4]
        for level in range(1, 5):
            x = getattr(self, f"deconv{level}")(x) + features[4 - level]
            x = getattr(self, f"conv{level}")(x)
        return self.conv(x)


class PathNetwork(nn.Module):
    """Inference only: dropout is left out."""

    def __init__(self, channels: int = 32, classes: int = 2):
        super().__init__()
        self.anat_encoder = Encoder(channels)
        self.flair_encoder = Encoder(channels)
        self.fuse = Fuse(channels)
        self.decoder = Decoder(channels, classes)

    def forward(self, x):
        return self.decoder(
            self.fuse(self.anat_encoder(x[:, :1]), self.flair_encoder(x[:, 1:]))
        )


class Combine(nn.Module):
    def __init__(self, channels: int = 27, hidden=(36, 9), classes: int = 2):
        super().__init__()
        self.conv1 = nn.Conv3d(channels, hidden[0], 3, padding=1, bias=False)
        self.conv2 = nn.Conv3d(hidden[0], hidden[1], 3, padding=1, bias=False)
        self.conv_shortcut = nn.Conv3d(channels, hidden[1], 1, bias=False)
        self.conv3 = nn.Conv3d(hidden[1], classes, 3, padding=1, bias=False)
        self.norm1 = nn.InstanceNorm3d(hidden[0])
        self.norm2 = nn.InstanceNorm3d(hidden[1])

    def forward(self, x):
        hidden = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return self.conv3(torch.relu(hidden + self.norm2(self.conv_shortcut(x))))


def standardized(x, dims):
    mean = x.mean(dims, keepdim=True)
    deviation = x.std(dims, correction=0, keepdim=True)
    return torch.where(deviation > 0, (x - mean) / deviation, torch.zeros_like(x))


def normalized(slices, norm: str):
    """Slices [L, C, a, b] of one volume."""
    if norm in ("3", "123"):
        slices = standardized(slices, (0,))
    if norm in ("12", "123"):
        slices = standardized(slices, (2, 3))
    return slices


class System(nn.Module):
    """Nine paths, or those named, and the combiner; T1 and FLAIR."""

    def __init__(self, channels: int = 32, hidden=(36, 9), paths=tuple(PATHS)):
        super().__init__()
        self.names = list(paths)
        self.paths = nn.ModuleDict({name: PathNetwork(channels) for name in paths})
        self.combiner = Combine(3 * len(self.names), hidden)

    @torch.no_grad()
    def probability(self, volume, batch: int = 8):
        """The probability of a lesion, [D0, D1, D2], of a volume [D0, D1, D2, 2]."""
        parts = []
        for name in self.names:
            plane, norm = name.split("_")
            order = PLANES[plane]
            slices = volume.permute(order).permute(0, 3, 1, 2)
            slices = normalized(slices, norm).contiguous(memory_format=torch.channels_last)
            masks = []
            for first in range(0, slices.shape[0], batch):
                logits = self.paths[name](slices[first : first + batch])
                masks.append((logits[:, 1] > logits[:, 0]).float())
            joined = torch.cat([torch.cat(masks)[:, None], slices], dim=1)
            inverse = [order.index(axis) for axis in range(3)]
            parts.append(joined.permute(0, 2, 3, 1).permute(*inverse, 3))
        x = torch.cat(parts, dim=3).permute(3, 0, 1, 2)[None]
        x = x.contiguous(memory_format=torch.channels_last_3d)
        return torch.softmax(self.combiner(x), dim=1)[0, 1]
