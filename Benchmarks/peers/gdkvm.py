"""GDKVM (v2) in PyTorch, for timing: the network of Sources/Models/GDKVM with the same sizes."""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, cin, inner, stride):
        super().__init__()
        out = 4 * inner
        self.conv1, self.bn1 = nn.Conv2d(cin, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, out, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or cin != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(cin, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        y = self.bn3(self.conv3(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Basic(nn.Module):
    def __init__(self, cin, out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or cin != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(cin, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Encoder(nn.Module):
    def __init__(self, deep, cin, width=64):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(cin, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        channels = width
        for stage, count in enumerate([3, 4, 6] if deep else [2, 2, 2]):
            blocks = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                inner = width << stage
                blocks.append((Bottleneck if deep else Basic)(channels, inner, stride))
                channels = inner * (4 if deep else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))

    def stages(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x)), inplace=True), 3, 2, 1)
        f4 = self.layer1(x)
        f8 = self.layer2(f4)
        return self.layer3(f8), f8, f4


class CARes(nn.Module):
    def __init__(self, cin, out):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(cin, out, 3, 1, 1), nn.Conv2d(out, out, 3, 1, 1)
        t = int((math.log2(out) + 1) / 2)
        k = t if t % 2 else t + 1
        self.conv = nn.Conv1d(1, 1, k, padding=(k - 1) // 2, bias=False)

    def forward(self, x):
        y = self.conv2(F.relu(self.conv1(F.relu(x))))
        g = self.conv(y.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1).sigmoid()
        return y * g + x


class Fuser(nn.Module):
    def __init__(self, x, y, out):
        super().__init__()
        self.x_transform, self.y_transform = nn.Conv2d(x, out, 1), nn.Conv2d(y, out, 1)
        self.layer1, self.layer2 = CARes(out, out), CARes(out, out)

    def forward(self, x, y):
        return self.layer2(self.layer1(self.x_transform(x) + self.y_transform(y)))


def gated(transform, g, h):
    v = transform(torch.cat([g, h], 1))
    f, u, n = v.chunk(3, 1)
    f, u, n = f.sigmoid(), u.sigmoid(), n.tanh()
    return f * h * (1 - u) + u * n


class Up(nn.Module):
    def __init__(self, cin, out):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(cin, out, 3, 1, 1), nn.Conv2d(out, out, 3, 1, 1)
        self.linear_proj = nn.Conv2d(cin, out, 1) if cin != out else nn.Identity()

    def forward(self, x, skip):
        z = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) + skip
        return self.linear_proj(z) + F.gelu(self.conv2(F.gelu(self.conv1(z))))


def encoding(h, w, channels=256, scale=32.0, temperature=128.0):
    half = channels // 2
    freq = temperature ** (-torch.arange(0, half, 2) / half)

    def axis(n):
        p = torch.arange(n) / (n - 1 + 1e-6) * scale
        a = p[:, None] * freq
        return torch.stack([a.sin(), a.cos()], -1).flatten(1)

    x, y = axis(w)[None].expand(h, w, half), axis(h)[:, None].expand(h, w, half)
    return torch.cat([x, y], -1)


class Block(nn.Module):
    def __init__(self, c=256, heads=8, ff=2048):
        super().__init__()
        self.cross = nn.MultiheadAttention(c, heads, batch_first=True)
        self.own = nn.MultiheadAttention(c, heads, batch_first=True)
        self.back = nn.MultiheadAttention(c, heads, batch_first=True)
        self.n1, self.n2, self.n3 = nn.LayerNorm(c), nn.LayerNorm(c), nn.LayerNorm(c)
        self.l1, self.l2 = nn.Linear(c, ff), nn.Linear(ff, c)
        self.ffn = CARes(c, c)

    def forward(self, q, q_pe, pix, p_pe, mask):
        b, c, h, w = pix.shape
        flat = pix.flatten(2).transpose(1, 2)
        located = flat + p_pe
        q = self.n1(q)
        q = q + self.cross(q + q_pe, located, flat, attn_mask=mask, need_weights=False)[0]
        q = self.n2(q)
        q = q + self.own(q + q_pe, q + q_pe, q, need_weights=False)[0]
        q = q + self.l2(F.relu(self.l1(self.n3(q))))
        flat = flat + self.back(located, q + q_pe, q, need_weights=False)[0]
        pix = flat.transpose(1, 2).reshape(b, c, h, w).contiguous(memory_format=torch.channels_last)
        return q, self.ffn(pix)


class GDKVM(nn.Module):
    """One object, v2 recurrence, first mask zero."""

    def __init__(self):
        super().__init__()
        c, heads = 256, 8
        self.heads = heads
        self.image, self.mask = Encoder(True, 1), Encoder(False, 3)
        self.mask_fuser = Fuser(c, c, c)
        self.mask_sensory = nn.Conv2d(2 * c, 3 * c, 3, 1, 1)
        self.key = nn.Sequential(nn.Conv2d(1024, c, 1), nn.Conv2d(c, 64, 3, 1, 1))
        self.pix = nn.Conv2d(1024, c, 1)
        self.k1, self.k2 = nn.Conv2d(c, c, 1), nn.Conv2d(c, 64, 3, 1, 1)
        self.gate = nn.Conv2d(64, 1, 1)
        self.skip8, self.skip4 = nn.Conv2d(512, c, 1), nn.Conv2d(256, 128, 1)
        self.up8, self.up4 = Up(c, 128), Up(128, 128)
        self.pred = nn.Conv2d(128, 1, 1)
        self.g16, self.g8, self.g4 = nn.Conv2d(c, c, 1), nn.Conv2d(128, c, 1), nn.Conv2d(129, c, 1)
        self.dec_sensory = nn.Conv2d(2 * c, 3 * c, 3, 1, 1)
        self.pixel_conv, self.pixel_fuser = nn.Conv2d(c + 2, c, 1), Fuser(c, c, c)
        self.query_init, self.query_emb = nn.Parameter(torch.randn(16, c)), nn.Parameter(torch.randn(16, c))
        self.s_init, self.s_emb = nn.Linear(c, c), nn.Linear(c, c)
        self.p_init, self.p_emb = nn.Conv2d(c, c, 1), nn.Conv2d(c, c, 1)
        self.blocks = nn.ModuleList(Block() for _ in range(3))
        self.mask_pred = nn.ModuleList(nn.Conv2d(c, 1, 1) for _ in range(4))
        self.o_in = nn.Linear(c, c)
        self.o_feat = nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, c))
        self.o_wgt = nn.Sequential(nn.Linear(c, c), nn.ReLU(), nn.Linear(c, 16))
        self.aux = nn.Conv2d(c, 257, 1)
        self.a_proj, self.b_proj = nn.Linear(c, heads, bias=False), nn.Linear(c, heads, bias=False)
        self.A_log, self.dt_bias = nn.Parameter(torch.rand(heads)), nn.Parameter(torch.rand(heads) - 4)

    def attention_mask(self, logits):
        inside = (logits >= 0).flatten(2)  # [B, 1, P]
        blocked = torch.cat([~inside.expand(-1, 8, -1), inside.expand(-1, 8, -1)], 1)
        blocked = blocked & ~blocked.all(-1, keepdim=True)
        return blocked.repeat_interleave(self.heads, 0)

    def encode_mask(self, x, pix, mask, sensory, pe):
        value = self.mask_fuser(pix, self.mask.stages(torch.cat([x, mask, torch.zeros_like(mask)], 1))[0])
        sensory = gated(self.mask_sensory, value, sensory)
        v = self.o_in(value.permute(0, 2, 3, 1)) + pe
        m = F.adaptive_avg_pool2d(mask, value.shape[-2:]).permute(0, 2, 3, 1)
        part = torch.cat([m.expand(*m.shape[:3], 8), (1 - m).expand(*m.shape[:3], 8)], -1)
        wgt = (self.o_wgt(v).sigmoid() * part).flatten(1, 2)
        sums = wgt.transpose(1, 2) @ self.o_feat(v).flatten(1, 2)
        return value, sensory, torch.cat([sums, wgt.sum(1).unsqueeze(-1)], -1)

    def segment(self, readout, pix, mask, sensory, mem, s8, s4, pe):
        small = F.adaptive_avg_pool2d(mask, pix.shape[-2:])
        a = self.pixel_conv(torch.cat([sensory, small, torch.zeros_like(small)], 1))
        x = self.pixel_fuser(pix, readout + a)
        val = mem[..., :-1] / (mem[..., -1:] + 1e-4)
        q, q_pe = self.query_init + self.s_init(val), self.query_emb + self.s_emb(val)
        pixel = self.p_init(x)
        p_pe = pe.flatten(0, 1) + self.p_emb(x).flatten(2).transpose(1, 2)
        logits = self.mask_pred[0](F.relu(pixel))
        for block, pred in zip(self.blocks, self.mask_pred[1:]):
            q, pixel = block(q, q_pe, pixel, p_pe, self.attention_mask(logits))
            logits = pred(F.relu(pixel))
        v8 = self.up8(pixel, s8)
        v4 = self.up4(v8, s4)
        logit = self.pred(v4)
        g = self.g16(pixel) + self.g8(F.avg_pool2d(v8, 2)) + self.g4(F.avg_pool2d(torch.cat([v4, logit], 1), 4))
        sensory = gated(self.dec_sensory, g, sensory)
        p = logit.sigmoid()
        c = torch.cat([1 - p, p], 1).clamp(1e-7, 1 - 1e-7)
        out = F.interpolate((c / (1 - c)).log(), scale_factor=4, mode="bilinear", align_corners=False)
        return out, out.softmax(1)[:, 1:], sensory

    def forward(self, clip):
        """[B, T, 1, H, W] in 0 to 1 to log-odds [B, T, 2, H, W]."""
        b, t = clip.shape[:2]
        x = ((clip.flatten(0, 1) - 0.5) / 0.5).contiguous(memory_format=torch.channels_last)
        f16, f8, f4 = self.image.stages(x)
        pix = self.pix(f16)
        key = self.key(f16)
        kappa = key + key.mean((2, 3), keepdim=True)
        gamma = self.gate(kappa).sigmoid()
        key = (gamma * kappa + (1 - gamma) * self.k2(F.relu(self.k1(pix)))).softmax(1)
        s8, s4 = self.skip8(f8), self.skip4(f4)
        h, w = pix.shape[-2:]
        pe = encoding(h, w)

        def at(z, i):
            return z.unflatten(0, (b, t))[:, i]

        sensory = torch.zeros(b, 256, h, w).contiguous(memory_format=torch.channels_last)
        mask = torch.zeros(b, 1, *clip.shape[-2:])
        state, total, outputs = None, None, []
        for i in range(t):
            k = at(key, i).flatten(2)  # [B, 64, P]
            value, sensory, mem = self.encode_mask(at(x, i), at(pix, max(i - 1, 0)), mask, sensory, pe)
            v = value.flatten(2).transpose(1, 2)  # [B, P, 256]
            new = k @ v
            if state is None:
                state, total = new, mem
            else:
                beta = self.b_proj(state).sigmoid().repeat_interleave(256 // self.heads, -1)
                g = -self.A_log.exp() * F.softplus(self.a_proj(state) + self.dt_bias)
                alpha = g.exp().repeat_interleave(256 // self.heads, -1)
                state = alpha * (state - beta * (k @ k.transpose(1, 2) @ state)) + beta * new
            read = (k.transpose(1, 2) @ state).transpose(1, 2).unflatten(2, (h, w))
            read = read.contiguous(memory_format=torch.channels_last)
            logits, mask, sensory = self.segment(
                read, at(pix, i), mask, sensory, total, at(s8, i), at(s4, i), pe
            )
            if i > 0:
                total = total + mem
            outputs.append(logits)
        return torch.stack(outputs, 1)
