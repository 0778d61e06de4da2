from .estimators.cluster import ProgrammedKMeans as ProgrammedKMeans
from .estimators.decomposition import ProgrammedPCA as ProgrammedPCA
from .estimators.in_context import LoopedICLClassifier as LoopedICLClassifier
from .estimators.in_context import LoopedICLRegressor as LoopedICLRegressor
from .estimators.in_context import LoopedICLRegressorCV as LoopedICLRegressorCV
from .estimators.kernel import KernelMachineClassifier as KernelMachineClassifier
from .estimators.kernel import KernelMachineRegressor as KernelMachineRegressor
from .estimators.kernel import ProgrammedKernelMachineRegressor as ProgrammedKernelMachineRegressor
from .estimators.kernel import ProgrammedKernelRegressor as ProgrammedKernelRegressor
from .estimators.linear_model import ProgrammedLinearRegression as ProgrammedLinearRegression
from .estimators.linear_model import ProgrammedRidge as ProgrammedRidge
from .estimators.neural_network import ProgrammedMLPClassifier as ProgrammedMLPClassifier
from .estimators.neural_network import ProgrammedMLPRegressor as ProgrammedMLPRegressor
from .estimators.sgd import ProgrammedSGDClassifier as ProgrammedSGDClassifier
from .estimators.sgd import ProgrammedSGDRegressor as ProgrammedSGDRegressor
from .programmed.algorithms.csgraph.machine import GraphMachine as GraphMachine
from .programmed.machines.calculator import Calculator as Calculator
from .programmed.machines.fleq import FleqMachine as FleqMachine
from .programmed.machines.sigmoid_sum import SigmoidSum as SigmoidSum
from .programmed.machines.subleq import SubleqMachine as SubleqMachine
from .programmed.machines.universal import UniversalMachine as UniversalMachine

__version__: str
__all__: list[str]
