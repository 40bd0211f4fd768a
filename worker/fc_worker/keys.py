"""An invocation's credentials in the environment, under the names that Function Compute gives."""

import os
from collections.abc import Mapping, Sequence
from typing import Final

_NAMES: Final = (
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "accessKeyID"),
    ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "accessKeySecret"),
    ("ALIBABA_CLOUD_SECURITY_TOKEN", "securityToken"),
)


def adopt(credentials: Sequence[str] | None, declared: Mapping[str, str]) -> None:
    """
    Args:
        credentials: access key id, access key secret, security token, in this order.
        declared: the function's own variables. Without credentials, what it declares is there
            (spec 9.B: not all of the names are reserved).
    """
    for index, names in enumerate(_NAMES):
        for name in names:
            value = credentials[index] if credentials else declared.get(name)
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
