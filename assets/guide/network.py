"""A small Llama in PyTorch, for training only; the finished model runs in MLX."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The measures of the network."""

    vocab: int = 4096
    width: int = 256
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 1024
    theta: float = 10000.0
    eps: float = 1e-5
    dropout: float = 0.05

    @property
    def head_width(self) -> int:
        """Return the width of one attention head."""
        return self.width // self.heads


def rotary(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of the rotary positions."""
    half = torch.arange(0, shape.head_width, 2).float() / shape.head_width
    angles = torch.outer(torch.arange(length).float(), shape.theta**-half)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the two halves of each head by its position, as Llama does."""
    first, second = x.float().chunk(2, dim=-1)
    turned = torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with grouped key and value heads."""

    def __init__(self, shape: Shape) -> None:
        """Make the four projections."""
        super().__init__()
        self.shape = shape
        narrow = shape.kv_heads * shape.head_width
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, narrow, bias=False)
        self.v_proj = nn.Linear(shape.width, narrow, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Let every position look at the earlier ones.

        Plain products: for rows this short they take a fifth of the time of torch's own attention.
        """
        batch, length, _ = x.shape
        groups, size = self.shape.kv_heads, self.shape.head_width
        q = self.q_proj(x).view(batch, length, -1, size).transpose(1, 2)
        k = self.k_proj(x).view(batch, length, -1, size).transpose(1, 2)
        v = self.v_proj(x).view(batch, length, -1, size).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        q = q.reshape(batch, groups, -1, size)
        scores = (q @ k.transpose(-1, -2) * size**-0.5).view(batch, groups, -1, length, length)
        later = scores.new_full((length, length), float("-inf")).triu(1)
        seen = (scores + later).softmax(-1).to(v.dtype).view(batch, groups, -1, length) @ v
        heads = seen.view(batch, -1, length, size).transpose(1, 2)
        return heads.reshape(batch, length, -1)


class FeedForward(nn.Module):
    """The gated two-layer part of a block."""

    def __init__(self, shape: Shape) -> None:
        """Make the three projections."""
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the gated layers."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    """One layer: attention and feed-forward, each with its norm and residual."""

    def __init__(self, shape: Shape) -> None:
        """Make the parts of the layer."""
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.width, eps=shape.eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, eps=shape.eps)
        self.mlp = FeedForward(shape)
        self.drop = nn.Dropout(shape.dropout)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, where: Tensor | None = None) -> Tensor:
        """Run the layer; with ``where``, go on at these flat positions only."""
        seen = self.self_attn(self.input_layernorm(x), cos, sin)
        if where is not None:
            x, seen = x.flatten(0, 1)[where], seen.flatten(0, 1)[where]
        x = x + self.drop(self.self_attn.o_proj(seen))
        return x + self.drop(self.mlp(self.post_attention_layernorm(x)))


class Llama(nn.Module):
    """The whole network; its parameter names are those of the finished model."""

    def __init__(self, shape: Shape) -> None:
        """Make all layers with small random weights."""
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.eps)
        self.lm_head = nn.Linear(shape.width, shape.vocab, bias=False)
        self.drop = nn.Dropout(shape.dropout)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                scale = 0.03 / (2 * shape.layers) ** 0.5 if deep else 0.03
                nn.init.normal_(weight, std=scale)
        nn.init.orthogonal_(self.layers[-1].self_attn.v_proj.weight)
        nn.init.orthogonal_(self.layers[-1].self_attn.o_proj.weight)

    def forward(self, tokens: Tensor, where: Tensor) -> Tensor:
        """Return the scores of the next token at the flat positions ``where``."""
        cos, sin = rotary(self.shape, tokens.shape[1])
        x = self.drop(self.embed_tokens(tokens))
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, where if i == len(self.layers) - 1 else None)
        return self.lm_head(self.norm(x))

    def bag(self, tokens: Tensor, where: Tensor, first: int) -> Tensor:
        """Return the scores of the tokens from ``first`` on, by the last layer's values alone.

        All earlier tokens count alike, whatever their order. This is a small part of the work of
        the whole network, and what it learns is a good place to begin from.
        """
        layer, groups = self.layers[-1], self.shape.kv_heads
        x = self.embed_tokens(tokens)
        total = layer.input_layernorm(x).cumsum(1).flatten(0, 1)[where]
        values = layer.self_attn.v_proj(total / (where % tokens.shape[1] + 1)[:, None])
        seen = values.view(len(where), groups, 1, -1)
        seen = seen.expand(-1, -1, self.shape.heads // groups, -1).flatten(1)
        x = x.flatten(0, 1)[where] + self.drop(layer.self_attn.o_proj(seen))
        return F.linear(self.norm(x), self.lm_head.weight[first:])

    def begin_as_bag(self) -> None:
        """Set what ``bag`` leaves out to zero, so that the whole network begins as the bag."""
        last = self.layers[-1]
        for layer in self.layers:
            nn.init.zeros_(layer.mlp.down_proj.weight)
            nn.init.zeros_(
                (last.self_attn.q_proj if layer is last else layer.self_attn.o_proj).weight
            )

    def bag_parts(self) -> list[nn.Parameter]:
        """Return the matrices that ``bag`` reads questions with."""
        attention = self.layers[-1].self_attn
        return [self.embed_tokens.weight, attention.v_proj.weight, attention.o_proj.weight]

    def no_dropout(self) -> None:
        """Use every part of the network from now on."""
        for part in self.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0

    def size(self) -> int:
        """Count the parameters."""
        return sum(weight.numel() for weight in self.parameters())
