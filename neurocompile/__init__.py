"""neurocompile: compile trained spiking neural networks to chips.

The Python API is a few calls, loaded on first use so that ``import neurocompile`` stays light:
``load``, ``convert``, ``compile``, ``simulate``, ``verify``, ``evaluate``, and the classes they
return.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neurocompile.api import (
        Build,
        compile,
        convert,
        evaluate,
        load,
        load_build,
        load_constraints,
        load_contract,
        load_data,
        load_target,
        profile,
        simulate,
        verify,
    )
    from neurocompile.diagnostics import CompileError, Diagnostic

__all__ = ["Build", "CompileError", "Diagnostic", "__version__", "compile", "convert", "evaluate",
           "load", "load_build", "load_constraints", "load_contract", "load_data", "load_target",
           "profile", "simulate", "verify"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'neurocompile' has no attribute {name!r}")
    from importlib import import_module

    module = "diagnostics" if name in ("CompileError", "Diagnostic") else "api"
    return getattr(import_module(f"neurocompile.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
