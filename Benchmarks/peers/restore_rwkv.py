"""Restore-RWKV in PyTorch, written from the paper's description (arXiv 2407.11087).

Parameter names are those of the authors' state dict. Images are [B, C, H, W], tokens [B, T, C].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wkv import wkv


class OmniShift(nn.Module):
    """Depthwise 5x5: four parallel branches in training, folded into one kernel in eval mode."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(4))
        self.conv1x1 = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
        self.conv3x3 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.conv5x5 = nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False)
        self.conv5x5_reparam = nn.Conv2d(
            channels, channels, 5, padding=2, groups=channels, bias=False
        )
        self.conv5x5_reparam.requires_grad_(False)

    @torch.no_grad()
    def fold(self) -> None:
        """Folds the branches; needed after every change of the weights, before eval."""
        identity = torch.zeros(5, 5)
        identity[2, 2] = 1
        kernel = (
            self.alpha[0] * identity
            + self.alpha[1] * F.pad(self.conv1x1.weight, (2, 2, 2, 2))
            + self.alpha[2] * F.pad(self.conv3x3.weight, (1, 1, 1, 1))
            + self.alpha[3] * self.conv5x5.weight
        )
        self.conv5x5_reparam.weight.copy_(kernel)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return self.conv5x5_reparam(x)
        branches = (x, self.conv1x1(x), self.conv3x3(x), self.conv5x5(x))
        return sum(weight * branch for weight, branch in zip(self.alpha, branches, strict=True))


def to_tokens(image: Tensor) -> Tensor:
    return image.flatten(2).transpose(1, 2)


def to_image(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, size)


class SpatialMix(nn.Module):
    """Recurrent attention along rows and columns in turn."""

    def __init__(self, channels: int, recurrences: int) -> None:
        super().__init__()
        self.omni_shift = OmniShift(channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.receptance = nn.Linear(channels, channels, bias=False)
        self.output = nn.Linear(channels, channels, bias=False)
        self.spatial_decay = nn.Parameter(torch.randn(recurrences, channels))
        self.spatial_first = nn.Parameter(torch.randn(recurrences, channels))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = size
        shifted = to_tokens(self.omni_shift(to_image(x, size)))
        k, v = self.key(shifted), self.value(shifted)
        gate = torch.sigmoid(self.receptance(shifted))
        decay, first = self.spatial_decay / x.shape[1], self.spatial_first / x.shape[1]
        for j in range(len(decay)):
            if j % 2 == 0:
                v = wkv(decay[j], first[j], k, v)
            else:
                turned = (
                    z.unflatten(1, (height, width)).transpose(1, 2).flatten(1, 2) for z in (k, v)
                )
                v = wkv(decay[j], first[j], *turned)
                v = v.unflatten(1, (width, height)).transpose(1, 2).flatten(1, 2)
        return self.output(gate * v)


class ChannelMix(nn.Module):
    """Gated feed-forward layer with squared ReLU."""

    def __init__(self, channels: int, hidden_rate: int) -> None:
        super().__init__()
        hidden = hidden_rate * channels
        self.omni_shift = OmniShift(channels)
        self.key = nn.Linear(channels, hidden, bias=False)
        self.receptance = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(hidden, channels, bias=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        shifted = to_tokens(self.omni_shift(to_image(x, size)))
        k = torch.square(torch.relu(self.key(shifted)))
        return torch.sigmoid(self.receptance(shifted)) * self.value(k)


class Block(nn.Module):
    def __init__(self, channels: int, hidden_rate: int = 4, recurrences: int = 2) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(channels)
        self.ln2 = nn.LayerNorm(channels)
        self.att = SpatialMix(channels, recurrences)
        self.ffn = ChannelMix(channels, hidden_rate)
        self.gamma1 = nn.Parameter(torch.ones(channels))
        self.gamma2 = nn.Parameter(torch.ones(channels))

    def forward(self, image: Tensor) -> Tensor:
        size = (image.shape[2], image.shape[3])
        x = to_tokens(image)
        x = x + self.gamma1 * self.att(self.ln1(x), size)
        x = x + self.gamma2 * self.ffn(self.ln2(x), size)
        return to_image(x, size)


class Rescale(nn.Module):
    """A 3x3 convolution and a pixel (un)shuffle by 2."""

    def __init__(self, channels: int, out_channels: int, shuffle: nn.Module) -> None:
        super().__init__()
        convolution = nn.Conv2d(channels, out_channels, 3, padding=1, bias=False)
        self.body = nn.Sequential(convolution, shuffle)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


def down(channels: int) -> Rescale:
    return Rescale(channels, channels // 2, nn.PixelUnshuffle(2))


def up(channels: int) -> Rescale:
    return Rescale(channels, channels * 2, nn.PixelShuffle(2))


class RestoreRWKV(nn.Module):
    """The U-shaped network; the defaults are the paper's full model."""

    def __init__(
        self,
        dim: int = 48,
        num_blocks: tuple[int, ...] = (4, 6, 6, 8),
        num_refinement_blocks: int = 4,
        in_channels: int = 1,
        out_channels: int = 1,
        hidden_rate: int = 4,
        recurrences: int = 2,
    ) -> None:
        super().__init__()

        def stage(channels: int, count: int) -> nn.Sequential:
            blocks = (Block(channels, hidden_rate, recurrences) for _ in range(count))
            return nn.Sequential(*blocks)

        n1, n2, n3, n4 = num_blocks
        self.patch_embed = nn.Conv2d(in_channels, dim, 3, padding=1)
        self.encoder_level1 = stage(dim, n1)
        self.down1_2 = down(dim)
        self.encoder_level2 = stage(dim * 2, n2)
        self.down2_3 = down(dim * 2)
        self.encoder_level3 = stage(dim * 4, n3)
        self.down3_4 = down(dim * 4)
        self.latent = stage(dim * 8, n4)
        self.up4_3 = up(dim * 8)
        self.reduce_chan_level3 = nn.Conv2d(dim * 8, dim * 4, 1)
        self.decoder_level3 = stage(dim * 4, n3)
        self.up3_2 = up(dim * 4)
        self.reduce_chan_level2 = nn.Conv2d(dim * 4, dim * 2, 1)
        self.decoder_level2 = stage(dim * 2, n2)
        self.up2_1 = up(dim * 2)
        self.decoder_level1 = stage(dim * 2, n1)
        self.refinement = stage(dim * 2, num_refinement_blocks)
        self.output = nn.Conv2d(dim * 2, out_channels, 3, padding=1)

    def fold(self) -> "RestoreRWKV":
        """Folds every OmniShift and switches to eval mode."""
        for module in self.modules():
            if isinstance(module, OmniShift):
                module.fold()
        return self.eval()

    def forward(self, image: Tensor) -> Tensor:
        level1 = self.encoder_level1(self.patch_embed(image))
        level2 = self.encoder_level2(self.down1_2(level1))
        level3 = self.encoder_level3(self.down2_3(level2))
        x = self.latent(self.down3_4(level3))
        x = self.reduce_chan_level3(torch.cat([self.up4_3(x), level3], 1))
        x = self.reduce_chan_level2(torch.cat([self.up3_2(self.decoder_level3(x)), level2], 1))
        x = torch.cat([self.up2_1(self.decoder_level2(x)), level1], 1)
        return self.output(self.refinement(self.decoder_level1(x))) + image
