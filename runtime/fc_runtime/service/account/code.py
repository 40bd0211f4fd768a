"""
Code as a client gives it, and as a document refers to it.

A document has ``{"digest", "checksum", "size"}`` of a `Package`, or ``{"folder"}``: a folder of
this machine, an extension of ours for those who develop on it.
"""

import io
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeAlias

from fc_runtime.service.errors import ApiError, invalid, not_implemented
from fc_runtime.service.packages import MAX_ZIP_BYTES, Package, Packages

OssReader: TypeAlias = Callable[[str, str], bytes]  # bucket, object
NOWHERE: Final = "Either ossBucketName/ossObjectName or zipFile must be set"
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # a zip's own: same content, same zip


def stored(
    given: object, packages: Packages, *, local: bool, oss: OssReader | None = None
) -> dict[str, Any] | None:
    """
    What the document is to have; None if nothing is given. Blocks: a zip is unpacked.

    Args:
        given: the API's ``code``; or, of our own program, a `Package` or the `Path` of a folder.
        local: may the API name a folder of this machine?
    Raises: ApiError 400 or 501.
    """
    match given:
        case None:
            return None
        case Package():
            return asdict(given)
        case Path():
            return _folder(given)
        case {"folder": str(folder)}:
            if not local:
                raise invalid("code.folder: this daemon takes no folders of its own machine")
            return _folder(Path(folder))
        case {"zipFile": str(content), **more} if content:
            package = packages.add_base64(content)
        case {"ossBucketName": str(bucket), "ossObjectName": str(name), **more} if bucket and name:
            if oss is None:
                raise not_implemented(
                    f"code in OSS (oss://{bucket}/{name}) cannot be fetched here: send it as "
                    "zipFile, at most 100 MB"
                )
            package = packages.add(oss(bucket, name))
        case Mapping():
            raise invalid(NOWHERE)
        case _:
            raise invalid("code: an object is needed, with the zipFile")
    check_checksum(more.get("checksum"), package.checksum)
    return asdict(package)


def check_checksum(told: object, checksum: str) -> None:
    """Of a zip that was cut or changed on its way. Nothing told is fine."""
    if told and str(told) != checksum:
        raise invalid(f"code checksum is {checksum}, but {told} was said to be sent")


def frozen(code: Mapping[str, Any], packages: Packages) -> dict[str, Any]:
    """For a version, which never changes: a folder is packed as it is now. Blocks."""
    if "folder" not in code:
        return dict(code)
    packed = io.BytesIO()
    root = Path(code["folder"])
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            for path in (Path(folder, name) for name in sorted(files)):
                if not path.is_file():
                    continue
                entry = zipfile.ZipInfo(str(path.relative_to(root)), _EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (path.stat().st_mode & 0o777) << 16
                archive.writestr(entry, path.read_bytes())
                if packed.tell() > MAX_ZIP_BYTES:
                    raise ApiError(400, "EntityTooLarge", f"{root} is too large for a version")
    return asdict(packages.add(packed.getvalue()))


def _folder(folder: Path) -> dict[str, Any]:
    if not folder.is_absolute() or not folder.is_dir():
        raise invalid(f"code.folder: '{folder}' is not the absolute path of a folder")
    return {"folder": str(folder)}
