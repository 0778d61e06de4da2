"""Do loops manipulate knowledge rather than store it? Ouro (Zhu et al. 2025) in small.

``python -m benchmarks paper.ouro [--budget laptop|night] [--seeds 0 1 2]`` trains language models
on three synthetic languages: facts to store, trees of modular arithmetic (Mano), and questions of
several hops over facts. Each looped model (stage I: exits with an entropy) has two baselines
without loops: one with as many weights, one with as much computation. It prints accuracy or bits by
loop and difficulty, what a gate trained afterwards (stage II) does, and what it costs to share
keys and values over loops, with what they say of the paper's claims. Rows are appended to
benchmarks/results/paper_ouro.jsonl, a language and seed at a time; training goes on where it was
killed. `laptop` takes about a minute a model, with `5 times` and `25 times` longer, `night` has
the paper's modulus and longer runs.
"""

import argparse
import math
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.common.options import add_budget
from benchmarks.common.report import RESULTS, RUNS, Rows, Store, print_table
from benchmarks.paper.evidence import claim, interval, planned, print_claims
from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.language import SHARING, LanguageConfig, LoopedLanguageModel
from sklearn_looped.learned.priors.sequences import (
    Facts,
    Language,
    ModularArithmetic,
    Relations,
    Sequences,
)
from sklearn_looped.learned.training.gate_losses import exit_distribution
from sklearn_looped.learned.training.held_out import HELD_OUT
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

LOOPED, WEIGHTS, COMPUTATION = "looped", "equal weights", "equal computation"
QUANTILES = (0.3, 0.5, 0.7, 0.9)
GAMMAS = (0.005, 0.1)  # least improvement that is worth a loop, in nats; the first is Ouro's
CLOSE = 1.1  # "no better": by at most 10 %


@dataclass(frozen=True)
class Budget:
    """A language, the sizes of the models that learn it, and how long they are trained."""

    language: Language
    width: int
    n_steps: int
    n_sequences: int  # of a step
    n_loops: int = 4
    n_heads: int = 4
    n_held_out: int = 2000

    def configs(self) -> dict[str, LanguageConfig]:
        """Give the looped model and its baselines."""
        shape = LanguageConfig(
            self.language.n_tokens, self.language.length, self.width, self.n_heads
        )
        return {
            LOOPED: replace(shape, n_loops=self.n_loops),
            WEIGHTS: replace(shape, n_loops=1),
            COMPUTATION: replace(shape, n_loops=1, n_loop_blocks=self.n_loops),
        }

    def recipe(self, config: LanguageConfig, seed: int) -> Recipe:
        """Stage I; without loops it is the ordinary loss."""
        return Recipe(
            self.n_steps, n_query=1, n_loops=(config.n_loops,) * 2, loss="ouro", beta=0.05,
            rows_per_step=self.n_sequences * self.language.length, average=0.99, seed=seed,
            lr=2e-3, muon_lr=0.02,
        )  # fmt: skip

    def held_out(self) -> Sequences:
        """Sequences that all models are scored on; of facts all of them."""
        language = self.language
        if isinstance(language, Facts):
            return language.of(torch.arange(language.n_people))
        if isinstance(language, Relations):
            language = replace(language, testing=True)
        return language.sample(seeded_generator(HELD_OUT), self.n_held_out)


LAPTOP = {
    "facts": Budget(Facts(n_people=500, n_values=32), 16, 600, 128),
    "Mano": Budget(ModularArithmetic(modulus=5, n_operations=3), 64, 600, 96),
    "hops": Budget(Relations(n_entities=16, n_relations=4), 64, 400, 96),
}


def longer(times: int) -> dict[str, Budget]:
    """Give `LAPTOP` with more steps."""
    return {
        name: replace(budget, n_steps=times * budget.n_steps) for name, budget in LAPTOP.items()
    }


BUDGETS = {
    "laptop": LAPTOP,
    "laptop, 5 times": longer(5),
    "laptop, 25 times": longer(25),
    "night": {
        "facts": Budget(Facts(n_people=5000), 48, 20_000, 256),
        "Mano": Budget(ModularArithmetic(modulus=23, n_operations=10), 128, 50_000, 256),
        "hops": Budget(Relations(n_entities=64, n_relations=16), 128, 50_000, 256),
    },
}


