"""Which code is kept when an account comes back without its database, or with an older one."""

from pathlib import Path

from fc_runtime.service.account import Account
from structlog.testing import capture_logs
from support import accounts
from support.accounts import base64_zip
from support.resources import document


def digests_of(account: Account) -> set[str]:
    return {entry.document["code"]["digest"] for entry in account.functions()}


def test_sweeping_leaves_what_was_there_before_a_new_account(tmp_path: Path) -> None:
    """
    Who lost the database and restores it finds the code, whatever the new account did meanwhile;
    what that one no longer refers to goes as ever. It is told at each start.
    """
    database, backup = tmp_path / "state.db", tmp_path / "backup.db"
    with accounts.account_in(tmp_path) as account:
        account.create_function("", "lost", document())
        lost = account.get_function("", "lost").document["code"]["digest"]
    database.rename(backup)

    for number in range(3):
        with capture_logs() as told, accounts.account_in(tmp_path) as account:
            account.sweep()
            assert [("packages.kept", 1)] == [(e["event"], e["packages"]) for e in told]
            assert {lost} == account.packages.digests() - digests_of(account)
            for name in ("made", "unmade"):
                code = {"zipFile": base64_zip(index=f"x = '{name} {number}'\n")}
                account.create_function("", f"{name}{number}", document(code=code))
            account.delete_function("", f"unmade{number}")

    backup.replace(database)
    with capture_logs() as told, accounts.account_in(tmp_path) as account:
        account.sweep()
        assert not told
        assert {lost} == account.packages.digests()
        assert (account.packages.folder(lost) / "index.py").is_file()


def test_sweeping_leaves_all_while_nothing_is_used(tmp_path: Path) -> None:
    """An old backup, of before the first function, is not the end of the code either."""
    with accounts.account_in(tmp_path) as account:
        package = account.packages.add_base64(base64_zip())
    with accounts.account_in(tmp_path) as account:
        account.sweep()
        assert {package.digest} == account.packages.digests()
        account.create_function("", "made", document(code={"zipFile": base64_zip(a="")}))
        account.sweep()
        assert digests_of(account) == account.packages.digests()
