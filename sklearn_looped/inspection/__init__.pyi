from .attention import AttentionDisplay as AttentionDisplay
from .intervals import PredictionIntervalDisplay as PredictionIntervalDisplay
from .loop_curve import LoopCurveDisplay as LoopCurveDisplay
from .machine_trace import MachineTraceDisplay as MachineTraceDisplay

__all__: list[str]
