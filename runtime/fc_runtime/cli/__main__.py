"""``python -m fc_runtime.cli``: the command ``fc-runtime``."""

import sys

from fc_runtime.cli import main

if __name__ == "__main__":
    sys.exit(main())
