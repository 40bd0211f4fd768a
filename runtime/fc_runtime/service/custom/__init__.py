"""The face of Function Compute's custom runtimes and containers: the program behind port 9000."""

from fc_runtime.service.custom.app import CustomApp, build_custom
from fc_runtime.service.custom.run import run_custom
from fc_runtime.service.custom.settings import CustomSettings

__all__ = ["CustomApp", "CustomSettings", "build_custom", "run_custom"]
