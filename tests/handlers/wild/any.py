"""Any of the attacks: the event is the name of its module, and what that module's door takes."""

import importlib

from door import show_mark


def dispatch(event, context):
    show_mark()
    module, _, deed = event.partition(b" ")
    if module == b"ping":
        return "pong"
    return importlib.import_module(module.decode()).dispatch(deed, context)
