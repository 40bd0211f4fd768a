"""
How a handler takes a request of an HTTP trigger, told from its source without running it.

FC2's built-in runtimes call it the WSGI way, FC3's as an event; a custom runtime gets the raw
request either way, so nobody says which. A handler that looks like ``handler(event, context)``
gets the event; an application object, a class, or ``application(environ, start_response)`` is
called the WSGI way. What cannot be told (an imported name) is taken for an application: an
imported handler is one far more often than it is not.
"""

import ast
from pathlib import Path
from typing import Final

_WSGI_WORDS: Final = frozenset({"environ", "env", "wsgi_environ", "start_response", "respond"})


def takes_wsgi(code: Path, handler: str) -> bool:
    """
    Is *handler* in the folder *code* a WSGI application? False if its source cannot be read: the
    handler's own import will tell what is wrong with it.
    """
    module, _, attribute = handler.rpartition(".")
    source = _source(code, module)
    if source is None:
        return False
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    found = False
    for node in tree.body:  # the last definition is the one that counts
        verdict = _verdict(node, attribute)
        if verdict is not None:
            found = verdict
    return found


def _source(code: Path, module: str) -> bytes | None:
    folder, slash, dotted = module.rpartition("/")
    stem = code / (folder + slash + dotted.replace(".", "/"))
    for path in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
        if path.is_file():
            return path.read_bytes()
    return None


def _verdict(node: ast.stmt, attribute: str) -> bool | None:
    """None if *node* does not define *attribute*."""
    match node:
        case ast.FunctionDef(name=name) if name == attribute:
            arguments = [*node.args.posonlyargs, *node.args.args]
            return bool(_WSGI_WORDS & {argument.arg for argument in arguments[:2]})
        case ast.AsyncFunctionDef(name=name) if name == attribute:
            return False
        case ast.ClassDef(name=name) if name == attribute:
            return True
        case ast.Assign(targets=targets):
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            return not isinstance(node.value, ast.Lambda) if attribute in names else None
        case ast.AnnAssign(target=ast.Name(id=name)) if name == attribute:
            return True
        case ast.ImportFrom(names=names_imported):
            known = {alias.asname or alias.name for alias in names_imported}
            return True if attribute in known else None
        case _:
            return None