@torch.inference_mode()
def log_losses(model: LoopedLanguageModel, drawn: Sequences) -> tuple[Tensor, Tensor, Tensor]:
    """Score every loop: nats (L, B) of a sequence, whether its last token is right, and exits."""
    steps = model.trajectory(drawn.tokens[:, :-1], model.config.n_loops)
    behind = drawn.tokens[:, 1:]
    log_p = steps.output.log_softmax(-1)
    nats = -log_p.gather(-1, behind.expand(log_p.shape[:-1])[..., None])[..., 0]
    right = (steps.output[:, :, -1].argmax(-1) == behind[:, -1]).double()
    return (nats * drawn.counted[:, 1:]).sum(-1), right, steps.exit[:, :, -1]


def by_difficulty(values: Tensor, difficulty: Tensor) -> dict[str, float]:
    """Means of values (B,) by what the language calls hard."""
    return {
        str(int(d)): float(values[difficulty == d].double().mean()) for d in difficulty.unique()
    }


def train(
    budget: Budget, config: LanguageConfig, seed: int, folder: Path
) -> tuple[LoopedLanguageModel, dict[str, Any]]:
    """Train one model by stage I, and give its costs."""
    start, fresh = process_time(), not folder.exists()
    run = meta_train(config, budget.language, budget.recipe(config, seed), folder=folder)
    # Of a run that went on after a kill the processor time before it is not known.
    taken = process_time() - start if fresh else None
    cost = planned(folder / "cost.json", lambda: {"CPU s": taken})
    weights = sum(p.numel() for p in run.network.parameters())
    details = {"weights": weights, "steps": len(run.losses), "sequences": run.n_tables}
    return run.network, details | cost


