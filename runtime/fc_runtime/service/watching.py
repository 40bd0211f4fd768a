"""
``--watch``: what is saved in a file is served a moment later.

A function whose folder has changed is made anew from it: invocations under way end on the old code,
those that come later wait for the new. One that no longer loads says so when it is called, and is
well again with the next change. The manifest is watched as well.

The kernel watches a folder, and not its name. So whenever a folder has gone, and now and then, it
is looked whether its name stands for another one (a build made it anew, or a link was switched).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from watchfiles import Change, DefaultFilter, awatch

from fc_runtime.pool.events import Log
from fc_runtime.service.account import Account
from fc_runtime.service.applying import refresh
from fc_runtime.service.errors import ApiError

DEBOUNCE_MS: Final = 400  # at most: an editor's, or a checkout's, many changes are one
QUIET_MS: Final = 50  # without another change
LOOK_FOR_NEW_MS: Final = 2000  # functions that came through the API, and folders in others' place
_SHOWN: Final = 5  # files in one line of the log

Function = tuple[str, str]  # service, name
Places = Mapping[Function, Path]
Identity = tuple[int, int]  # device, inode; instead of it None where nothing is
Stamp = tuple[int, int, int, int]  # another one, another content; None where nothing is
Standing = Mapping[Function, tuple[Path, Identity | None]]


class Watcher:
    """
    Args:
        manifest: the file, if there is one.
        as_read: its `stamp_of`, from before it was read.
        zips: packed code, by function; it is watched like a folder.
        reload: called when the manifest has changed.
        settle: called when the account has.
    """

    def __init__(
        self,
        account: Account,
        log: Log,
        *,
        manifest: Path | None,
        as_read: Stamp | None,
        zips: Callable[[], Mapping[Function, Path]],
        reload: Callable[[], Awaitable[None]],
        settle: Callable[[], None],
    ) -> None:
        self._account = account
        self._log = log
        self._manifest = manifest
        self._as_read = as_read
        self._zips = zips
        self._reload = reload
        self._settle = settle

    async def run(self) -> None:
        """Until cancelled, or until the host has no more watches to give."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_code())
            if self._manifest is not None:
                group.create_task(self._watch_manifest(self._manifest))

    async def _watch_code(self) -> None:
        stood: Standing = {}
        while True:
            revision = self._account.revision
            stands = await asyncio.to_thread(lambda: _standing(self._places()))
            for function, (place, identity) in stands.items():
                before, was = stood.get(function, (None, None))
                if before == place and identity not in (was, None):
                    await self._refresh(function, place, [place])
            stood = stands
            try:
                gone = await self._watch(stands, revision)
                stood = {
                    function: (place, None if _watchable(place) in gone else identity)
                    for function, (place, identity) in stands.items()
                }
            except FileNotFoundError:
                continue  # a folder went between the two: it is looked for again
            except OSError as error:
                self._log.warning("watch.ended", reason=str(error))
                return

    async def _watch(self, stands: Standing, revision: int) -> set[Path]:
        """
        Until the functions are others than those of *stands*, or one has another folder. The
        folders that went meanwhile, whatever is there now: not even its inode need be another.
        """
        places = {function: place for function, (place, _) in stands.items()}
        code = {function: place for function, (place, there) in stands.items() if there}
        ours = partial(_is_in, tuple(code.values()), DefaultFilter())
        folders = {_watchable(path) for path in code.values()}
        gone: set[Path] = set()
        async for found in awatch(
            *_outermost(folders),
            watch_filter=ours,
            debounce=DEBOUNCE_MS,
            step=QUIET_MS,
            rust_timeout=LOOK_FOR_NEW_MS,
            yield_on_timeout=True,
            ignore_permission_denied=True,
        ):
            paths = {Path(path) for _, path in found}
            for function, place in code.items():
                seen = sorted(path for path in paths if path.is_relative_to(place))
                if seen:
                    await self._refresh(function, place, seen)
            gone = folders & {Path(path) for change, path in found if change is Change.deleted}
            if revision != self._account.revision:
                revision = self._account.revision
                if await asyncio.to_thread(self._places) != places:
                    break
            if gone or await asyncio.to_thread(_standing, places) != stands:
                break
        return gone

    async def _watch_manifest(self, manifest: Path) -> None:
        """Its folder, and not what is below: editors replace a file by another of its name."""
        folders = {manifest.parent, (await asyncio.to_thread(manifest.resolve)).parent}
        served = self._as_read
        async for _ in awatch(
            *folders,
            recursive=False,
            debounce=DEBOUNCE_MS,
            step=QUIET_MS,
            rust_timeout=LOOK_FOR_NEW_MS,
            yield_on_timeout=True,  # it may have been saved before it was watched
        ):
            now = await asyncio.to_thread(stamp_of, manifest)
            if now != served:
                served = now
                await self._reload()

    def _places(self) -> dict[Function, Path]:
        """Where the code of every function is, or was, that is not in the account itself."""
        folders = {
            (entry.scope, entry.name): Path(entry.document["code"]["folder"])
            for entry in self._account.functions()
            if "folder" in entry.document.get("code", {})
        }
        return {**self._zips(), **folders}

    async def _refresh(self, function: Function, place: Path, seen: list[Path]) -> None:
        service, name = function
        files = [str(path.relative_to(place)) for path in seen[:_SHOWN]]
        try:
            await asyncio.to_thread(refresh, self._account, service, name, place)
        except (ApiError, OSError) as error:  # it was deleted meanwhile, or its folder was
            self._log.warning(
                "function.not_reloaded", service=service, function=name, reason=str(error)
            )
        else:
            self._settle()
            self._log.info(
                "function.reloaded", service=service, function=name, files=files, changes=len(seen)
            )


def stamp_of(file: Path) -> Stamp | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _is_in(places: tuple[Path, ...], usual: DefaultFilter, change: Change, path: str) -> bool:
    changed = Path(path)
    return usual(change, path) and any(changed.is_relative_to(place) for place in places)


def _standing(places: Places) -> Standing:
    """Of each place what is to be watched, as it is on the disk at this moment."""
    return {function: (place, _identity(place)) for function, place in places.items()}


def _identity(place: Path) -> Identity | None:
    try:
        place.stat()
        status = _watchable(place).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _watchable(path: Path) -> Path:
    """A file is often replaced by another of its name, which a watch of the file itself misses."""
    return path if path.is_dir() else path.parent


def _outermost(paths: Iterable[Path]) -> set[Path]:
    """Without those that lie in another: they are watched with it."""
    all_of_them = set(paths)
    return {path for path in all_of_them if all_of_them.isdisjoint(path.parents)}
