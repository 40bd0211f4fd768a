"""``python -m fc_runtime.service.custom``: the custom runtime, all of it from the environment."""

import os
import sys

from fc_runtime.errors import InvalidFunctionError
from fc_runtime.service.custom.run import NOT_STARTED, run_custom
from fc_runtime.service.custom.settings import CustomSettings


def main() -> int:
    try:
        settings = CustomSettings.from_environment(os.environ)
    except InvalidFunctionError as error:
        sys.stderr.write(f"fc-runtime: {error}\n")
        return NOT_STARTED
    return run_custom(settings)


if __name__ == "__main__":
    sys.exit(main())
