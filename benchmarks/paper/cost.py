"""Cost of training and of a thousand queries, beside the authors' published configuration.

``python -m benchmarks paper.cost [--repeats 3]`` takes turns with both and prints medians of
processor seconds and their ratios; results in benchmarks/results/paper_cost.json. Ours is the
network of the shipped `linear` weights with its sizes of training (12 loops, loss on the last 4, 40
support rows and 24 queries), matrix products in bfloat16 where the processor has them. Theirs is
`published.py`: 20 loops, loss on the last 15, prompts of 41 points, float32 as published. Their
batch is 64 prompts; here 8 are timed, which costs the same a prompt. A prompt teaches ours by 24
queries at 40 examples, theirs by one at each number of examples from 0 to 40: no claim is made of
how much a prompt teaches. Their only way to answer a query is a prompt of its own: 16 are timed and
scaled to 1,000. Steps are without the optimiser. About 1 minute of one core.
"""

import argparse
from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from benchmarks.common.report import print_table, write
from benchmarks.paper.published import PublishedNetwork, published_loss
from sklearn_looped.core.device import seeded_generator, training_dtype
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

TRAINING, ANSWERING = "training, a prompt", "1,000 queries of one support"
PUBLISHED = "published"
D, K, N_QUERY, N_QUERIES = 20, 40, 24, 1000
N_TABLES, N_PROMPTS, N_TIMED = 64, 8, 16  # ours and theirs of a step; their timed queries
OURS = Recipe(
    10**6, (D, D), (K, K), N_QUERY, (12, 12), window=4, rows_per_step=N_TABLES * (K + N_QUERY)
)


def our_step(dtype: torch.dtype) -> Callable[[], int]:
    """One step of our training without the optimiser, as theirs; gives the number of prompts."""
    config = NetworkConfig(n_features=D, n_loops=12)
    network, loss, stream = config.build(), config.loss(), PromptStream(LinearPrior(), OURS, 0)

    def step() -> int:
        prompt, target = stream.prompt(0)
        with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
            output = network(prompt["X"], prompt["y"], 12, OURS.window).float()
        loss(output, target).backward()
        return len(target.y)

    return step


def their_step() -> Callable[[], int]:
    network = PublishedNetwork(D)

    def step() -> int:
        X, y = LinearPrior().sample(seeded_generator(0), N_PROMPTS, K + 1, D)
        published_loss(network, X, y, n_loops=20, window=15).backward()
        return N_PROMPTS

    return step


def our_queries() -> Callable[[], int]:
    """Answer a thousand queries of one support set: the support runs once."""
    network = NetworkConfig(n_features=D, n_loops=12).build()
    X, y = LinearPrior().sample(seeded_generator(0), 1, K + N_QUERIES, D)

    @torch.inference_mode()
    def answer() -> int:
        memory = network.encode_support(X[:, :K], y[:, :K], 12)
        *_, last = network.predict_queries(X[:, K:], memory)
        return last.output.shape[1]

    return answer


def their_queries() -> Callable[[], int]:
    network = PublishedNetwork(D)
    X, y = LinearPrior().sample(seeded_generator(0), N_TIMED, K + 1, D)

    @torch.inference_mode()
    def answer() -> int:
        return len(list(network(X, y, n_loops=20))[-1])

    return answer


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=3)


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    dtype = training_dtype(torch.device("cpu"))
    jobs = {
        (TRAINING, "ours"): our_step(dtype),
        (TRAINING, "ours, all in float32"): our_step(torch.float32),
        (TRAINING, PUBLISHED): their_step(),
        (ANSWERING, "ours"): our_queries(),
        (ANSWERING, PUBLISHED): their_queries(),
    }
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in jobs}
    for repeat in tqdm(range(args.repeats + 1), desc="rounds"):
        for key, job in jobs.items():
            start = process_time()
            n = job()
            if repeat:  # the first round warms up
                scale = N_QUERIES if key[0] == ANSWERING else 1
                seconds[key].append((process_time() - start) / n * scale)
    rows: list[dict[str, Any]] = []
    for (what, whose), taken in seconds.items():
        ratios = np.array(seconds[what, PUBLISHED]) / np.array(taken)
        row = {"what": what, "whose": whose, "CPU s": np.median(taken)}
        row["a CPU s"] = (N_QUERIES if what == ANSWERING else 1) / row["CPU s"]
        row |= {"published / it": np.median(ratios), "least": ratios.min(), "most": ratios.max()}
        rows.append(row)
    write(args, "paper_cost", rows)
    print("Medians of processor seconds, prompts or queries a second, and ratios within a round")
    print_table(pd.DataFrame(rows))
    sizes = {"ours": NetworkConfig(n_features=D).build(), "published": PublishedNetwork(D)}
    for whose, network in sizes.items():
        print(f"{whose}: {sum(p.numel() for p in network.parameters()):,} weights")
