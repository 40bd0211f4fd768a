"""
A trigger of a manifest: is its type one, can its config be used, and will anything make it fire?

What a config may hold is the account's rule; here it is told with the line, before anything starts.
"""

import re
from typing import Final

from fc_runtime.service.account.triggers import checked_config
from fc_runtime.service.errors import ApiError
from fc_runtime.service.manifest.keys import SERVED, STORED, meant
from fc_runtime.service.manifest.plans import Plans
from fc_runtime.service.manifest.sections import Section

_TYPES: Final = (*SERVED, *STORED)
_TOLD: Final = re.compile(r"(?:triggerConfig\.)?(\w+):? (.*)", re.DOTALL)  # by the account


def type_of(section: Section, key: str, plans: Plans) -> str:
    """The trigger's, one that FC knows."""
    kind = section.required(key, f"one of {', '.join(_TYPES)}")
    if kind not in _TYPES:
        section.fail(key, f"{kind!r}: one of {', '.join(_TYPES)}{meant(kind, _TYPES)}")
    if kind in STORED:
        plans.warn(section, key, f"{kind} triggers are stored only: nothing makes this one fire")
    return kind


def check(config: Section, kind: str, plans: Plans) -> None:
    """Of those that are served; what others want is the cloud's business."""
    if kind not in SERVED:
        return
    plans.doubt(config, SERVED[kind])
    try:
        checked_config(kind, config.plain())
    except ApiError as error:
        told = _TOLD.fullmatch(error.message)
        if told is None or told[1] not in SERVED[kind]:
            config.fail(None, error.message)
        config.fail(told[1], told[2])
