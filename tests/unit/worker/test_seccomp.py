"""What is not a program at all is refused before the kernel is asked."""

import ctypes

import pytest
from fc_worker.seccomp import install_seccomp

ALLOW = bytes.fromhex("06000000 0000ff7f")


@pytest.fixture(autouse=True)
def kernel_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A filter would stay on this process for good."""

    class Untouchable:
        def __getattr__(self, name: str) -> None:
            raise AssertionError(f"libc.{name} was called")

    monkeypatch.setattr("fc_worker.seccomp._libc", Untouchable())


@pytest.mark.parametrize(
    "program", [b"", ALLOW[:-1], ALLOW + b"\0", ALLOW * 4097], ids=["none", "cut", "odd", "long"]
)
def test_it_is_whole_instructions_and_not_too_many(program: bytes) -> None:
    """1 to 4096 instructions of 8 bytes; the message says how many bytes there were."""
    with pytest.raises(ValueError, match=rf"1 to 4096 instructions.* {len(program)} bytes"):
        install_seccomp(program)


@pytest.mark.parametrize("count", [1, 4096])
def test_the_bounds_are_allowed(count: int) -> None:
    """The least and the most are handed to the kernel."""
    with pytest.raises(AssertionError, match="prctl"):
        install_seccomp(ALLOW * count)


def test_header_is_as_the_kernel_reads_it() -> None:
    """struct sock_fprog: a short, and a pointer where the compiler puts it."""
    from fc_worker.seccomp import _Program

    assert 2 * ctypes.sizeof(ctypes.c_void_p) == ctypes.sizeof(_Program)
    assert ctypes.sizeof(ctypes.c_void_p) == _Program.filter.offset
