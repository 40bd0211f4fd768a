"""What a function does with its scratch: the folder that ``tempfile`` gives it."""

import json
import os
import sys
import tempfile


# What is shown in it because code or interpreter lie there on the host is not the function's.
SHOWN = {path.split("/")[2] for path in (__file__, sys.prefix) if path.startswith("/tmp/")}


def do(event, context):
    order = json.loads(event)
    return json.dumps(globals()[order.pop("do")](**order))


def leave(name, text):
    path = f"{tempfile.gettempdir()}/{name}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    return path


def seen():
    """All that lies in it, by path below it."""
    top = tempfile.gettempdir()
    found = [os.path.join(folder, name) for folder, _, files in os.walk(top) for name in files]
    below = [os.path.relpath(path, top) for path in found]
    return sorted(path for path in below if path.split("/")[0] not in SHOWN)


def where():
    return tempfile.gettempdir()


def entries():
    return sorted(set(os.listdir(tempfile.gettempdir())) - SHOWN)


def litter():
    """Nested, read-only, locked, linked, and with names that are no text."""
    top = tempfile.gettempdir()
    os.makedirs(f"{top}/nested/deeper/deepest")
    for path in ("plain", "nested/file", "nested/deeper/deepest/file", "locked", "closed/file"):
        os.makedirs(os.path.dirname(f"{top}/{path}"), exist_ok=True)
        with open(f"{top}/{path}", "w") as file:
            file.write("litter")
    os.chmod(f"{top}/locked", 0)
    os.chmod(f"{top}/closed", 0)
    os.chmod(f"{top}/nested/deeper", 0o500)
    os.symlink("/etc", f"{top}/link")
    os.symlink("nowhere", f"{top}/dangling")
    os.mkfifo(f"{top}/fifo")
    with open(os.fsencode(top) + b"/\xff\xfe", "w"):
        pass
    return len(set(os.listdir(top)) - SHOWN)


def linked():
    """What a link of `litter` leads to is still there."""
    return os.path.exists("/etc/passwd")


def number():
    return [os.getpid(), os.environ["FC_INSTANCE_ID"]]


def whose():
    return [os.environ["FC_INSTANCE_ID"], seen()]
