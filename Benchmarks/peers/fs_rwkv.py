"""FS-RWKV in PyTorch, written from its description (arXiv 2510.08951).

Parameter names are those of the authors' state dict. Images are [B, C, H, W], tokens [B, T, C].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wkv import wkv

OFFSETS = (
    (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0),
    (1, 1), (-1, -1), (1, -1), (-1, 1), (2, 2), (-2, -2), (2, -2), (-2, 2),
)  # fmt: skip


def to_tokens(image: Tensor) -> Tensor:
    return image.flatten(2).transpose(1, 2)


def to_image(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, size)


def context_shift(x: Tensor, weight: float = 0.5) -> Tensor:
    shifted, first = torch.zeros_like(x), 0
    height, width = x.shape[2:]
    for dy, dx in OFFSETS:
        end = first + int(x.shape[1] / 9 * (1 / (abs(dy) + abs(dx))))
        to_rows, from_rows = slice(max(dy, 0), height + min(dy, 0)), slice(
            max(-dy, 0), height + min(-dy, 0)
        )
        to_columns, from_columns = slice(max(dx, 0), width + min(dx, 0)), slice(
            max(-dx, 0), width + min(-dx, 0)
        )
        shifted[:, first:end, to_rows, to_columns] = x[:, first:end, from_rows, from_columns]
        first = end
    return weight * shifted + (1 - weight) * x


def haar(x: Tensor, symmetric: bool = False) -> tuple[Tensor, Tensor]:
    """Low band and [B, C, 3, H/2, W/2]; separable filters as grouped convolutions."""
    odd = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
    if any(odd):
        x = F.pad(x, odd, mode="replicate" if symmetric else "constant")
    c, s = x.shape[1], math.sqrt(0.5)
    taps = torch.tensor([[s, s], [s, -s]])
    wide = F.conv2d(x, taps.view(2, 1, 1, 2).repeat(c, 1, 1, 1), stride=(1, 2), groups=c)
    both = F.conv2d(wide, taps.view(2, 1, 2, 1).repeat(2 * c, 1, 1, 1), stride=(2, 1), groups=2 * c)
    both = both.unflatten(1, (c, 4))
    return both[:, :, 0], both[:, :, 1:]


def inverse_haar(low: Tensor, high: Tensor) -> Tensor:
    c, s = low.shape[1], math.sqrt(0.5)
    taps = torch.tensor([[s, s], [s, -s]])
    both = torch.cat([low[:, :, None], high], 2).flatten(1, 2)
    tall = F.conv_transpose2d(
        both, taps.view(2, 1, 2, 1).repeat(2 * c, 1, 1, 1), stride=(2, 1), groups=2 * c
    )
    return F.conv_transpose2d(tall, taps.view(2, 1, 1, 2).repeat(c, 1, 1, 1), stride=(1, 2), groups=c)


def wavelet_shift(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    x = to_image(tokens, size)
    low, high = haar(x)
    composed = inverse_haar(context_shift(low), high)
    if composed.shape[2:] != x.shape[2:]:
        composed = F.interpolate(composed, size=size, mode="bilinear", align_corners=False)
    return to_tokens(0.5 * (context_shift(x) + composed) + 0.5 * x)


class SpatialMix(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.spatial_decay = nn.Parameter(torch.linspace(-5, 3, c))
        self.spatial_first = nn.Parameter(torch.full((c,), math.log(0.3)))
        for name in "kvr":
            self.register_parameter(f"spatial_mix_{name}", nn.Parameter(torch.rand(1, 1, c)))
        for name in ("key", "value", "receptance", "output"):
            self.add_module(name, nn.Linear(c, c, bias=False))

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        shifted = wavelet_shift(x, size)
        k, v, r = (
            x * m + shifted * (1 - m)
            for m in (self.spatial_mix_k, self.spatial_mix_v, self.spatial_mix_r)
        )
        k, v, r = self.key(k), self.value(v), torch.sigmoid(self.receptance(r))
        t = x.shape[1]
        return self.output(r * wkv(self.spatial_decay / t, self.spatial_first / t, k, v))


class ChannelMix(nn.Module):
    def __init__(self, c: int, hidden_rate: int) -> None:
        super().__init__()
        self.spatial_mix_k = nn.Parameter(torch.rand(1, 1, c))
        self.spatial_mix_r = nn.Parameter(torch.rand(1, 1, c))
        self.key = nn.Linear(c, hidden_rate * c, bias=False)
        self.receptance = nn.Linear(c, c, bias=False)
        self.value = nn.Linear(hidden_rate * c, c, bias=False)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        shifted = wavelet_shift(x, size)
        k = x * self.spatial_mix_k + shifted * (1 - self.spatial_mix_k)
        r = x * self.spatial_mix_r + shifted * (1 - self.spatial_mix_r)
        return torch.sigmoid(self.receptance(r)) * self.value(torch.square(F.relu(self.key(k))))


class Block(nn.Module):
    def __init__(self, c: int, hidden_rate: int = 4) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(c), nn.LayerNorm(c)
        self.att, self.ffn = SpatialMix(c), ChannelMix(c, hidden_rate)
        self.gamma1, self.gamma2 = nn.Parameter(torch.ones(c)), nn.Parameter(torch.ones(c))

    def forward(self, image: Tensor) -> Tensor:
        size = (image.shape[2], image.shape[3])
        x = to_tokens(image)
        x = x + self.gamma1 * self.att(self.ln1(x), size)
        x = x + self.gamma2 * self.ffn(self.ln2(x), size)
        return to_image(x, size)


class ConvNorm(nn.Module):
    def __init__(self, a: int, b: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        self.c = nn.Conv2d(a, b, kernel, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.c(x))


class LKP(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.cv1 = ConvNorm(c, c // 2, 1)
        self.cv2 = ConvNorm(c // 2, c // 2, 7, c // 2)
        self.cv3 = ConvNorm(c // 2, c // 2, 1)
        self.cv4 = nn.Conv2d(c // 2, 9 * c // 8, 1)
        self.norm = nn.GroupNorm(c // 8, 9 * c // 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.cv4(F.relu(self.cv3(self.cv2(F.relu(self.cv1(x)))))))


class LSConv(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.lkp, self.bn = LKP(c), nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        weights = self.lkp(x).view(b, c // 8, 1, 9, h, w)
        windows = F.unfold(x, 3, padding=1).view(b, c // 8, 8, 9, h, w)
        return self.bn((windows * weights).sum(3).view(b, c, h, w)) + x


class SimpleConv(nn.Module):
    def __init__(self, a: int, b: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(a, b, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(min(8, b), b)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))


class ChannelNorm(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(c)

    def forward(self, x: Tensor) -> Tensor:
        return self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class DSConv(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)
        self.pointwise = nn.Conv2d(c, c, 1, bias=False)
        self.norm = ChannelNorm(c)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.pointwise(self.depthwise(x))))


class Branch(nn.Module):
    def __init__(self, a: int, c: int, name: str, refine: type[nn.Module]) -> None:
        super().__init__()
        self.name = name
        for k in (3, 5, 7):
            self.add_module(f"conv_{k}x{k}", SimpleConv(a, c, k))
            self.add_module(f"{name}_{k}x{k}", refine(c))
        self.out_conv = nn.Conv2d(3 * c, c, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            getattr(self, f"{self.name}_{k}x{k}")(getattr(self, f"conv_{k}x{k}")(x))
            for k in (3, 5, 7)
        ]
        return self.out_conv(torch.cat(parts, 1))


class Fusion(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.weight_net = nn.Sequential(
            nn.Conv2d(c, c // 2, 1, bias=False), ChannelNorm(c // 2), nn.ReLU(),
            nn.Conv2d(c // 2, 2, 1, bias=False), nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, composed: Tensor, spatial: Tensor) -> Tensor:
        w = self.weight_net(composed.mean((2, 3), keepdim=True))
        return w[:, :1] * composed + w[:, 1:] * spatial


class SFEB(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.low_freq_processor = Branch(c, c, "lsconv", LSConv)
        self.low_back_conv = nn.Conv2d(c, c, 1, bias=False)
        self.high_freq_processor = Branch(3 * c, c, "dsconv", DSConv)
        self.high_back_conv = nn.Conv2d(c, 3 * c, 1, bias=False)
        self.spatial_conv, self.spatial_lsconv = SimpleConv(c, c, 3), LSConv(c)
        self.final_fusion = Fusion(c)
        self.output_conv = nn.Sequential(
            nn.Conv2d(c, c, 3, padding=1, bias=False), nn.GroupNorm(1, c), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        low, high = haar(x, symmetric=True)
        low = self.low_back_conv(self.low_freq_processor(low))
        high = self.high_back_conv(self.high_freq_processor(high.flatten(1, 2)))
        composed = inverse_haar(low, high.unflatten(1, (-1, 3)))
        spatial = self.spatial_lsconv(self.spatial_conv(x))
        return self.output_conv(self.final_fusion(composed, spatial))


class Resample(nn.Module):
    def __init__(self, a: int, b: int, shuffle: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), shuffle)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class FSRWKV(nn.Module):
    def __init__(
        self, dim: int = 48, num_blocks: tuple[int, ...] = (4, 6, 6, 8),
        num_refinement_blocks: int = 4, in_channels: int = 1, out_channels: int = 1,
        hidden_rate: int = 4,
    ) -> None:  # fmt: skip
        super().__init__()

        def blocks(count: int, c: int) -> nn.Sequential:
            return nn.Sequential(*(Block(c, hidden_rate) for _ in range(count)))

        self.patch_embed = nn.Conv2d(in_channels, dim, 3, padding=1)
        for level in range(3):
            c = dim << level
            self.add_module(f"encoder_level{level + 1}", blocks(num_blocks[level], c))
            self.add_module(
                f"down{level + 1}_{level + 2}", Resample(c, c // 2, nn.PixelUnshuffle(2))
            )
            self.add_module(f"up{level + 2}_{level + 1}", Resample(2 * c, 4 * c, nn.PixelShuffle(2)))
            self.add_module(f"enhance_level{level + 1}", SFEB(c))
            if level > 0:
                self.add_module(f"reduce_chan_level{level + 1}", nn.Conv2d(2 * c, c, 1))
            self.add_module(
                f"decoder_level{level + 1}", blocks(num_blocks[level], 2 * dim if level == 0 else c)
            )
        self.latent = blocks(num_blocks[3], 8 * dim)
        self.refinement = blocks(num_refinement_blocks, 2 * dim)
        self.output = nn.Conv2d(2 * dim, out_channels, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        x, skips = self.patch_embed(image), []
        for level in (1, 2, 3):
            x = getattr(self, f"encoder_level{level}")(x)
            skips.append(x)
            x = getattr(self, f"down{level}_{level + 1}")(x)
        x = self.latent(x)
        for level in (3, 2, 1):
            skip = getattr(self, f"enhance_level{level}")(skips.pop())
            x = torch.cat([getattr(self, f"up{level + 1}_{level}")(x), skip], 1)
            if level > 1:
                x = getattr(self, f"reduce_chan_level{level}")(x)
            x = getattr(self, f"decoder_level{level}")(x)
        return self.output(self.refinement(x)) + image
