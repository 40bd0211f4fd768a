"""Which version of a function answers for a qualifier, and with what share."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """
    One version of a function, as it was asked for.

    Args:
        service: empty for FC3.
        qualifier: as asked for: ``LATEST``, a version, or an alias.
        version_id: what that is: ``LATEST``, or a version.
        document: of the function (neutral).
        service_document: of its FC2 service (role, logConfig …); empty for FC3.
        etag: changes when anything of it does.
    """

    service: str
    function: str
    qualifier: str
    version_id: str
    document: dict[str, Any]
    service_document: dict[str, Any] = field(default_factory=dict)
    etag: str = ""
