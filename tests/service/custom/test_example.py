"""``examples/custom_runtime``, started the way Function Compute starts it: by its bootstrap."""

import sys
from pathlib import Path

from support.fc_platform import Platform, Program

EXAMPLE = Path(__file__).parents[3] / "examples" / "custom_runtime"


def test_the_example_runs() -> None:
    """Its bootstrap is the program of an instance: hook, event, HTTP request, SIGTERM."""
    program = Program(
        {
            "FC_INSTANCE_ID": "c-1-2-3",
            "FC_FUNC_CODE_PATH": str(EXAMPLE),
            "FC_FUNCTION_HANDLER": "index.handler",
            "PYTHON": sys.executable,
        },
        command=[str(EXAMPLE / "bootstrap")],
    )
    try:
        instance = Platform(program, {"x-fc-function-initializer": "index.initializer"})
        with instance.client:
            assert 200 == instance.initialize().status_code
            assert "Hello, moon!" == instance.invoke(b'{"name": "moon"}').text
            answer = instance.pass_through("GET", "/moon?language=zh")
            assert (200, "你好, moon!") == (answer.status_code, answer.text)
            assert "text/plain; charset=utf-8" == answer.headers["content-type"]
            assert program.says("[INFO] greeting moon\n")
    finally:
        code = program.stop()
    assert 0 == code  # SIGTERM went to fc-runtime itself, not to a shell before it
