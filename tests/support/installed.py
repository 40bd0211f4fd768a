"""An interpreter of a test's own, so that it can install modules and leave nothing behind."""

import site
import sys
import venv
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that finds what this one finds, and a folder that it imports from, too."""
    home = tmp_path_factory.mktemp("interpreter")
    modules = tmp_path_factory.mktemp("modules")
    for folder in (home, modules):
        folder.chmod(0o755)  # strict runs as somebody else
    venv.create(home, symlinks=True)
    library = home / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = [*site.getsitepackages(), str(modules)]
    (library / "site-packages" / "here.pth").write_text("\n".join(paths))
    return home / "bin" / "python", modules


@pytest.fixture
def outside(interpreter: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder; what is put there is installed, as far as a function can tell."""
    python, modules = interpreter
    monkeypatch.setattr(sys, "executable", str(python))
    for left in modules.glob("*.py"):
        left.unlink()
    return modules
