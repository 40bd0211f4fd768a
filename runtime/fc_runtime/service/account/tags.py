"""
Tags of services and functions: kind ``tag``, scope "service/function" ("service/" for a service).

Stored and shown, by name of the tag; nothing else comes of them. A function that was created with
tags of its own shows those too.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from fc_runtime.service.account.ledger import Ledger, function_scope
from fc_runtime.service.account.lookups import needed_function
from fc_runtime.service.errors import ApiError, invalid, not_found
from fc_runtime.service.store import Transaction

MOST_TAGS: Final = 20
_RESOURCE: Final = re.compile(
    r"(?:acs:fc:([^:]*):([^:]*):)?"
    r"(?:services/(?P<service>[^/.]+)(?:/functions/(?P<of>[^/]+))?|functions/(?P<function>[^/]+))"
)


class Tagged(NamedTuple):
    """One resource and all its tags, in the order of their names."""

    arn: str
    is_function: bool
    tags: dict[str, str]


class Tags(Ledger):
    def tag(self, resource: str, tags: Mapping[str, Any]) -> None:
        """
        Add *tags* to what is there, or replace their values.

        Args:
            resource: an ARN, or its last part: ``services/s``, ``functions/f`` ….
        Raises: ApiError 400; 404.
        """
        for key, value in tags.items():
            _check(key, value)
        with self.change() as transaction:
            scope = self._scope(transaction, resource)
            for key, value in tags.items():
                transaction.put("tag", scope, key, {"value": value or ""})
            if len(self._of(transaction, scope)) > MOST_TAGS:
                raise ApiError(
                    400, "LimitExceededError", f"a resource has at most {MOST_TAGS} tags"
                )

    def untag(self, resource: str, keys: Sequence[str], *, everything: bool = False) -> None:
        """Those that are not there are no error. Raises ApiError 400, 404."""
        with self.change() as transaction:
            scope = self._scope(transaction, resource)
            for key in self._of(transaction, scope) if everything else keys:
                transaction.delete("tag", scope, key)
                _forget_own(transaction, scope, key)

    def tags_of(self, resource: str) -> Tagged:
        """Raises ApiError 400, 404."""
        with self.store.transaction() as transaction:
            scope = self._scope(transaction, resource)
            return self._tagged(transaction, scope)

    def all_tagged(self) -> list[Tagged]:
        """Everything that has a tag, by its place in the account."""
        with self.store.transaction() as transaction:
            scopes = {entry.scope for entry in transaction.list("tag", None)}
            scopes |= {
                function_scope(entry.scope, entry.name)
                for entry in transaction.list("function", None)
                if entry.document.get("tags")
            }
            return [self._tagged(transaction, scope) for scope in sorted(scopes)]

    def _tagged(self, transaction: Transaction, scope: str) -> Tagged:
        service, _, function = scope.partition("/")
        path = "/".join(
            [
                *(["services", service] if service else []),
                *(["functions", function] * bool(function)),
            ]
        )
        arn = f"acs:fc:{self.region}:{self.account_id}:{path}"
        return Tagged(arn, bool(function), self._of(transaction, scope))

    def _of(self, transaction: Transaction, scope: str) -> dict[str, str]:
        tags = _own(transaction, scope)
        tags |= {entry.name: entry.document["value"] for entry in transaction.list("tag", scope)}
        return dict(sorted(tags.items()))

    def _scope(self, transaction: Transaction, resource: object) -> str:
        match = _RESOURCE.fullmatch(resource) if isinstance(resource, str) else None
        if match is None:
            raise invalid(
                f"resource: the ARN of a service or of a function of this account, not '{resource}'"
            )
        region, account = match.group(1), match.group(2)
        if (region or self.region, account or self.account_id) != (self.region, self.account_id):
            raise invalid(
                f"resource: '{resource}' is not of this account, which is {self.account_id} in "
                f"region {self.region}"
            )
        service = match["service"] or ""
        function = match["of"] or match["function"] or ""
        if function:
            needed_function(transaction, service, function)
        elif transaction.get("service", "", service) is None:
            raise not_found("Service", service)
        return function_scope(service, function)


def _check(key: str, value: object) -> None:
    if not 1 <= len(key) <= 128 or key.startswith(("aliyun", "acs:", "http://", "https://")):
        raise invalid(
            f"tags: a key has 1 to 128 characters and begins with neither aliyun, acs: nor a URL, "
            f"unlike '{key[:140]}'"
        )
    if value is not None and (not isinstance(value, str) or len(value) > 128):
        raise invalid(f"tags: the value of '{key}' is to be a text of at most 128 characters")


def _own(transaction: Transaction, scope: str) -> dict[str, str]:
    """What is in the document of a function (FC3: a list of keys and values, or an object)."""
    service, _, function = scope.partition("/")
    entry = transaction.get("function", service, function) if function else None
    tags = {} if entry is None else entry.document.get("tags") or {}
    if isinstance(tags, dict):
        return {str(key): str(value) for key, value in tags.items()}
    if not isinstance(tags, list):
        return {}
    return {
        str(_either(tag, "key")): str(_either(tag, "value") or "")
        for tag in tags
        if isinstance(tag, dict) and _either(tag, "key")
    }


def _forget_own(transaction: Transaction, scope: str, key: str) -> None:
    service, _, function = scope.partition("/")
    entry = transaction.get("function", service, function) if function else None
    if entry is None or key not in _own(transaction, scope):
        return
    tags = entry.document["tags"]
    if isinstance(tags, dict):
        tags.pop(key)
    else:
        tags[:] = [
            tag for tag in tags if not (isinstance(tag, dict) and _either(tag, "key") == key)
        ]
    transaction.put("function", service, function, entry.document)


def _either(tag: Mapping[str, Any], name: str) -> Any:
    return tag.get(name, tag.get(name.capitalize()))
