"""Faults: where and why a machine stopped that could not go on."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    r"""What a machine could not compute, and where.

    Parameters
    ----------
    reason : str
        What is wrong with the value.
    value : float or int or None
        The value, where there is one.
    instruction : str
        The instruction as the program has it.
    pc : int
        Its number.
    step : int
        Number of the loop that executed it, from 1 on.

    Examples
    --------
    >>> from sklearn_looped import SubleqMachine
    >>> machine = SubleqMachine(n_memory=4, n_instructions=2, n_bits=4)
    >>> fault = machine.run("x: .word -5, 4\n subleq x+1, x", on_fault="return").fault
    >>> fault.value, fault.step
    (-9, 1)
    """

    reason: str
    value: Any
    instruction: str
    pc: int
    step: int

    def __str__(self) -> str:
        start = "Stopped" if self.value is None else f"Got {self.value}"
        return (
            f"{start} at instruction {self.pc} ({self.instruction}), step {self.step}: "
            f"{self.reason}"
        )


class MachineFaultError(ValueError):
    r"""A machine stopped at a fault, and `run` was to raise it.

    Parameters
    ----------
    fault : Fault

    Examples
    --------
    >>> from sklearn_looped import FleqMachine
    >>> FleqMachine(n_memory=4, n_instructions=2).run("x: .word -4\n trap x")
    Traceback (most recent call last):
    ...
    sklearn_looped.programmed.machines.faults.MachineFaultError: Got ...
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault

    def __reduce__(self) -> tuple[type["MachineFaultError"], tuple[Fault]]:
        return type(self), (self.fault,)
