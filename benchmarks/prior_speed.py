"""How fast are tables drawn? Milliseconds a table of each prior, one core.

``python benchmarks/prior_speed.py`` prints a table and writes benchmarks/results/prior_speed.json.
"""

import time

import torch
from report import report, spread

from sklearn_looped.learned.priors import PRIORS

N_TABLES, N_REPEATS = 64, 9


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for name, prior in PRIORS.items():
        for n_rows, n_features in ((256, 10), (1024, 32)):
            generator = torch.Generator().manual_seed(0)
            milliseconds = []
            for _ in range(N_REPEATS + 1):
                start = time.perf_counter()
                prior.sample(generator, N_TABLES, n_rows, n_features)
                milliseconds.append((time.perf_counter() - start) * 1e3 / N_TABLES)
            row = {"prior": name, "rows": n_rows, "columns": n_features}
            rows.append(row | {f"ms {k}": v for k, v in spread(milliseconds[1:]).items()})
    report("prior_speed", rows)


if __name__ == "__main__":
    main()
