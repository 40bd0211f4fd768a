"""To be preloaded: whoever is forked once this has been imported has two threads at once."""

import os
import threading


def start():
    threading.Thread(target=threading.Event().wait, daemon=True).start()


os.register_at_fork(after_in_child=start)
