"""Named like a module of the standard library: whoever imports this one says so."""

import os

THEIRS = True
IMPORTED_BY = os.getpid()
