"""
Code by its content: a zip that was uploaded is kept once, whatever uses it, and unpacked once.

    DATA/packages/<sha256>.zip        as it came
    DATA/packages/<sha256>/           unpacked; there only when it is whole

Both appear by a rename, so a process that is killed at any moment leaves nothing half written
behind that anybody would use. What nothing refers to any more is removed by `Packages.sweep`.
"""

import base64
import binascii
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastcrc import crc64

from fc_runtime import code_package
from fc_runtime.errors import InvalidFunctionError, OverloadedError
from fc_runtime.service.database import StoreError
from fc_runtime.service.errors import ApiError, invalid

MAX_ZIP_BYTES: Final = 100 * 1000 * 1000  # of a zip in a request (spec 12)
UNFINISHED: Final = ".unfinished-"


@dataclass(frozen=True, slots=True)
class Package:
    """
    Args:
        digest: SHA-256 of the zip, in hex; what documents refer to it by.
        checksum: ``codeChecksum``: CRC-64 of the zip, as unsigned decimal (spec 7.C).
        size: of the zip, in bytes.
    """

    digest: str
    checksum: str
    size: int


class Packages:
    """Raises StoreError if *folder* cannot be had."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)  # one that was there already, too
        except OSError as error:
            raise StoreError(f"{folder} cannot be used: {error.strerror}") from error
        for left in folder.glob(f"{UNFINISHED}*"):  # by one that was killed
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def add_base64(self, text: object) -> Package:
        """As `add`, of the API's ``zipFile``. Raises ApiError 400."""
        if not isinstance(text, str):
            raise invalid("code.zipFile: the base64 text of a zip file")
        if len(text) > MAX_ZIP_BYTES * 4 // 3 + 4:
            raise _too_large()
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid(f"code.zipFile is no base64: {error}") from error
        return self.add(content)

    def add(self, content: bytes) -> Package:
        """
        Keep *content*, which must be a zip that may be unpacked, and unpack it.

        Blocks for as long as that takes. Raises ApiError 400 for one that is no zip, too large, or
        has entries outside the folder, links or special files; 503 if it cannot be kept.
        """
        if len(content) > MAX_ZIP_BYTES:
            raise _too_large()
        package = Package(hashlib.sha256(content).hexdigest(), str(crc64.xz(content)), len(content))
        if self.folder(package.digest).is_dir():
            return package
        try:
            self._keep(package.digest, content)
        except (OSError, OverloadedError) as error:  # nothing is wrong with the zip
            why = error.strerror if isinstance(error, OSError) else "no room to unpack it"
            raise ApiError(
                503, "ServiceUnavailable", f"the code cannot be kept in the data folder: {why}"
            ) from error
        return package

    def _keep(self, digest: str, content: bytes) -> None:
        zip_file = self.zip(digest)
        unfinished = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self._folder))
        try:
            written = unfinished / "code.zip"
            with written.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            try:
                code_package.unpack(written, unfinished / "code")
            except InvalidFunctionError as error:
                raise invalid(f"code.zipFile: {error.mend}") from error
            written.replace(zip_file)
            _rename_folder(unfinished / "code", self.folder(digest))
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def folder(self, digest: str) -> Path:
        """Its content. Nothing may be written there."""
        return self._folder / digest

    def zip(self, digest: str) -> Path:
        """As it was uploaded."""
        return self._folder / f"{digest}.zip"

    def digests(self) -> set[str]:
        """Of all that is there, whatever refers to it."""
        return {
            path.name.removesuffix(".zip")
            for path in self._folder.iterdir()
            if not path.name.startswith(UNFINISHED)
        }

    def sweep(self, used: Collection[str]) -> None:
        """Remove those that nothing refers to; only when nobody is adding any."""
        for path in self._folder.iterdir():
            if path.name.startswith(UNFINISHED) or path.name.removesuffix(".zip") in used:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _rename_folder(source: Path, target: Path) -> None:
    """Another thread may have put the same content there meanwhile: that is as good."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise


def _too_large() -> ApiError:
    message = f"payload size exceeds maximum allowed size ({MAX_ZIP_BYTES} bytes)"
    return ApiError(400, "EntityTooLarge", message)
