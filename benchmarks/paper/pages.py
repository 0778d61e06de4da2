"""What do the committed rows say of the papers' claims? Writes the pages of the documentation.

The templates in benchmarks/paper/templates/ are filled with numbers from benchmarks/results/ and
written to the files of the same names in docs/. ``--tables NAME ...`` prints instead every table
and claim of an experiment from the same rows, without running it again.
"""

import argparse
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from benchmarks.common.report import RESULTS, Rows, Store, print_table
from benchmarks.paper import (
    algoformer,
    condition_number,
    construction,
    decoder,
    decoder_probing,
    function_classes,
    openml_table,
    ouro,
    out_of_distribution,
    probing,
    seeds,
    sweep,
    unlooped,
)

TEMPLATES = Path(__file__).parent / "templates"
DOCS = Path(__file__).parents[2] / "docs"
PAGES = tuple(sorted(path.stem for path in TEMPLATES.glob("*.md")))
VERDICTS = {"holds": "holds", "does not hold": "does not hold", "not decided here": "undecided"}


def command(name: str, options: str = "") -> str:
    """Fenced block of the command that runs a script of this folder."""
    return f"```sh\npython -m benchmarks paper.{name} {options}".rstrip() + "\n```"


@cache
def rows(name: str) -> Rows:
    """Read the committed rows of an experiment; the claims of Table 2 are computed from them."""
    path = RESULTS / f"paper_{name}.json"
    if path.exists():
        return json.loads(path.read_text())["rows"]
    found = Store(path.with_suffix(".jsonl")).rows
    return found + openml_claims(found) if name == "openml" else found


def openml_claims(found: Rows) -> Rows:
    scores = openml_table.read_scores(found)
    means = accuracy_means(found)
    return [
        {"kind": "claim", "claim": text, "verdict": openml_table.verdict(spans), "spans": spans}
        for text, spans, _ in openml_table.claims(scores, means)
    ]


def accuracy_means(found: Rows) -> pd.DataFrame:
    """Mean accuracy over prompts' seeds: a row a data set, a column a method."""
    printed = [row[1:] for row in openml_table.PAPER.values()]
    columns = ["Table 2, unlooped", "Table 2, looped"]
    means = pd.DataFrame(printed, openml_table.SETS, columns)
    by_seed = openml_table.accuracies(openml_table.read_scores(found))
    return means.join(pd.DataFrame({method: each.mean(axis=1) for method, each in by_seed.items()}))


def chosen(name: str, **where: Any) -> Rows:
    """Rows whose fields have these values; a list allows any of its values, None no value."""
    allowed = {key: each if isinstance(each, list) else [each] for key, each in where.items()}
    return [row for row in rows(name) if all(row.get(key) in each for key, each in allowed.items())]


def value(name: str, key: str = "value", **where: Any) -> str:
    """Give one number of the one row that is meant."""
    (row,) = chosen(name, **where)
    return f"{row[key]:.3g}"


def score(name: str, **where: Any) -> str:
    """Give one number with its 95 % interval."""
    (row,) = chosen(name, **where)
    return f"{row['value']:.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def claims(name: str, pattern: str, **where: Any) -> Rows:
    found = [row for row in chosen(name, kind="claim", **where) if re.search(pattern, row["claim"])]
    if not found:
        raise ValueError(f"no claim of {name!r} matches {pattern!r} {where or ''}")
    return found


def verdict(name: str, pattern: str, **where: Any) -> str:
    """Give the verdict of the claims that match; where they differ, of each setting."""
    found: dict[str, list[str]] = {}
    for row in claims(name, pattern, **where):
        setting = re.split(r"[ =]", row["claim"].split(":")[0])[-1]  # of "T=5" or "condition 10"
        found.setdefault(VERDICTS[row["verdict"]], []).append(setting)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{each} at {', '.join(settings)}" for each, settings in found.items())


def margin(name: str, pattern: str, **where: Any) -> str:
    """Give the number that is below zero if a claim holds: of several, the least favourable."""
    (row,) = claims(name, pattern, **where)
    worst = max(row["spans"], key=lambda span: span["high"])
    return f"{worst['value']:+.3g} [{worst['low']:+.3g}, {worst['high']:+.3g}]"


