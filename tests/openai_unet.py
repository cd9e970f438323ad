"""The U-Net of improved-diffusion and guided-diffusion, told again from the papers and the names of
its weights, apart from hush's own: what is compared are two readings of one architecture."""

import math

import torch
from torch import nn
from torch.nn import functional


def norm(channels):
    return nn.GroupNorm(32, channels, eps=1e-5)


def waves(steps, count):
    """Cosines, then sines, of frequencies from 1 down to 1/10000."""
    half = count // 2
    angle = steps[:, None] * torch.tensor(
        [math.exp(-math.log(10_000) * i / half) for i in range(half)]
    )
    return torch.cat([angle.cos(), angle.sin()], 1)


class Res(nn.Module):
    """Norm, SiLU, 3×3, the embedding, norm, SiLU, 3×3; beside a 1×1 where widths differ."""

    def __init__(self, channels, out, features, shifts, change=None):
        super().__init__()
        self.shifts, self.change = shifts, change
        self.in_layers = nn.Sequential(
            norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(features, 2 * out if shifts else out))
        self.out_layers = nn.Sequential(
            norm(out), nn.SiLU(), nn.Dropout(), nn.Conv2d(out, out, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x, embedding):
        hidden = self.in_layers[1](self.in_layers[0](x))
        if self.change == "down":
            hidden, x = functional.avg_pool2d(hidden, 2), functional.avg_pool2d(x, 2)
        if self.change == "up":
            hidden, x = twice(hidden), twice(x)
        hidden = self.in_layers[2](hidden)
        told = self.emb_layers(embedding)[:, :, None, None]
        if self.shifts:
            scale, shift = told.split(told.shape[1] // 2, 1)
            hidden = self.out_layers[0](hidden) * (1 + scale) + shift
        else:
            hidden = self.out_layers[0](hidden + told)
        return self.skip_connection(x) + self.out_layers[1:](hidden)


def twice(x):
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Attend(nn.Module):
    """Softmax attention written out, for either order of the rows of qkv."""

    def __init__(self, channels, heads, new):
        super().__init__()
        self.heads, self.new = heads, new
        self.norm, self.qkv = norm(channels), nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)

    def forward(self, x, embedding):
        batch, channels, length, size = (
            len(x),
            x.shape[1],
            x[0, 0].numel(),
            x.shape[1] // self.heads,
        )
        flat = x.reshape(batch, channels, length)
        qkv = self.qkv(self.norm(flat))
        if self.new:
            query, key, value = qkv.reshape(batch, 3, self.heads, size, length).unbind(1)
        else:
            query, key, value = qkv.reshape(batch, self.heads, 3, size, length).unbind(2)
        weight = torch.einsum("bhct,bhcs->bhts", query, key) / size**0.5
        mixed = torch.einsum("bhts,bhcs->bhct", weight.softmax(-1), value)
        return x + self.proj_out(mixed.reshape(batch, channels, length)).reshape(x.shape)


class Down(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x, embedding):
        return self.op(x)


class Up(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, embedding):
        return self.conv(twice(x))


class Stem(nn.Conv2d):
    def forward(self, x, embedding):
        return super().forward(x)


class Theirs(nn.Module):
    """The whole of it, in the flags of theirs."""

    def __init__(
        self,
        model_channels=32,
        out_channels=2,
        num_res_blocks=1,
        attention_resolutions=(2,),
        channel_mult=(1, 2),
        num_classes=None,
        num_heads=4,
        num_head_channels=-1,
        use_scale_shift_norm=False,
        resblock_updown=False,
        use_new_attention_order=False,
        conv_resample=True,
    ):
        super().__init__()
        features, now, scale = 4 * model_channels, int(channel_mult[0] * model_channels), 1
        self.model_channels = model_channels
        self.time_embed = nn.Sequential(
            nn.Linear(model_channels, features), nn.SiLU(), nn.Linear(features, features)
        )
        self.label_emb = None if num_classes is None else nn.Embedding(num_classes, features)

        def res(channels, out, change=None):
            return Res(channels, out, features, use_scale_shift_norm, change)

        def attend(channels):
            heads = num_heads if num_head_channels == -1 else channels // num_head_channels
            return Attend(channels, heads, use_new_attention_order)

        self.input_blocks, self.output_blocks = nn.ModuleList(), nn.ModuleList()
        self.input_blocks.append(nn.ModuleList([Stem(2, now, 3, padding=1)]))
        kept = [now]
        for level, mult in enumerate(channel_mult):
            for _ in range(num_res_blocks):
                layers = [res(now, now := int(mult * model_channels))]
                layers += [attend(now)] if scale in attention_resolutions else []
                self.input_blocks.append(nn.ModuleList(layers))
                kept.append(now)
            if level < len(channel_mult) - 1:
                change = res(now, now, "down") if resblock_updown else Down(now)
                self.input_blocks.append(nn.ModuleList([change] if conv_resample else []))
                kept.append(now)
                scale *= 2
        self.middle_block = nn.ModuleList([res(now, now), attend(now), res(now, now)])
        for level, mult in reversed(list(enumerate(channel_mult))):
            for i in range(num_res_blocks + 1):
                layers = [res(now + kept.pop(), now := int(mult * model_channels))]
                layers += [attend(now)] if scale in attention_resolutions else []
                if level and i == num_res_blocks and conv_resample:
                    layers.append(res(now, now, "up") if resblock_updown else Up(now))
                self.output_blocks.append(nn.ModuleList(layers))
            scale //= 2
        self.out = nn.Sequential(norm(now), nn.SiLU(), nn.Conv2d(now, out_channels, 3, padding=1))

    def forward(self, x, steps, labels=None):
        embedding = self.time_embed(waves(steps, self.model_channels).to(x.dtype))
        if self.label_emb is not None:
            embedding = embedding + self.label_emb(labels)
        kept = []
        for block in self.input_blocks:
            for layer in block:
                x = layer(x, embedding)
            kept.append(x)
        for layer in self.middle_block:
            x = layer(x, embedding)
        for block in self.output_blocks:
            x = torch.cat([x, kept.pop()], 1)
            for layer in block:
                x = layer(x, embedding)
        return self.out(x)
