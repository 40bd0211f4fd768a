"""What all workers of a function have alike, and a fork may inherit."""

import time
from collections.abc import Sequence

from fc_worker import ahead
from fc_worker.context import ContextFactory
from fc_worker.learn import Imports, roots_of
from fc_worker.load import Loader, own_folders
from fc_worker.messages import WorkerConfig
from fc_worker.restore import Deeds


class Readied:
    """
    Made once, in the zygote. From then on it is heard what is done to the process, so that a
    preload's own name for a function of `signal` is not one that nobody listens to.
    """

    __slots__ = ("_roots", "config", "contexts", "deeds", "loader")

    def __init__(self, config: WorkerConfig) -> None:
        self.config = config
        self.loader = Loader(config.code)
        self.contexts = ContextFactory(config)
        self.deeds = Deeds()
        self._roots = roots_of(config.code, config.layers)

    def imports(self) -> Imports | None:
        """Who listens to what is imported, in an instance that is to tell of it."""
        return Imports(self._roots) if self.config.tells_imports else None

    def look_ahead(self, private: Sequence[int]) -> None:
        """
        Find and compile what instances will load; not what is to be used within walls alone.

        Args:
            private: descriptors that whoever compiles has no business with.
        """
        config = self.config
        if not config.sealed:
            folders = own_folders(config.code, config.layers)
            until = time.monotonic() + ahead.WITHIN_S
            for handler in filter(None, (config.handler, config.initializer)):
                self.loader.look_ahead(handler, folders, private, until)
