"""
The three examples, run the way a service runs them: a cold call, then a warm one.

    make demo        or        python examples/demo.py

Read `main()` from top to bottom: it is the library's whole everyday vocabulary. The OSS that the
second example talks to is a server on this machine that checks signature and token as OSS does.
Every answer is verified; the exit code is 1 if one of them was not what it should be.
"""

import json
import os
import secrets
import sys
from dataclasses import replace
from pathlib import Path

from fc_runtime import Credentials, HandlerError, Result, Runtime

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from support.oss_server import OssServer  # noqa: E402 - found by the line above

MAX_LINES = 12  # of an answer or a log; what is longer is cut in the display only


def main() -> int:
    key = Credentials(
        access_key_id="STS.DemoKeyId",
        access_key_secret=secrets.token_urlsafe(24),
        security_token=secrets.token_urlsafe(48),
    )
    server = OssServer(
        access_key_id=key.access_key_id,
        access_key_secret=key.access_key_secret,
        security_token=key.security_token,
        bucket="demo-bucket",
    )
    with server as oss, Runtime() as runtime:
        report = Report(never_shown=(key.access_key_secret, key.security_token))

        report.title("json_event", "reads its event as JSON and answers one key of it")
        runtime.register("json_event", code=HERE / "json_event", handler="index.handler")
        event = b'{"key": "value"}'
        for call in ("cold", "warm"):
            result = runtime.invoke("json_event", event, check=False)
            report.call(call, event, result)
            report.verify(result.payload == b"value", "the answer is value, without quotes")

        report.title("oss_credentials", "stores an object with context.credentials, reads it back")
        runtime.register(
            "oss_credentials",
            code=HERE / "oss_credentials",
            handler="index.handler",
            timeout=10.0,
            memory_mb=256,
            credentials=key,
        )
        for call in ("cold", "warm"):
            content = f"stored by the {call} call"
            event = to_oss(oss.endpoint, f"{call}.txt", content)
            result = runtime.invoke("oss_credentials", event, check=False)
            report.call(call, event, result)
            report.verify(result.text == content, "what was read is what was stored")
            report.verify(oss.objects.get(f"{call}.txt") == content.encode(), "OSS holds it")

        # Credentials may also be given with a call. OSS refuses this token, the handler lets oss2's
        # exception out, and invoke() raises it as a HandlerError that carries the whole result.
        wrong = replace(key, security_token="not-the-token")
        event = to_oss(oss.endpoint, "refused.txt", "never stored")
        try:
            runtime.invoke("oss_credentials", event, credentials=wrong)
        except HandlerError as error:
            report.call("warm", event, error.result, outcome="Raised", note="with a wrong token")
            report.line("raised", f"{type(error).__name__}: {error}".partition("\n")[0])
            report.verify("InvalidSecurityToken" in str(error), "the error names OSS's code")
        else:
            report.verify(False, "a wrong token is refused")
        report.verify(oss.requests[-1].verdict == "InvalidSecurityToken", "it was OSS who refused")
        report.verify("refused.txt" not in oss.objects, "nothing was stored")

        report.title("external_command", "answers with the output of ls -l in its code folder")
        runtime.register(
            "external_command", code=HERE / "external_command", handler="index.handler"
        )
        for call in ("cold", "warm"):
            result = runtime.invoke("external_command", check=False)
            report.call(call, b"", result)
            report.verify(b"index.py" in result.payload, "index.py is listed")

    return report.end()


def to_oss(endpoint: str, name: str, content: str) -> bytes:
    event = {"endpoint": endpoint, "bucket": "demo-bucket", "object": name, "content": content}
    return json.dumps(event).encode()


class Report:
    """Prints what happened, and remembers what should not have."""

    def __init__(self, never_shown: tuple[str, ...]) -> None:
        self._never_shown = never_shown
        self._verified = 0
        self._wrong: list[str] = []
        self._where = ""
        ansi = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._bold, self._plain = ("\033[1m", "\033[0m") if ansi else ("", "")

    def title(self, name: str, what: str) -> None:
        self._where = name
        print(f"\n{self._bold}{name}{self._plain}: {what}\n{'-' * 80}")

    def call(
        self,
        temperature: str,
        event: bytes,
        result: Result,
        *,
        outcome: str = "Returned",
        note: str = "",
    ) -> None:
        """One call: what went in, what came out, what it cost."""
        usage = result.usage.peak_memory_bytes
        took = f"{result.duration_ms:.1f} ms"
        if result.init_duration_ms is not None:
            took += f", after {result.init_duration_ms:.1f} ms of initialization"
        print(f"\n  {self._bold}{temperature} call{self._plain} {note}".rstrip())
        self.line("sent", event.decode() or "(an empty event)")
        self.line("came back", result.text)
        self.line("outcome", type(result.outcome).__name__)
        self.line("instance", "cold" if result.cold_start else "warm")
        self.line("duration", took)
        self.line("peak memory", f"{usage / 2**20:.1f} MiB" if usage else "not measured")
        self.line("log", result.log.decode(errors="backslashreplace") or "(nothing)")

        self.verify(type(result.outcome).__name__ == outcome, f"the outcome is {outcome}")
        self.verify(result.cold_start == (temperature == "cold"), f"the call was {temperature}")
        shown = result.text + result.log.decode(errors="replace")
        self.verify(not any(s in shown for s in self._never_shown), "no secret in answer or log")

    def line(self, name: str, text: str) -> None:
        lines = text.splitlines() or [""]
        if len(lines) > MAX_LINES:
            lines[MAX_LINES:] = [f"... and {len(lines) - MAX_LINES} lines more"]
        for label, content in zip([name, *[""] * len(lines)], lines, strict=False):
            print(f"    {label:<12} {content}".rstrip())

    def verify(self, holds: bool, what: str) -> None:
        self._verified += 1
        if not holds:
            self._wrong.append(f"{self._where}: {what}")
        self.line("verified" if holds else "WRONG", what)

    def end(self) -> int:
        for wrong in self._wrong:
            print(f"not so: {wrong}", file=sys.stderr)
        print(f"\n{self._verified - len(self._wrong)} of {self._verified} checks hold.")
        return 1 if self._wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
