"""Mutated weights and run states: refused by name, or read to the same numbers, and nothing else.

Every file is read in another process, so that a crash would be seen.
"""

import json
import multiprocessing
import struct
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from sklearn_looped.learned.checkpoints import (
    CheckpointError,
    load_checkpoint,
    save_checkpoint,
)
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.tensor_files import tensor_digest
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

CONFIG = NetworkConfig(n_features=3, width=16, n_heads=2, n_quantiles=7, n_loops=2)
RECIPE = Recipe(2, n_features=(1, 3), n_support=(6, 9), n_query=4, rows_per_step=64)
DTYPES = ("BOOL", "U8", "I16", "F16", "BF16", "F32", "I32", "F64", "F4", "F8_E5M2", "C64", "X9")
ODD = (0, -1, 1, 5, 2**31, 10**9, 2**62, 10**30, 1.5, True, None, "16", [16], {}, float("nan"))
CHUNK = 250  # files a process reads before it hands its counts back

Outcome = tuple[str, str]  # what happened; more on it, if a promise was broken


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def _join(header: str, body: bytes) -> bytes:
    return struct.pack("<Q", len(header.encode())) + header.encode() + body


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip one to eight bits."""
    broken = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        broken[place] ^= 1 << int(rng.integers(8))
    return bytes(broken)


def flip_in_header(data: bytes, rng: np.random.Generator) -> bytes:
    """Flip bits among the length and the header."""
    end = 8 + struct.unpack("<Q", data[:8])[0]
    return flip(data[:end], rng) + data[end:]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Truncate, leave out a piece, overwrite one with zeros, or append one."""
    i, j = np.sort(rng.integers(len(data), size=2)).tolist()
    pieces = (data[:i], data[:i] + data[j:], data[:i] + bytes(j - i) + data[j:], data + data[i:j])
    return pieces[rng.integers(4)]


def length(data: bytes, rng: np.random.Generator) -> bytes:
    """Another length of the header, up to the largest number."""
    return struct.pack("<Q", 2 ** int(rng.integers(1, 64)) - int(rng.integers(2))) + data[8:]


def describe(data: bytes, rng: np.random.Generator) -> bytes:
    """Another type, shape, place or name of a tensor, a tensor less, or a name twice."""
    header, body = _split(data)
    names = [name for name in header if name != "__metadata__"]
    name, other = (names[i] for i in rng.integers(len(names), size=2))
    match rng.integers(6):
        case 0:
            header[name]["dtype"] = DTYPES[rng.integers(len(DTYPES))]
        case 1:
            header[name]["shape"] = [ODD[i] for i in rng.integers(len(ODD), size=2)]
        case 2:
            header[name]["data_offsets"] = header[other]["data_offsets"]
        case 3:
            header[name], header[other] = header[other], header[name]
        case 4:
            del header[name]
        case _:
            twice = json.dumps(header)[:-1] + f', "{name}": {json.dumps(header[other])}}}'
            return _join(twice, body)
    return _join(json.dumps(header), body)


def remark(data: bytes, rng: np.random.Generator) -> bytes:
    """Another value of a field of the metadata, or none."""
    header, body = _split(data)
    metadata = header["__metadata__"]
    field = [*metadata][rng.integers(len(metadata))]
    values = (
        "",
        "null",
        "[" * 5000,
        "{}",
        "9" * 5000,
        "99",
        "-1",
        "\0",
        '{"a": 1',
        metadata[field],
    )
    metadata[field] = values[rng.integers(len(values))]
    if rng.random() < 0.2:
        del metadata[field]
    return _join(json.dumps(header), body)


