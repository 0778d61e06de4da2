"""Tables with classes as a network in training reads them.

Shapes: B tables, n rows of which the first s are the support, q = n - s queries, d columns,
C codes of classes.
"""

import torch
from torch import Generator, Tensor

from sklearn_looped.core.kernel_machine import DEFAULT_SEARCH, Search
from sklearn_looped.learned.inference.class_experts import silenced
from sklearn_looped.learned.inference.class_reader import ClassReader, indicators
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.readout import UNKNOWN, Target

LEAST_UNIT = 0.1  # relative log loss of the experts below which a table's losses count no more


def codes_of(y: Tensor, n_classes: int, generator: Generator | None = None) -> Tensor:
    """Codes (B, n) of the labels y: in order, or at random from all C with a generator.

    Raises
    ------
    ValueError
        If a table has more than C classes.
    """
    ranks = torch.stack([row.unique(return_inverse=True)[1] for row in y])
    most = int(ranks.max()) + 1
    if most > n_classes:
        raise ValueError(
            f"The prior draws tables of {most} classes, but the network tells {n_classes} apart. "
            "Raise its n_classes, or join classes."
        )
    if generator is None:
        return ranks
    return torch.rand(len(y), n_classes, generator=generator).argsort(1).gather(1, ranks)


def met(codes: Tensor, n_support: int, n_classes: int) -> Tensor:
    """Whether the support of a table has the class of each of its queries, (B, q)."""
    known, asked = codes[:, :n_support], codes[:, n_support:]
    return indicators(known, n_classes).sum(1).gather(1, asked) > 0


def read_classes(
    X: Tensor,
    codes: Tensor,
    n_support: int,
    config: NetworkConfig,
    search: Search = DEFAULT_SEARCH,
    silent: Tensor | None = None,
    fixed_columns: bool = False,
) -> tuple[dict[str, Tensor], Target]:
    """Return inputs of the network, by name, and targets of the queries.

    `silent` (B, E) says which experts are left out of which tables.
    """
    known = codes[:, :n_support]
    reader = ClassReader.fit(
        X[:, :n_support],
        indicators(known, config.n_classes),
        config=config,
        search=search,
        fixed_columns=fixed_columns,
    )
    cells, opinions = reader.table(X)
    prompt, unit = {"X": cells, "y": known.float()}, None
    if opinions is not None:
        opinions = (
            opinions
            if silent is None
            else silenced(opinions, silent, indicators(known, config.n_classes))
        )
        prompt |= opinions._asdict()
        unit = opinions.unit().square().clamp(min=LEAST_UNIT)[:, None]
    asked = codes[:, n_support:]
    counted = met(codes, n_support, config.n_classes)
    return prompt, Target.of(torch.where(counted, asked, UNKNOWN).float(), unit=unit)