def stage_two(
    budget: Budget, model: LoopedLanguageModel, gamma: float, seed: int, folder: Path
) -> LoopedLanguageModel:
    """Train the gate alone on the frozen model, with Ouro's k."""
    save_checkpoint(model, folder / "stage-one.safetensors")
    start = load_checkpoint(folder / "stage-one.safetensors")
    recipe = replace(
        budget.recipe(model.config, seed), n_steps=max(1, budget.n_steps // 4), loss="gate",
        gamma=gamma, k=50.0, optimizer="adam", lr=1e-2,
    )  # fmt: skip
    place = folder / f"gate-{gamma}"
    return meta_train(model.config, budget.language, recipe, start=start, folder=place).network


def exit_rows(gates: dict[str, LoopedLanguageModel], drawn: Sequences) -> Rows:
    """Accuracy and loops of both gates at every quantile, loops by difficulty too."""
    rows = []
    for stage, model in gates.items():
        _, right, exits = log_losses(model, drawn)
        left = exit_distribution(exits).cumsum(0)
        for q in QUANTILES:
            loops = (left < q).sum(0).clamp(max=len(left) - 1)  # counted from 0
            found = right.gather(0, loops[None])[0]
            rows.append(
                {"kind": "exits", "gate": stage, "q": q, "accuracy": float(found.mean())}
                | {"loops": float(loops.double().mean() + 1)}
                | {"by difficulty": by_difficulty(loops + 1.0, drawn.difficulty)}
            )
    return rows


@torch.inference_mode()
def sharing_rows(model: LoopedLanguageModel, drawn: Sequences) -> Rows:
    """Accuracy where the last token of a question is read with shared keys and values."""
    rows, n_loops = [], model.config.n_loops
    question, last, answer = drawn.tokens[:, :-2], drawn.tokens[:, -2:-1], drawn.tokens[:, -1]
    for sharing in SHARING:
        _, cache = model.read(question, n_loops, sharing)
        step, _ = model.extend(last, cache, n_loops)
        right = (step.output[-1, :, 0].argmax(-1) == answer).double().numpy()
        rows.append({"kind": "sharing", "sharing": sharing, **interval(right)})
        rows[-1]["bytes a token"] = cache.n_bytes // question.numel()
    return rows


def score_row(budget: Budget, name: str, model: LoopedLanguageModel, drawn: Sequences) -> Any:
    """Row of a model: bits of the facts, or the accuracy of answers."""
    nats, right, _ = log_losses(model, drawn)
    if isinstance(budget.language, Facts):
        known = [budget.language.n_bits - float(each.sum()) / math.log(2) for each in nats]
        per_weight = known[-1] / sum(p.numel() for p in model.parameters())
        value = {"value": per_weight, "bits": known[-1], "by loop": known}
    else:
        value = interval(right[-1].numpy()) | {"by loop": right.mean(1).tolist()}
        hard = [by_difficulty(each, drawn.difficulty) for each in right]
        value |= {"by difficulty": hard[-1], "by loop and difficulty": hard}
    return {"kind": "score", "network": name, **value}


def claims(budget: Budget, models: dict[str, LoopedLanguageModel], drawn: Sequences) -> Rows:
    """List what the paper says of a language; numbers are below zero if it is so."""
    nats, right = {}, {}
    for name, model in models.items():
        losses, answers, _ = log_losses(model, drawn)
        nats[name], right[name] = losses[-1].double().numpy(), answers.numpy()
    if isinstance(budget.language, Facts):
        whole = budget.language.n_bits / budget.language.n_people
        known = {name: whole - each / math.log(2) for name, each in nats.items()}
        return [
            claim(
                f"looped stores at most 10 % more bits than {WEIGHTS}",
                [known[LOOPED] - CLOSE * known[WEIGHTS]],
            ),
            claim(
                f"looped stores fewer bits than {COMPUTATION}, which has more weights",
                [known[LOOPED] - known[COMPUTATION]],
            ),
        ]
    ours = right[LOOPED]
    return [
        claim(f"looped is right more often than {WEIGHTS}", [right[WEIGHTS][-1] - ours[-1]]),
        claim(
            f"looped is right at least 0.9 times as often as {COMPUTATION}",
            [0.9 * right[COMPUTATION][-1] - ours[-1]],
        ),
        claim(
            f"looped is right more often than {COMPUTATION}", [right[COMPUTATION][-1] - ours[-1]]
        ),
        claim(
            "it is right more often after the last loop than after the first", [ours[0] - ours[-1]]
        ),
    ]


def exit_claim(model: LoopedLanguageModel, drawn: Sequences) -> Rows:
    """Whether harder sequences take more loops, by the expectation of stage II's gate."""
    _, _, exits = log_losses(model, drawn)
    p = exit_distribution(exits)
    expected = (p * torch.arange(1.0, len(p) + 1)[:, None]).sum(0).double().numpy()
    hard = (drawn.difficulty == drawn.difficulty.max()).numpy()
    easy = (drawn.difficulty == drawn.difficulty.min()).numpy()
    n = min(hard.sum(), easy.sum())
    return [
        claim(
            "the hardest sequences stay for more loops than the easiest",
            [expected[easy][:n] - expected[hard][:n]],
        )
    ]


def run_language(name: str, budget: Budget, seed: int, folder: Path) -> Rows:
    """Rows of a language and seed."""
    drawn, models, rows = budget.held_out(), {}, []
    for kind, config in budget.configs().items():
        models[kind], cost = train(budget, config, seed, folder / kind)
        rows.append(score_row(budget, kind, models[kind], drawn) | cost)
    rows += claims(budget, models, drawn)
    if isinstance(budget.language, Facts):
        return rows
    gates = {"stage I": models[LOOPED]}
    for gamma in GAMMAS:
        gate = f"stage II, gamma = {gamma:g}"
        gates[gate] = stage_two(budget, models[LOOPED], gamma, seed, folder)
    rows += exit_rows(gates, drawn) + sharing_rows(models[LOOPED], drawn)
    return rows + exit_claim(gates[gate], drawn)


def show(name: str, rows: Rows) -> None:
    """Print the scores, exits and sharing of a language, and its claims."""
    frame = pd.DataFrame(rows)
    print(f"\n{name}: " + ("bits a weight" if name == "facts" else "share of right answers"))
    scores = frame[frame["kind"] == "score"]
    print_table(scores[["seed", "network", "value", "weights", "steps", "CPU s"]])
    by_loop = pd.DataFrame(scores["by loop"].tolist(), scores["network"])
    print_table(by_loop.rename(columns=lambda t: t + 1).reset_index())
    for kind, shown in (
        ("exits", ["seed", "gate", "q", "accuracy", "loops", "by difficulty"]),
        ("sharing", ["seed", "sharing", "value", "bytes a token"]),
    ):
        if len(part := frame[frame["kind"] == kind]):
            print_table(part[shown])
    print_claims(rows)


def add_options(parser: argparse.ArgumentParser) -> None:
    add_budget(parser, BUDGETS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    languages = list(BUDGETS["laptop"])
    parser.add_argument("--languages", nargs="+", choices=languages, default=languages)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    store = Store(RESULTS / "paper_ouro.jsonl", budget=args.budget)

    def job(language: str, seed: int) -> Rows:
        folder = RUNS / "paper_ouro" / f"{args.budget}-{seed}" / language
        return run_language(language, BUDGETS[args.budget][language], seed, folder)

    wanted = [{"language": name, "seed": seed} for seed in args.seeds for name in args.languages]
    store.complete(wanted, job)
    for name in args.languages:
        show(name, store.select({"language": name}))
