"""
Code by its content: a zip that was uploaded is kept once, whatever uses it, and unpacked once.

    DATA/packages/<sha256>.zip        as it came
    DATA/packages/<sha256>/           unpacked; there only when it is whole

Both are on the disk before they appear, by a rename, so neither a process that is killed nor a
power failure leaves anything half written behind that anybody would use. What is unpacked is never
changed, for instances run from it: one that was damaged is replaced as a whole, and removed at the
next start. What nothing refers to any more is removed by `Packages.sweep`.
"""

import base64
import binascii
import hashlib
import io
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from fastcrc import crc64

from fc_runtime import code_package
from fc_runtime.errors import InvalidFunctionError, OverloadedError
from fc_runtime.service import folders
from fc_runtime.service.database import StoreError
from fc_runtime.service.errors import ApiError, invalid

MAX_ZIP_BYTES: Final = 100 * 1000 * 1000  # of a zip in a request (spec 12)
UNFINISHED: Final = ".unfinished-"
REPLACED: Final = ".replaced-"
MEND: Final = "deploy it again, from the same zip"
_log = structlog.get_logger(__name__)


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
        for left in [*folder.glob(f"{UNFINISHED}*"), *folder.glob(f"{REPLACED}*")]:
            _remove(left)

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
        Keep *content*, which must be a zip that may be unpacked, and unpack it; anew, if it was
        unpacked before and files of it are missing or have another size.

        Blocks for as long as that takes. Raises ApiError 400 for one that is no zip, too large, or
        has entries outside the folder, links or special files; 503 if it cannot be kept.
        """
        if len(content) > MAX_ZIP_BYTES:
            raise _too_large()
        package = Package(hashlib.sha256(content).hexdigest(), str(crc64.xz(content)), len(content))
        if self._is_whole(package.digest, content):
            return package
        try:
            self._keep(package.digest, content)
        except (OSError, OverloadedError) as error:  # nothing is wrong with the zip
            why = error.strerror if isinstance(error, OSError) else "no room to unpack it"
            raise ApiError(
                503, "ServiceUnavailable", f"the code cannot be kept in the data folder: {why}"
            ) from error
        return package

    def _is_whole(self, digest: str, content: bytes) -> bool:
        folder, kept = self.folder(digest), self.zip(digest)
        return (
            folder.is_dir()
            and kept.is_file()
            and kept.stat().st_size == len(content)
            and code_package.is_unpacked(io.BytesIO(content), folder)
        )

    def _keep(self, digest: str, content: bytes) -> None:
        with self._unfinished() as unfinished:
            written = unfinished / "code.zip"
            written.write_bytes(content)
            try:
                code_package.unpack(written, unfinished / "code")
            except InvalidFunctionError as error:
                raise invalid(f"code.zipFile: {error.mend}") from error
            folders.make_durable(unfinished)
            written.replace(self.zip(digest))
            self._put(unfinished / "code", digest)

    def restore(self, used: Collection[str]) -> None:
        """Unpack again what is not any more; what cannot be is logged."""
        for digest in sorted(used):
            if self.folder(digest).is_dir():
                continue
            try:
                self._restore(digest)
            except (OSError, InvalidFunctionError, OverloadedError) as error:
                _log.warning("package.not_unpacked", digest=digest, reason=str(error), mend=MEND)
            else:
                _log.info("package.unpacked", digest=digest)

    def _restore(self, digest: str) -> None:
        kept = self.zip(digest)
        with kept.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise InvalidFunctionError("code", str(kept), "it is damaged")
        with self._unfinished() as unfinished:
            code_package.unpack(kept, unfinished / "code")
            folders.make_durable(unfinished)
            self._put(unfinished / "code", digest)

    @contextmanager
    def _unfinished(self) -> Iterator[Path]:
        """A folder to make something in, that is then renamed out of it."""
        folder = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self._folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _put(self, source: Path, digest: str) -> None:
        """In its place. What is there already is damaged, or as good: of another thread."""
        target = self.folder(digest)
        try:
            source.rename(target)
        except OSError:
            if not target.is_dir():
                raise
            if not code_package.is_unpacked(self.zip(digest), target):
                aside = source.parent.name.replace(UNFINISHED, REPLACED)
                folders.replace(source, target, self._folder / aside)
        folders.sync_names(self._folder)

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
            if not path.name.startswith((UNFINISHED, REPLACED))
        }

    def sweep(self, used: Collection[str]) -> None:
        """Remove those that nothing refers to; only when nobody is adding any."""
        for path in self._folder.iterdir():
            if path.name.startswith((UNFINISHED, REPLACED)):
                continue
            if path.name.removesuffix(".zip") not in used:
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _too_large() -> ApiError:
    message = f"payload size exceeds maximum allowed size ({MAX_ZIP_BYTES} bytes)"
    return ApiError(400, "EntityTooLarge", message)
