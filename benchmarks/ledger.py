"""How many layers, heads and columns do the paper's theorems take, and how many do ours?

The paper's numbers (Giannou et al. 2023, Table 1 and the theorems named) beside those counted from
the networks of this library: all of their layers, the heads of the layer that has most, the columns
of a token. ``python -m benchmarks ledger`` prints a table with the reasons why they differ, and
writes benchmarks/results/ledger.json.
"""

import argparse
from typing import Any

import pandas as pd

from benchmarks.common.report import print_table, write
from sklearn_looped import Calculator, FleqMachine, SubleqMachine, UniversalMachine
from sklearn_looped.programmed.algorithms.mlp import MLPBlock
from sklearn_looped.programmed.algorithms.sgd import SGDBlock
from sklearn_looped.programmed.machines.functions import MatrixProduct, Transposition
from sklearn_looped.programmed.machines.paper_subleq import PaperSubleqMachine
from sklearn_looped.programmed.machines.paper_universal import PaperUniversalMachine
from sklearn_looped.programmed.transformer.block import Block

SIZE = 4  # d of the matrices
N_MEMORY, N_INSTRUCTIONS = 256, 640  # 898 tokens, so codes of 10 bits
N_BITS = 10

NO_TIES = (
    "A null token takes the reads of nobody, so no read ties with the scratchpad: neither buffers "
    "nor corrections. The subtraction is one layer, with all thresholds of a bit at once, the "
    "branch is merged into it, and a result is written in the next loop."
)
PAPER_FORM = (
    "The paper's construction, as its authors' code has it: 1 layer reads the instruction, 1 the "
    "operands, 3 subtract, 1 writes, 3 branch, 1 corrects errors. The paper counts 9."
)
FLEQ = f"{NO_TIES} Operands reach their function by gated hidden units."
SUM = (
    "Hidden units write the arguments in the layer that reads the operands; all functions share a "
    "bank of heads, one a term, and the registers beside it."
)
PRODUCT = (
    "A cell holds a whole matrix, so an entry of the product is a head of its own: linear "
    "attention in one layer, exact, where the paper linearises a softmax over d columns in two."
)
TRANSPOSITION = (
    "Permuted values of one linear head: the paper turns a matrix into a vector and back, d "
    "columns at a time."
)
UNIVERSAL = (
    "One network for all of them. Layers are those of FLEQ, its functions lie side by side in the "
    "third; the paper adds the deepest, a transpose of 4, to 9. Heads and columns are more, since "
    "cells are d x d matrices."
)
SOFTMAX = (
    "The same with softmax attention and ReLU layers alone: a product is six heads of a linearised "
    "softmax, off by 1e-12 times the logits; the paper's one head errs by more. Gates are pairs of "
    "ReLUs and a field for every opcode."
)
SPECIAL = "Not a program: one loop is a step of the algorithm."


def row(
    result: str, paper: tuple[Any, str, str], name: str, block: Block, why: str
) -> dict[str, Any]:
    """Row of a network; counts are taken from its layers."""
    layers, heads, width = paper
    return {
        "result": result, "paper's layers": layers, "paper's heads": heads, "paper's width": width,
        "ours": name, "layers": len(block.layers),
        "heads": max(len(layer.heads) for layer in block.layers),
        "width": block.fields.width, "why": why,
    }  # fmt: skip


def parts(machine: UniversalMachine) -> list[dict[str, Any]]:
    """Rows of the functions of a machine; layers are those behind the one that reads operands."""
    costs = machine.certificate.functions
    terms = "inverse_root"
    rows = []
    for result, paper, name, ours, why in (
        ("Lemma 5, sum of m sigmoids", (3, "m, or 1", "O(m + d)"), terms, "SigmoidSum", SUM),
        ("Table 1, matrix product", (2, "1", "O(d)"), "matmul", MatrixProduct.__name__, PRODUCT),
        ("transpose", (4, "1", "O(d)"), "transpose", Transposition.__name__, TRANSPOSITION),
    ):
        cost = costs[name]
        layers, heads, width = paper
        rows.append({
            "result": result, "paper's layers": layers, "paper's heads": heads,
            "paper's width": width, "ours": ours, "layers": cost.n_layers, "heads": cost.n_heads,
            "width": cost.width, "why": why,
        })  # fmt: skip
    return rows


def ledger() -> list[dict[str, Any]]:
    """Rows of the table."""
    size = N_MEMORY, N_INSTRUCTIONS
    universal = UniversalMachine(SIZE, *size)
    subleq, fleq = (9, "2", "O(log n + N)"), ("9 + l", "sum of all", "O(M d + log n)")
    thirteen = (13, "1", "O(log n + d)")
    network = "UniversalMachine"
    return [
        row("Section 4, SUBLEQ", subleq, "SubleqMachine", SubleqMachine(*size).block, NO_TIES),
        row("the same", subleq, "PaperSubleqMachine", PaperSubleqMachine(*size).block, PAPER_FORM),
        row("Section 5, FLEQ", fleq, "FleqMachine", FleqMachine(*size, SIZE).block, FLEQ),
        *parts(universal),
        row("Theorem 4, calculator", (12, "m", "O(log n)"), "Calculator",
            Calculator().machine.block, f"{SUM} Ours has eleven operations on all of float64."),
        row("inverse", thirteen, network, universal.block, UNIVERSAL),
        row("power iteration", thirteen, network, universal.block, UNIVERSAL),
        row("Lemma 14, linear SGD", thirteen, network, universal.block, UNIVERSAL),
        row("backpropagation", thirteen, network, universal.block, UNIVERSAL),
        row("all four", thirteen, "PaperUniversalMachine",
            PaperUniversalMachine(SIZE, *size).block, SOFTMAX),
        row("Lemma 14, linear SGD", thirteen, "SGDBlock",
            SGDBlock(SIZE, N_BITS, "squared_error"), SPECIAL),
        row("backpropagation", thirteen, "MLPBlock",
            MLPBlock((SIZE, SIZE, 1), N_BITS, "identity"), SPECIAL),
    ]  # fmt: skip


def run(args: argparse.Namespace) -> None:
    rows = ledger()
    tokens = N_MEMORY + N_INSTRUCTIONS + 2
    print(f"d = {SIZE}, {tokens} tokens, 16-bit cells of SUBLEQ; heads of the widest layer\n")
    table = pd.DataFrame(rows)
    reasons = list(dict.fromkeys(table.pop("why")))
    table["why"] = [f"({reasons.index(each['why']) + 1})" for each in rows]
    print_table(table)
    print()
    for number, reason in enumerate(reasons, 1):
        print(f"({number}) {reason}")
    write(args, "ledger", rows)