def plain(table: pd.DataFrame) -> str:
    """Fenced block of a table with three digits a number."""
    text = table.to_string(na_rep="", float_format=lambda x: f"{x:.3g}")
    return f"```\n{text}\n```"


def table(name: str, index: str | list[str], columns: str, **where: Any) -> str:
    """Fenced block of values, a row an `index` and a column a value of `columns`."""
    found = pd.DataFrame(chosen(name, **where))
    wide = found.pivot(index=index, columns=columns, values="value")
    order = found[index].drop_duplicates()
    wide = wide.loc[order if isinstance(index, str) else list(order.itertuples(index=False))]
    return plain(wide[found[columns].drop_duplicates()].rename_axis(columns=None))


def by_loop(name: str, figure: str, loops: list[int], matching: str = "") -> str:
    """Fenced block of a sweep's errors by loop."""
    scores = chosen(name, figure=figure, kind="score")
    found = {
        row["network"]: {t: row["by loop"].get(str(t), {}).get("value") for t in loops}
        for row in scores
        if re.search(matching, row["network"])
    }
    return plain(pd.DataFrame(found).T)


def with_intervals(name: str, figures: dict[str, str], strip: str = "$^") -> str:
    """Fenced block of scores with intervals: a row a network, a column a figure of a sweep.

    `strip` is cut out of a network's name, so that the same network of two figures shares a row.
    """
    found = {
        title: {
            re.sub(strip, "", row["network"]): (
                f"{row['value']:.3g} [{row['low']:.3g},{row['high']:.3g}]"
            )
            for row in chosen(name, kind="score", figure=figure)
        }
        for title, figure in figures.items()
    }
    return plain(pd.DataFrame(found))


def over_seeds(name: str, by: list[str], **where: Any) -> str:
    """Fenced block of errors over seeds and the cost of a seed, a row for each value of `by`."""
    return plain(seeds.table(chosen(name, **where), by))


def cost_table() -> str:
    """Fenced block of the cost beside the published configuration."""
    found = pd.DataFrame(rows("cost")).set_index(["what", "whose"])
    return plain(found[["CPU s", "published / it"]])


def accuracy_table(methods: list[str]) -> str:
    """Fenced block of accuracies by data set, and their mean over the sets with signal."""
    means = accuracy_means(chosen("openml", task=list(openml_table.PAPER)))[methods]
    means.loc["mean with signal"] = means.loc[openml_table.SIGNAL].mean()
    return "```\n" + means.T.to_string(float_format="{:.3f}".format) + "\n```"


def accuracy(method: str, data_set: str | None = None) -> str:
    """Accuracy on a data set, or the mean over those with signal."""
    means = accuracy_means(chosen("openml", task=list(openml_table.PAPER)))[method]
    found = means[data_set] if data_set else means[openml_table.SIGNAL].mean()
    return f"{found:.3f}"


def cpu_minutes(name: str) -> str:
    """Processor minutes that the trainings of an experiment took; networks count once."""
    return f"{_seconds(name) / 60:.0f}"


def core_hours(name: str, **where: Any) -> str:
    """Hours of one core, as `cpu_minutes`."""
    return f"{_seconds(name, **where) / 3600:.2g}"


def _seconds(name: str, **where: Any) -> float:
    return sum({row["CPU s"] for row in chosen(name, **where) if row.get("CPU s")})


def by_seed(name: str, pattern: str, **where: Any) -> str:
    """Give the verdicts of a claim over training seeds."""
    return seeds.verdict_of_seeds(rows(name), pattern, **where)


def margin_by_seed(name: str, pattern: str, **where: Any) -> str:
    """Give the number that is below zero if a claim holds: mean, least and most of the seeds."""
    return seeds.margins(rows(name), pattern, **where)


def mean_of_seeds(name: str, key: str = "value", **where: Any) -> str:
    """Give a number of a network: mean, least and most of the seeds."""
    return seeds.spread(row[key] for row in chosen(name, **where))