def reseal(data: bytes, rng: np.random.Generator) -> bytes:
    """Another configuration, type or value under a digest that fits: not damage, but nonsense."""
    header, _ = _split(data)
    metadata, tensors = header["__metadata__"], load(data)
    name = [*tensors][rng.integers(len(tensors))]
    config = json.loads(metadata["config"])
    match rng.integers(4):
        case 0:
            tensors[name] = tensors[name].to(
                (torch.float64, torch.int8, torch.bfloat16)[len(name) % 3]
            )
        case 1:
            tensors[name].reshape(-1)[0] = (float("nan"), float("inf"))[len(name) % 2]
        case _:
            field = [*config, "depth"][rng.integers(len(config) + 1)]
            config[field] = ODD[rng.integers(len(ODD))]
    metadata["config"] = json.dumps(config)
    metadata["digest"] = tensor_digest(metadata["config"], tensors)
    return save(tensors, metadata)


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors agree in every bit."""
    return ours.keys() == theirs.keys() and all(torch.equal(t, theirs[k]) for k, t in ours.items())


def read_weights(path: Path, whole: dict[str, torch.Tensor]) -> Outcome:
    """Load a checkpoint; twice, because a failure must not leave half a network in the cache."""
    try:
        first = load_checkpoint(path)
    except CheckpointError as error:
        try:
            load_checkpoint(path)
        except CheckpointError:
            named = str(path) in str(error)
            return ("refused by name", "") if named else ("refused, unnamed", str(error))
        return "refused, then loaded", str(error)
    if same(first.network.state_dict(), whole):
        return "the same numbers", ""
    return "other numbers", ""


def read_state(path: Path, whole: dict[str, torch.Tensor]) -> Outcome:
    """Resume a finished run from its state."""
    try:
        run = meta_train(CONFIG, LinearPrior(), RECIPE, folder=path.parent, device="cpu")
    except ValueError as error:
        named = str(path) in str(error)
        return ("refused by name", "") if named else ("refused, unnamed", str(error))
    if same(run.network.state_dict(), whole):
        return "the same numbers", ""
    return "other numbers", ""


KINDS: dict[str, tuple[Callable[..., Outcome], tuple[Callable[..., bytes], ...]]] = {
    "weights": (read_weights, (flip, flip_in_header, cut, length, describe, remark, reseal)),
    "run states": (read_state, (flip, flip_in_header, cut, length, describe, remark)),
}


@cache
def original(kind: str, folder: Path) -> tuple[bytes, dict[str, torch.Tensor]]:
    """Bytes and weights of a whole file."""
    place = folder / "whole"
    place.mkdir(exist_ok=True)
    if kind == "weights":
        torch.manual_seed(0)
        network = LoopedNetwork(CONFIG)
        save_checkpoint(network, place / "weights.safetensors", {"steps": 3})
        return (place / "weights.safetensors").read_bytes(), network.state_dict()
    run = meta_train(CONFIG, LinearPrior(), RECIPE, folder=place, device="cpu")
    return (place / "state.safetensors").read_bytes(), run.network.state_dict()


def read_mutants(kind: str, folder: Path, numbers: range) -> Counter[Outcome]:
    """Write, read and count mutated files; file `number` is the same in every run."""
    torch.set_num_threads(1)
    read, mutations = KINDS[kind]
    place = folder / f"{kind}-{numbers.start}"
    place.mkdir(parents=True)
    data, whole = original(kind, place)
    path = place / "state.safetensors"
    counts: Counter[Outcome] = Counter()
    for number in numbers:
        mutation = mutations[number % len(mutations)]
        path.write_bytes(mutation(data, np.random.default_rng((0, number))))
        try:
            result = read(path, whole)
        except Exception as error:  # what the check is after
            result = (f"{type(error).__name__} after {mutation.__name__}", str(error)[:200])
        counts[result] += 1
    return counts


def mutated_files(kind: str, n_files: int, folder: Path) -> dict[str, Any]:
    """Outcome for "weights" or "run states"."""
    chunks = [range(i, min(i + CHUNK, n_files)) for i in range(0, n_files, CHUNK)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["endurance_checks.files"])
    counts: Counter[Outcome] = Counter()
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            for part in pool.map(partial(read_mutants, kind, folder), chunks):
                counts += part
    except BrokenProcessPool as error:
        counts["a crash of the process", str(error)] += 1
    fine = ("refused by name", "the same numbers")
    broken = {" ".join(what): n for what, n in counts.items() if what[0] not in fine}
    said = ", ".join(f"{counts[what, '']} {what}" for what in fine)
    return {"trials": n_files, "outcome": said, "broken": sum(broken.values()), "notes": broken}
