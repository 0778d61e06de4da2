"""Random functions and random structural causal models, which generate the target of a table.

Shapes: B tables, n rows, d columns. Structural choices (depth, number of trees) are drawn once for
the B tables of a call; weights, scales and sparsity are drawn for every table.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def uniform(generator: Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Draw uniform numbers in [low, high)."""
    return low + (high - low) * torch.rand(shape, generator=generator)


def log_uniform(generator: Generator, *shape: int, low: float, high: float) -> Tensor:
    """Draw numbers whose logarithm is uniform between the logarithms of low and high."""
    return uniform(generator, *shape, low=math.log(low), high=math.log(high)).exp()


def integer(generator: Generator, low: int, high: int) -> int:
    """Draw one integer in [low, high]."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def chance(generator: Generator, probability: float) -> bool:
    """Return True with the given probability."""
    return bool(torch.rand((), generator=generator) < probability)


def standard(x: Tensor) -> Tensor:
    """Scale to mean 0 and standard deviation 1 over the rows (dimension 1)."""
    return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-6)


ACTIVATIONS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    torch.tanh,
    torch.relu,
    lambda x: F.leaky_relu(x, 0.2),
    F.silu,
    torch.sin,
    torch.abs,
    torch.sign,
    torch.floor,
    lambda x: torch.exp(-x * x),
    lambda x: x.clamp(-1, 1),
    lambda x: x * x.abs().clamp(max=3),
)


def draw_causes(generator: Generator, n_tables: int, n_rows: int, n_causes: int) -> Tensor:
    """Draw independent columns: normal, uniform, a mixture of normals, or heavy-tailed."""
    shape = (n_tables, n_rows, n_causes)
    kind = integer(generator, 0, 9)
    if kind < 5:
        return torch.randn(shape, generator=generator)
    if kind < 7:
        return uniform(generator, *shape, low=-math.sqrt(3), high=math.sqrt(3))
    if kind < 9:
        n_clusters = integer(generator, 2, 5)
        centres = 1.5 * torch.randn(n_tables, n_clusters, n_causes, generator=generator)
        spreads = log_uniform(generator, n_tables, n_clusters, n_causes, low=0.2, high=1.2)
        member = torch.randint(n_clusters, (n_tables, n_rows, 1), generator=generator)
        member = member.expand(shape)
        noise = torch.randn(shape, generator=generator)
        return centres.gather(1, member) + spreads.gather(1, member) * noise
    chi_square = torch.randn(n_tables, n_rows, 3, generator=generator).square().mean(-1)
    return torch.randn(shape, generator=generator) / (chi_square + 0.1).sqrt()[..., None]


def draw_features(generator: Generator, n_tables: int, n_rows: int, n_features: int) -> Tensor:
    """Draw columns, independent in half of the calls, otherwise driven by common factors."""
    X = draw_causes(generator, n_tables, n_rows, n_features)
    if chance(generator, 0.5):
        n_factors = integer(generator, 1, n_features)
        loadings = torch.randn(n_tables, n_factors, n_features, generator=generator)
        own = log_uniform(generator, n_tables, 1, n_features, low=0.03, high=1.0)
        X = X[..., :n_factors] @ loadings / math.sqrt(n_factors) + own * X
    return standard(X)


def linear(generator: Generator, X: Tensor) -> Tensor:
    """Draw linear functions of all or of few columns, with weights of very different sizes."""
    n_tables, _, d = X.shape
    sizes = log_uniform(generator, n_tables, d, low=0.1, high=3.0)
    kept = torch.rand(n_tables, d, generator=generator) < uniform(generator, n_tables, 1, low=0.1)
    kept[:, 0] |= ~kept.any(1)
    weights = torch.randn(n_tables, d, generator=generator) * sizes * kept
    return torch.einsum("bnd,bd->bn", X, weights)


def smooth(generator: Generator, X: Tensor, n_waves: int = 64) -> Tensor:
    """Draw functions from Gaussian processes by random Fourier features.

    The length scale of each column is log-normal, and a third of the columns are irrelevant. In
    40 % of the calls each wave depends on two columns on average, which makes the function nearly
    additive.
    """
    n_tables, _, d = X.shape
    scales = 1.1 * math.sqrt(d) * torch.randn(n_tables, d, 1, generator=generator).mul(0.8).exp()
    frequencies = torch.randn(n_tables, d, n_waves, generator=generator) / scales
    frequencies = frequencies * (torch.rand(n_tables, d, 1, generator=generator) < 0.7)
    if chance(generator, 0.4):
        seen = torch.rand(frequencies.shape, generator=generator) < 2 / d
        frequencies = frequencies * seen * (0.6 * math.sqrt(d))
    rate = log_uniform(generator, n_tables, 1, 1, low=0.5, high=2.0)
    phases = uniform(generator, n_tables, 1, n_waves, high=2 * math.pi)
    amplitudes = torch.randn(n_tables, n_waves, 1, generator=generator) / math.sqrt(n_waves)
    return (torch.cos(X @ frequencies * rate + phases) @ amplitudes).squeeze(-1)


def trees(generator: Generator, X: Tensor) -> Tensor:
    """Draw sums of 1 to 16 oblivious trees of depth 1 to 5 that split some columns more often."""
    n_tables, n_rows, d = X.shape
    n_trees, depth = integer(generator, 1, 16), integer(generator, 1, 5)
    importance = torch.randn(n_tables, d, generator=generator).mul(1.2).exp()
    split = torch.multinomial(importance, n_trees * depth, replacement=True, generator=generator)
    threshold = 0.8 * torch.randn(n_tables, 1, n_trees * depth, generator=generator)
    right = X.gather(2, split[:, None].expand(-1, n_rows, -1)) > threshold
    bits = 2 ** torch.arange(depth)
    leaf = (right.view(n_tables, n_rows, n_trees, depth) * bits).sum(-1)  # (B, n, trees)
    values = torch.randn(n_tables, n_trees * 2**depth, generator=generator)
    index = leaf + 2**depth * torch.arange(n_trees)
    return values.gather(1, index.flatten(1)).view(leaf.shape).sum(-1)


PAIRS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    lambda a, b: a * b,
    torch.maximum,
    torch.minimum,
    lambda a, b: a * (b > 0),
    lambda a, b: torch.sin(a + b),
    lambda a, b: (a + b).square(),
    lambda a, b: a / (0.3 + b.abs()),
    lambda a, b: torch.sqrt(a.square() + b.square()),
    lambda a, b: a * torch.exp(-b.square()),
)


def formula(generator: Generator, X: Tensor) -> Tensor:
    """Draw formulas: sums of one to six terms, each a function of one column or of a pair.

    Columns are shifted and scaled first, so that products have main effects too.
    """
    n_tables, n_rows, d = X.shape
    y = torch.zeros(n_tables, n_rows)
    for _ in range(integer(generator, 1, 6)):
        pair = torch.randint(d, (n_tables, 1, 2), generator=generator)
        scale = log_uniform(generator, n_tables, 1, 2, low=0.3, high=2.0)
        shift = torch.randn(n_tables, 1, 2, generator=generator)
        a, b = (scale * X.gather(2, pair.expand(-1, n_rows, -1)) + shift).unbind(-1)
        if chance(generator, 0.5):
            term = ACTIVATIONS[integer(generator, 0, len(ACTIVATIONS) - 1)](a)
        else:
            term = PAIRS[integer(generator, 0, len(PAIRS) - 1)](a, b)
        y = y + torch.randn(n_tables, 1, generator=generator) * standard(term)
    return y


def lookup(generator: Generator, X: Tensor) -> Tensor:
    """Draw sums of one to three lookup tables, indexed by the levels of one to three columns."""
    n_tables, n_rows, d = X.shape
    y = torch.zeros(n_tables, n_rows)
    for _ in range(integer(generator, 1, 3)):
        cell = torch.zeros(n_tables, n_rows, dtype=torch.long)
        n_cells = 1
        for _ in range(integer(generator, 1, min(3, d))):
            n_levels = integer(generator, 2, 5)
            column = torch.randint(d, (n_tables, 1, 1), generator=generator)
            values = standard(X.gather(2, column.expand(-1, n_rows, -1)))[..., 0]
            level = (torch.special.ndtr(values) * n_levels).long().clamp(max=n_levels - 1)
            cell, n_cells = cell * n_levels + level, n_cells * n_levels
        y = y + torch.randn(n_tables, n_cells, generator=generator).gather(1, cell)
    return y


def _layer(generator: Generator, x: Tensor, width: int, density: Tensor) -> Tensor:
    """Apply a random layer of a causal model: sparse weights, a bias, mixed activations."""
    n_tables, _, d = x.shape
    kept = torch.rand(n_tables, d, width, generator=generator) < density.clamp(min=1.5 / d)
    weights = torch.randn(n_tables, d, width, generator=generator) * kept
    bias = 0.7 * torch.randn(n_tables, 1, width, generator=generator)
    x = standard(x) @ weights / (d * density).clamp(min=1).sqrt() + bias
    x = x * log_uniform(generator, n_tables, 1, 1, low=0.5, high=2.5)
    n_kinds = integer(generator, 1, 3)
    parts = x.tensor_split(n_kinds, -1)
    kinds = (ACTIVATIONS[integer(generator, 0, len(ACTIVATIONS) - 1)] for _ in parts)
    return torch.cat([activation(part) for activation, part in zip(kinds, parts, strict=True)], -1)


def causal_model(
    generator: Generator, n_tables: int, n_rows: int, n_features: int
) -> tuple[Tensor, Tensor]:
    """Draw from structural causal models: columns and target are nodes of a random layered network.

    The network has one to four layers of sparse random weights with mixed activations and a little
    noise at every node. The target is a node of the last layer in 60 % of the calls, otherwise any
    node, so that columns are its causes or effects, or share causes with it.

    Returns
    -------
    X : Tensor of shape (B, n, d)
    y : Tensor of shape (B, n)
    """
    width = integer(generator, max(4, n_features // 2 + 2), max(24, 2 * n_features))
    x = draw_causes(generator, n_tables, n_rows, integer(generator, 1, min(12, n_features + 1)))
    noise = log_uniform(generator, n_tables, 1, 1, low=0.003, high=0.3)
    density = uniform(generator, n_tables, 1, 1, low=0.3)
    nodes = [x]
    for _ in range(integer(generator, 1, 4)):
        x = _layer(generator, x, width, density)
        x = x + noise * torch.randn(x.shape, generator=generator)
        nodes.append(x)
    missing = n_features + 1 - sum(node.shape[-1] for node in nodes)
    if missing > 0:
        nodes.insert(0, torch.randn(n_tables, n_rows, missing, generator=generator))
    graph = torch.cat(nodes, -1)
    rank = torch.rand(n_tables, graph.shape[-1], generator=generator)
    if chance(generator, 0.6):
        rank[:, -width:] -= 1  # the target has the lowest rank: it is a node of the last layer
    chosen = rank.argsort(1)[:, None, :1].expand(-1, n_rows, -1)
    rank.scatter_(1, chosen[:, 0], torch.inf)
    rank = torch.where(rank < 0, rank + 1, rank)
    columns = rank.argsort(1)[:, None, :n_features].expand(-1, n_rows, -1)
    return graph.gather(2, columns), graph.gather(2, chosen).squeeze(-1)
