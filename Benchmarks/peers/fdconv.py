"""Frequency-dynamic convolution in PyTorch, written from the paper's description (arXiv 2503.18783).

Parameter names are those of the authors' state dict. Images are [B, C, H, W].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class StarReLU(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * F.relu(x) ** 2 + self.bias


class GlobalModulation(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int) -> None:
        super().__init__()
        width = max(inputs // 16, 16)
        self.groups = groups
        self.fc = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = StarReLU()
        self.channel_fc = nn.Conv2d(width, inputs, 1)
        self.filter_fc = nn.Conv2d(width, outputs, 1)
        if kernel > 1:
            self.spatial_fc = nn.Conv2d(width, kernel * kernel, 1)
        self.kernel_fc = nn.Conv2d(width, groups, 1)
        self.kernel = kernel

    def forward(self, mean: Tensor) -> tuple[Tensor, ...]:
        u = self.relu(self.bn(self.fc(mean)))
        b = u.shape[0]
        channel = torch.sigmoid(self.channel_fc(u)).view(b, 1, -1, 1, 1) * 2
        filters = torch.sigmoid(self.filter_fc(u)).view(b, -1, 1, 1, 1) * 2
        spatial: Tensor | float = 1.0
        if self.kernel > 1:
            spatial = torch.sigmoid(self.spatial_fc(u)).view(b, 1, 1, self.kernel, -1) * 2
        kernel = torch.sigmoid(self.kernel_fc(u)).view(b, -1) * 2 / self.groups
        return channel, filters, spatial, kernel


class LocalModulation(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        taps = round(math.log2(inputs) / 2 + 0.5) // 2 * 2 + 1
        self.conv = nn.Conv1d(1, outputs * kernel * kernel, taps, padding=taps // 2, bias=False)
        self.norm = nn.LayerNorm(inputs)

    def forward(self, mean: Tensor) -> Tensor:
        return self.conv(self.norm(mean.flatten(1)).unsqueeze(1))  # [B, O·k², I]


class BandModulation(nn.Module):
    def __init__(self, inputs: int, divisors: tuple[int, ...] = (2, 4, 8)) -> None:
        super().__init__()
        self.freq_weight_conv_list = nn.ModuleList(
            nn.Conv2d(inputs, 1, 3, padding=1) for _ in divisors
        )
        rows = torch.fft.fftfreq(64).abs()[:, None]
        columns = torch.fft.rfftfreq(64)[None, :]
        masks = [torch.maximum(rows, columns) < 0.5 / q + 1e-8 for q in divisors]
        self.register_buffer("masks", torch.stack(masks)[:, None].float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        spectrum = torch.fft.rfft2(x, norm="ortho")
        masks = F.interpolate(self.masks, size=spectrum.shape[-2:], mode="nearest")
        previous, parts = x, []
        for mask, convolution in zip(masks, self.freq_weight_conv_list, strict=True):
            low = torch.fft.irfft2(spectrum * mask, s=size, norm="ortho")
            parts.append(torch.sigmoid(convolution(x)) * 2 * (previous - low))
            previous = low
        return sum(parts) + previous


class FDConv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, groups: int = 64) -> None:
        super().__init__()
        self.inputs, self.outputs, self.kernel, self.groups = inputs, outputs, kernel, groups
        rows, width = outputs * kernel, inputs * kernel
        weight = torch.randn(outputs, inputs, kernel, kernel) / math.sqrt(inputs * kernel**2)
        spectrum = torch.fft.rfft2(weight.permute(0, 2, 1, 3).reshape(rows, width))
        self.alpha = min(inputs, outputs) // 2 * groups
        self.dft_weight = nn.Parameter(
            torch.view_as_real(spectrum)[None] / (min(inputs, outputs) // 2)
        )
        self.bias = nn.Parameter(torch.zeros(outputs))
        distance = torch.hypot(
            torch.fft.fftfreq(rows)[:, None], torch.fft.rfftfreq(width)[None, :]
        )
        order = distance.flatten().argsort(stable=True).view(groups, -1)
        self.register_buffer("order", order, persistent=False)
        self.KSM_Global = GlobalModulation(inputs, outputs, kernel, groups)
        self.KSM_Local = LocalModulation(inputs, outputs, kernel)
        self.FBM = BandModulation(inputs) if kernel == 3 else None

    def forward(self, x: Tensor) -> Tensor:
        b, _, height, width = x.shape
        k, rows = self.kernel, self.outputs * self.kernel
        mean = F.adaptive_avg_pool2d(x, 1)
        channel, filters, spatial, attention = self.KSM_Global(mean)
        local = torch.sigmoid(self.KSM_Local(mean)) * 2
        local = local.view(b, self.outputs, k, k, self.inputs).permute(0, 1, 4, 2, 3)
        coefficients = torch.view_as_complex(self.dft_weight[0]).flatten()[self.order] * self.alpha
        scaled = (attention[:, :, None] * coefficients).flatten(1)
        spectrum = torch.zeros(b, self.order.numel(), dtype=scaled.dtype)
        spectrum = spectrum.index_copy(1, self.order.flatten(), scaled).view(b, rows, -1)
        kernels = torch.fft.irfft2(spectrum, s=(rows, self.inputs * k))
        kernels = kernels.view(b, self.outputs, k, self.inputs, k).permute(0, 1, 3, 2, 4)
        if self.FBM is not None:
            x = self.FBM(x)
        # The authors' program scales maps instead of kernels where that is less work.
        if self.outputs * self.inputs * k * k >= (self.inputs + self.outputs) * height * width:
            x = x * channel.view(b, -1, 1, 1)
            kernels = kernels * local * spatial
            y = F.conv2d(
                x.reshape(1, -1, height, width), kernels.reshape(-1, self.inputs, k, k),
                padding=k // 2, groups=b,
            )
            y = y.view(b, self.outputs, height, width) * filters.view(b, -1, 1, 1)
        else:
            kernels = kernels * local * spatial * channel * filters
            y = F.conv2d(
                x.reshape(1, -1, height, width), kernels.reshape(-1, self.inputs, k, k),
                padding=k // 2, groups=b,
            ).view(b, self.outputs, height, width)
        return y + self.bias.view(1, -1, 1, 1)
