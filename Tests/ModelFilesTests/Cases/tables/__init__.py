"""The cases, by kind of operator."""

from . import (  # noqa: F401 - they enter their builders
    activations,
    control,
    convolution,
    elementwise,
    indexing,
    normalisation,
    pieces,
    products,
    quantisation,
    recurrent,
    reductions,
    resampling,
    shapes,
)
from .building import BUILDERS, OLDEST_OPSET, OWN_OPSETS, Case, Version
from .differences import DIFFERENCES, explanation

__all__ = ["BUILDERS", "DIFFERENCES", "OLDEST_OPSET", "OWN_OPSETS", "Case", "Version", "explanation"]
