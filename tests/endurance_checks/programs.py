"""Mutated assembly programs: each assembles, or is refused with its line, and nothing else."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.programmed.machines import programs

FLEQ = ("BUBBLE_SORT", "LINEAR_SGD", "REVERSE", "SEARCH")
SUBLEQ = ("ADD", "FACTORIAL", "FIBONACCI", "MULTIPLY", "SORT", "SQUARE_ROOT")
PIECES = (
    "#", "#5", "#-1", "#nan", "#1e999", "x", "x+1", "list+2", "x+99", "+", "x+" + "9" * 30, "end",
    "end:", "x:", ":", ",", ";", ".word", ".word 1, 2", ".vector 1 2", ".pointer x", ".macro",
    ".macro add x", ".macro f a", ".end", "subleq", "add", "move", "jump", "branch", "halt", "load",
    "store", "x, x", "-1", "1.5", "9" * 5000, "@", "\n", "\r", "\u2028", "\0", "é", "٣", " ", "!",
)  # fmt: skip


def mutate(text: str, rng: np.random.Generator) -> str:
    """Change a program in one to four places: a character, a word or a line."""
    for _ in range(rng.integers(1, 5)):
        parts = re.split(("", r"(\W+)", r"(\n)")[rng.integers(3)], text)
        i, j = rng.integers(len(parts), size=2)
        match rng.integers(5):
            case 0:
                del parts[i]
            case 1:
                parts.insert(i, parts[j])
            case 2:
                parts[i], parts[j] = parts[j], parts[i]
            case 3:
                parts[i] = PIECES[rng.integers(len(PIECES))]
            case _:
                parts.insert(i, PIECES[rng.integers(len(PIECES))])
        text = "".join(parts)
    return text


def outcome(machine: Any, text: str) -> str:
    """Say what becomes of a program; anything but three outcomes breaks the promise."""
    try:
        program = machine.assemble(text)
    except ValueError as error:
        return "refused with its line" if re.match(r"Line \d+: ", str(error)) else repr(error)
    except Exception as error:  # what the check is after
        return repr(error)
    try:
        machine.load(program)
    except ValueError:
        return "too large for the machine"
    except Exception as error:
        return repr(error)
    return "assembled"


def outcomes(n_programs: int, seed: int = 0) -> Iterator[tuple[str, str]]:
    """Mutated programs of both machines and what became of them."""
    machines: list[tuple[Callable[[str], str], str]] = []
    for machine, names in (
        (SubleqMachine(40, 120), SUBLEQ),
        (FleqMachine(60, 90, 8), FLEQ),
    ):
        machines += [(partial(outcome, machine), getattr(programs, name)) for name in names]
    for number in range(n_programs):
        run, text = machines[number % len(machines)]
        mutant = mutate(text, np.random.default_rng((seed, number)))
        yield mutant, run(mutant)


def mutated_programs(n_programs: int) -> dict[str, Any]:
    """Outcome for both assemblers."""
    counts = Counter(result for _, result in outcomes(n_programs))
    expected = ("assembled", "refused with its line", "too large for the machine")
    broken = {result: n for result, n in counts.items() if result not in expected}
    said = ", ".join(f"{counts[result]} {result}" for result in expected)
    return {"trials": n_programs, "outcome": said, "broken": sum(broken.values()), "notes": broken}
