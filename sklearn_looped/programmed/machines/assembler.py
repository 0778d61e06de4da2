"""Text assembler: labels, data, constants and macros, shared by both machines.

One statement a line, ``label: operation operand, operand  ; comment``; a line ends with a line
feed, a carriage return or both, and control characters are refused outside of comments:

- ``x: .word 6`` or ``list: .word 3, 1, 2`` reserves memory cells;
- ``#5`` as an operand names a constant cell with that value, made on first use;
- ``list+2`` names the second cell behind a label; offsets add up;
- ``.macro name p, q`` ... ``.end`` defines a macro; its labels are local to each use;
- ``end`` labels the end-of-file instruction behind the program, which jumps to itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from unicodedata import category

from sklearn_looped.core.names import known_names

_LINE_END = re.compile(r"\r\n|\r|\n")  # what editors show as one; not U+2028, form feed, ...
_STATEMENT = re.compile(r"(?:(?P<label>[#\w.@-]+)\s*:)?\s*(?P<operation>[.\w]+)?\s*(?P<rest>.*)")
END = "end"
MAX_USES = 100_000  # of macros, by one program: a few that use each other twice grow beyond any
MAX_DIGITS = 19  # of an offset; addresses are 64-bit integers


class Statement(NamedTuple):
    """One line of assembly."""

    label: str | None
    operation: str | None
    operands: tuple[str, ...]
    line: int


@dataclass(frozen=True)
class Program:
    r"""An assembled program: instructions, initial cells and names.

    Parameters
    ----------
    instructions : tuple
        Machine instructions; the last one is the end of the file, where a run halts.
    cells : tuple
        Initial contents of the memory.
    labels : mapping of str to int
        Addresses of named cells, constants included.
    code_labels : mapping of str to int
        Numbers of named instructions.
    statements : tuple of Statement
        Lines of text that the instructions but for the last were made of, macros expanded.

    Examples
    --------
    >>> from sklearn_looped import SubleqMachine
    >>> program = SubleqMachine.assemble("x: .word 5\n loop: subleq #2, x, end\n jump loop")
    >>> program.cells, program.labels["x"], program.code_labels["loop"], program.halt
    ((5, 2, 0, -1), 0, 0, 2)
    >>> program.with_data(x=7).cells
    (7, 2, 0, -1)
    """

    instructions: tuple[Any, ...]
    cells: tuple[Any, ...]
    labels: Mapping[str, int]
    code_labels: Mapping[str, int]
    statements: tuple[Statement, ...] = ()

    @property
    def halt(self) -> int:
        """Number of the end-of-file instruction."""
        return len(self.instructions) - 1

    def text(self, number: int) -> str:
        """Text of an instruction, with the program's own names where it has them."""
        if number >= len(self.statements):
            return str(self.instructions[number])
        statement = self.statements[number]
        return f"{statement.operation} {', '.join(statement.operands)}"

    def line(self, number: int) -> int | None:
        """Line of the text that an instruction was made of, None where there is none."""
        return self.statements[number].line if number < len(self.statements) else None

    def describe(self, number: int) -> str:
        """Text and line of an instruction."""
        line = self.line(number)
        return self.text(number) + ("" if line is None else f", line {line}")

    def with_data(self, **values: Any) -> "Program":
        """Return the program with other initial cells: label=value or label=[values].

        A value is an integer, a number, a vector as an array, or a cell.

        Raises
        ------
        ValueError
            If a label is missing or its values reach behind the memory.
        """
        cells = list(self.cells)
        for label, value in values.items():
            if label not in self.labels:
                raise ValueError(
                    f"Got data for unknown label {label!r}{known_names(label, self.labels)}"
                )
            is_one = hasattr(value, "_fields") or not isinstance(value, Sequence)  # a Cell is one
            several = [value] if is_one else list(value)
            start = self.labels[label]
            if start + len(several) > len(cells):
                raise ValueError(f"Got {len(several)} values for {label!r}, beyond the memory.")
            cells[start : start + len(several)] = several
        return replace(self, cells=tuple(cells))


