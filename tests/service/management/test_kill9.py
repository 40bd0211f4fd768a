"""
kill -9 of a process that is changing an account, at any moment: what was told to be done is done,
what was not is not half done.
"""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fastcrc import crc64
from fc_runtime.service.account import Account
from fc_runtime.service.store import Entry
from support import accounts

ROUNDS = 6
LONGEST_S = 0.5
# Makes functions of code that nobody had before, each with a version and an alias, changes and
# removes some; says so after each that is to stay.
WRITER = """
import itertools, sys
from pathlib import Path
from support import accounts

DOCUMENT = {"runtime": "python3.10", "handler": "index.handler"}
turn = sys.argv[2]
with accounts.account_in(Path(sys.argv[1])) as account:
    for number in itertools.count():
        name = f"f_{turn}_{number}"
        for stage in ("first", "second"):
            code = {"zipFile": accounts.base64_zip(index=f"NAME = '{name} {stage}'\\n" * 50)}
            if stage == "first":
                account.create_function("", name, {**DOCUMENT, "code": code})
            else:
                account.update_function("", name, {"code": code})
            account.publish_version("", name)
        account.create_alias(
            "", name, "prod", {"versionId": "1", "additionalVersionWeight": {"2": 0.5}}
        )
        print(name, flush=True)
        if number % 3 == 2:
            account.create_function("", name + "_x", {**DOCUMENT, "code": code})
            account.delete_function("", name + "_x")
"""


def check_code(account: Account, entry: Entry) -> None:
    """Its zip is there to the last byte, and so is what was in it."""
    code = entry.document["code"]
    content = account.packages.zip(code["digest"]).read_bytes()
    (unpacked,) = account.packages.folder(code["digest"]).iterdir()

    assert (code["checksum"], code["size"]) == (str(crc64.xz(content)), len(content))
    assert entry.name.removesuffix("_x") in unpacked.read_text()


def test_killed_writer_leaves_no_half_deployed_function(tmp_path: Path) -> None:
    """After each kill: the account opens, all that was told is there, and all there is, is whole."""
    told: set[str] = set()
    for turn in range(ROUNDS):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(turn)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as writer:
            told.add(writer.stdout.readline().strip())
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(random.uniform(0, LONGEST_S))
            writer.kill()
            told.update(writer.stdout.read().split())
        assert -signal.SIGKILL == writer.returncode

        with accounts.account_in(tmp_path) as account:
            account.sweep()
            found = {entry.name: entry for entry in account.functions()}
            assert told <= set(found)
            for name, entry in found.items():
                check_code(account, entry)
                for version in account.list_versions("", name).entries:
                    check_code(account, account.get_function("", name, version.name))
            for name in told:
                assert [("1", 0.5), ("2", 0.5)] == [
                    (target.version_id, share)
                    for target, share in account.targets("", name, "prod")
                ]
    assert len(told) > ROUNDS
    assert [] == list((tmp_path / "packages").glob(".unfinished*"))
