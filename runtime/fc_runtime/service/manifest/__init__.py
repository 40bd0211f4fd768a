"""
A project's ``s.yaml`` as what an account is to hold (spec 10). Nothing here starts or writes
anything: either all of the file can be used, or a `ManifestError` says what to mend.

    reading     YAML as Serverless Devs reads it, and the line of every key
    variables   ${…}: what can be known here is put in, the rest is left and told of
    keys        which keys there are, and where
    sections    a part of the file that is asked for texts, numbers and mappings
    triggers    their types, and what is served of them
    fc2, fc3    the two components, as the neutral documents of `model`
    loading     all of it: find the file, go through its resources
"""

from fc_runtime.service.manifest.loading import NAMES, find, load
from fc_runtime.service.manifest.model import (
    ConfigPlan,
    DomainPlan,
    FunctionPlan,
    Manifest,
    ManifestError,
    ServicePlan,
    TriggerPlan,
)

__all__ = [
    "NAMES",
    "ConfigPlan",
    "DomainPlan",
    "FunctionPlan",
    "Manifest",
    "ManifestError",
    "ServicePlan",
    "TriggerPlan",
    "find",
    "load",
]