class Assembly:
    """Macros expanded and labels collected; the machines turn its code into instructions.

    Parameters
    ----------
    text : str
        The program.
    prelude : str
        Macros that every program of the machine may use.
    read_cells : callable
        ``read_cells(statement)`` gives the cells of a data directive, or None for code.
    read_constant : callable
        ``read_constant(text)`` gives the cell of the constant ``#text``.
    """

    def __init__(
        self,
        text: str,
        prelude: str,
        read_cells: Callable[[Statement], list[Any] | None],
        read_constant: Callable[[str], Any],
    ) -> None:
        self.macros = macros = dict[str, tuple[Statement, list[Statement]]]()
        _take_macros(_parse(prelude), macros)
        main = _take_macros(_parse(text), macros)
        self.cells: list[Any] = []
        self.labels: dict[str, int] = {}
        self.code: list[Statement] = []
        self.code_labels: dict[str, int] = {}
        self._read_constant = read_constant
        self._lines: dict[str, int] = {}
        waiting: list[Statement] = []  # labels on lines of their own
        for statement in _expand(main, macros):
            waiting.append(statement)
            if statement.operation is None:
                continue
            cells = read_cells(statement)
            if cells == []:
                raise ValueError(f"Line {statement.line}: {statement.operation} takes values.")
            for labelled in waiting:
                self._define(labelled, is_data=cells is not None)
            waiting.clear()
            if cells is None:
                self.code.append(statement)
            else:
                self.cells += cells
        for labelled in waiting:
            self._define(labelled, is_data=False)
        self.code_labels[END] = len(self.code)

    def _define(self, statement: Statement, is_data: bool) -> None:
        if (label := statement.label) is None:
            return
        if label == END:
            raise ValueError(
                f"Line {statement.line}: label {END!r} is taken by the end of file; rename it."
            )
        if label in self._lines:
            raise ValueError(
                f"Line {statement.line}: label {label!r} is defined twice, first in line "
                f"{self._lines[label]}; rename one."
            )
        self._lines[label] = statement.line
        if is_data:
            self.labels[label] = len(self.cells)
        else:
            self.code_labels[label] = len(self.code)

    def cell(self, operand: str, line: int) -> int:
        """Return the address of a memory operand; a constant is made on first use."""
        known = operand in self.labels or operand.partition("+")[0] in self.labels
        if operand.startswith("#") and not known:
            try:
                constant = self._read_constant(operand[1:])
            except ValueError:
                raise ValueError(f"Line {line}: got constant {operand!r}, not a number.") from None
            self.labels[operand] = len(self.cells)
            self.cells.append(constant)
        return self._lookup(operand, line, self.labels, "cell")

    def instruction(self, operand: str, line: int) -> int:
        """Return the number of the instruction that a jump operand names."""
        return self._lookup(operand, line, self.code_labels, "instruction")

    def _lookup(self, operand: str, line: int, labels: Mapping[str, int], kind: str) -> int:
        if operand in labels:
            return labels[operand]
        name, *offsets = operand.split("+")
        if name in labels and all(o.isdecimal() and len(o) < MAX_DIGITS for o in offsets):
            return labels[name] + sum(map(int, offsets))
        known = known_names(name, labels)
        raise ValueError(f"Line {line}: label {operand!r} names no {kind}{known}")


def _parse(text: str) -> Iterator[Statement]:
    for number, line in enumerate(_LINE_END.split(text), 1):
        code = line.partition(";")[0].strip()
        for character in code:
            if not (character.isprintable() or character == "\t" or category(character) == "Zs"):
                raise ValueError(
                    f"Line {number}: got the character {character!a} outside of a comment; "
                    "it is not shown in an editor, remove it or end the line."
                )
        match = _STATEMENT.fullmatch(code)
        if match is None or (match["rest"] and not match["operation"]):
            raise ValueError(f"Line {number}: got {code!r}, expected 'label: operation operands'.")
        operands = tuple(part.strip() for part in match["rest"].split(",")) if match["rest"] else ()
        if match["label"] or match["operation"]:
            yield Statement(match["label"], match["operation"], operands, number)


def _take_macros(
    statements: Iterator[Statement], macros: dict[str, tuple[Statement, list[Statement]]]
) -> list[Statement]:
    """Split off macro definitions into `macros`; returns the other statements."""
    others: list[Statement] = []
    head: Statement | None = None  # of the macro being defined
    for statement in statements:
        if statement.operation == ".macro":
            name, *first = " ".join(statement.operands[:1]).split() or [""]
            if not name or name in macros or head is not None:
                raise ValueError(
                    f"Line {statement.line}: got macro {name!r}, expected a new name and the "
                    "macro before closed by .end."
                )
            head = statement._replace(operands=(*first, *statement.operands[1:]))
            macros[name] = (head, [])
        elif statement.operation == ".end":
            if head is None:
                raise ValueError(f"Line {statement.line}: got .end without .macro.")
            head = None
        else:
            (others if head is None else macros[name][1]).append(statement)
    if head is not None:
        raise ValueError(f"Line {head.line}: macro {name!r} has no .end.")
    return others


def _expand(
    statements: Sequence[Statement],
    macros: Mapping[str, tuple[Statement, list[Statement]]],
    uses: list[int] | None = None,
    depth: int = 0,
) -> Iterator[Statement]:
    """Replace macros by their bodies, with local labels made unique by the number of the use."""
    uses = [0] if uses is None else uses
    for statement in statements:
        if statement.operation is None or statement.operation not in macros:
            yield statement
            continue
        head, body = macros[statement.operation]
        if len(statement.operands) != len(head.operands):
            raise ValueError(
                f"Line {statement.line}: macro {statement.operation!r} takes "
                f"{len(head.operands)} operands, got {len(statement.operands)}."
            )
        uses[0] += 1
        if depth > 20 or uses[0] > MAX_USES:
            raise ValueError(
                f"Line {statement.line}: macro {statement.operation!r} never ends, or the program "
                f"uses macros more than {MAX_USES} times."
            )
        names = {s.label: f"{s.label}@{uses[0]}" for s in body if s.label}
        names |= dict(zip(head.operands, statement.operands, strict=True))
        if statement.label is not None:
            yield Statement(statement.label, None, (), statement.line)
        renamed = [
            Statement(
                None if s.label is None else names[s.label],
                s.operation,
                tuple(_rename(operand, names) for operand in s.operands),
                statement.line,
            )
            for s in body
        ]
        yield from _expand(renamed, macros, uses, depth + 1)


def _rename(operand: str, names: Mapping[str, str]) -> str:
    """Operand of a macro's body with its name replaced; an offset behind it stays."""
    name, plus, offset = operand.partition("+")
    return names.get(name, name) + plus + offset
