"""The kernel machine: kernel ridge in a loop that learns its metric, by attention alone."""

from sklearn_looped.programmed.algorithms.kernel_machine.block import (
    KernelMachineBlock,
    kernel_heads,
    kernel_machine_block,
)
from sklearn_looped.programmed.algorithms.kernel_machine.bound import Bound, Left
from sklearn_looped.programmed.algorithms.kernel_machine.checks import (
    BATCH,
    check_kernel,
    check_queries,
    check_table,
)
from sklearn_looped.programmed.algorithms.kernel_machine.host import (
    HeavyBall,
    KernelMachineFit,
    fit_kernel_machine,
    heavy_ball,
    median_length,
    predict_kernel_machine,
    target_scale,
)