def means_table(name: str, column: str, at: list[Any], of: str = "network", **where: Any) -> str:
    """Fenced block of means over seeds by loop or by number of examples: a row for each `of`.

    The fields are as in `chosen`.
    """
    found = seeds.means_by(chosen(name, **where), column, at, of)
    return plain(found) if len(found) else "(not run)"


def mean_table(name: str, index: list[str], columns: str, **where: Any) -> str:
    """As `table`, of means over seeds."""
    found = pd.DataFrame(chosen(name, **where))
    return plain(found.groupby([*index, columns], sort=False)["value"].mean().unstack())


def page(name: str) -> str:
    """Text of a page: its template with the numbers filled in."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Markdown, and no text of strangers
    )
    fillers = (
        command, value, score, verdict, margin, table, by_loop, with_intervals, accuracy_table,
        accuracy, cpu_minutes, core_hours, over_seeds, cost_table, by_seed, margin_by_seed,
        mean_of_seeds, means_table, mean_table,
    )  # fmt: skip
    environment.globals |= {filler.__name__: filler for filler in fillers}
    return environment.get_template(f"{name}.md").render()


def show_function_classes() -> None:
    for name in function_classes.CLASSES:
        function_classes.show(name, rows(name.replace("-", "_")))


def show_unlooped() -> None:
    for name in function_classes.CLASSES:
        unlooped.show(name, chosen("unlooped", **{"class": name}))


def show_out_of_distribution() -> None:
    scores = chosen("out_of_distribution", kind="score")
    means = {(r["shift"], r["method"], r["examples"]): pd.Series(r["value"]) for r in scores}
    networks = [out_of_distribution.SHIPPED, "looped", "unlooped"]
    largest = out_of_distribution.check_scales(means, networks)
    out_of_distribution.show(rows("out_of_distribution"), largest)


def show_condition_number() -> None:
    for weights in ("linear", "ill-conditioned-linear"):
        found = rows(f"condition_number_{weights}")
        print(f"\n{weights}")
        n_loops = max(row.get("loop", 0) for row in found) // 4
        condition_number.show(found, n_loops)


def show_groups(name: str, key: str, show: Callable[[str, Rows], None]) -> None:
    """Print each group of rows, those of different budgets apart."""
    for budget, each in dict.fromkeys((row.get("budget"), row[key]) for row in rows(name)):
        print(f"\nbudget {budget}" if budget else "")
        show(each, chosen(name, **{"budget": budget, key: each}))


def show_sweep(name: str) -> None:
    show_groups(name, "figure", sweep.show)


TABLES: dict[str, Callable[[], None]] = {
    "function_classes": show_function_classes,
    "unlooped": show_unlooped,
    "out_of_distribution": show_out_of_distribution,
    "probing": lambda: probing.show(rows("probing")),
    "condition_number": show_condition_number,
    "cost": lambda: print_table(pd.DataFrame(rows("cost"))),
    "loops": lambda: show_sweep("loops"),
    "sample_complexity": lambda: show_sweep("sample_complexity"),
    "architecture": lambda: show_sweep("architecture"),
    "openml_table": lambda: openml_table.show(chosen("openml", task=list(openml_table.PAPER))),
    "decoder": lambda: show_groups("decoder", "figure", decoder.show),
    "decoder_probing": lambda: decoder_probing.show(rows("decoder_probing")),
    "ouro": lambda: show_groups("ouro", "language", ouro.show),
    "construction": lambda: construction.show(rows("construction")),
    "algoformer": lambda: algoformer.show(rows("algoformer"), algoformer.BUDGETS["laptop"]),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--tables",
        nargs="+",
        choices=TABLES,
        metavar="NAME",
        help=f"print tables instead: {', '.join(TABLES)}",
    )


def run(args: argparse.Namespace) -> None:
    """Write the pages, or print the tables that are asked for."""
    for name in args.tables or ():
        TABLES[name]()
    for name in () if args.tables else PAGES:
        (DOCS / f"{name}.md").write_text(page(name))
