"""What host and zygote say to each other."""

import dataclasses
import signal
from typing import Any

import msgpack
import pytest
from fc_worker import messages as m
from fc_worker.messages import WorkerConfig
from hypothesis import given, strategies as st

texts = st.text(st.characters(codec="utf-8"), max_size=30)
configs = st.builds(
    WorkerConfig,
    function=texts,
    code=texts,
    handler=texts,
    initializer=st.none() | texts,
    timeout_s=st.floats(0, 86_400),
    memory_mb=st.integers(32, 32_768),
    environment=st.dictionaries(texts, texts, max_size=4),
    preload=st.lists(texts, max_size=3).map(tuple),
    layers=st.lists(texts, max_size=3).map(tuple),
    plan=st.lists(st.lists(texts | st.integers(0, 9) | st.binary(max_size=9))).map(tuple),
    sealed=st.booleans(),
    identity=st.none() | st.integers(1, 2**31),
    empty_scratch=st.booleans(),
    max_response_bytes=st.integers(0, 2**32 - 1),
    **dict.fromkeys(
        [
            *("region", "account_id", "service", "qualifier"),
            *("version_id", "log_project", "log_store"),
        ],
        texts,
    ),
)


def over_the_socket(data: dict[str, Any]) -> dict[str, Any]:
    read: dict[str, Any] = msgpack.unpackb(msgpack.packb(data))
    return read


@given(configs)
def test_a_worker_config_survives_msgpack(config: WorkerConfig) -> None:
    """What is packed is what is unpacked: tuples again, and every field."""
    twin = WorkerConfig.from_map(over_the_socket(config.to_map()))

    assert config == twin
    assert set(config.to_map()) == {field.name for field in dataclasses.fields(WorkerConfig)}


@given(configs, st.dictionaries(texts, st.integers() | texts, max_size=4))
def test_unknown_keys_are_ignored(config: WorkerConfig, more: dict[str, Any]) -> None:
    """A newer host may say more than this worker knows."""
    read = over_the_socket(config.to_map())

    assert config == WorkerConfig.from_map(read | {f"{key}?": more[key] for key in more})


def test_what_has_a_default_may_be_left_out() -> None:
    """An older host says less; what it must say, it must say."""
    least: dict[str, Any] = {
        "function": "hello",
        "code": "/code",
        "handler": "index.handler",
        "initializer": None,
        "timeout_s": 3.0,
        "memory_mb": 128,
        "environment": {},
        "preload": [],
        "layers": ["/layer"],
        "max_response_bytes": 1,
    }
    config = WorkerConfig.from_map(least)

    assert ("", "LATEST", (), ("/layer",)) == (
        config.region,
        config.qualifier,
        config.preload,
        config.layers,
    )
    for name in least:
        with pytest.raises((TypeError, KeyError)):
            WorkerConfig.from_map({key: least[key] for key in least if key != name})


def test_header_keys_are_short_and_unique() -> None:
    """They travel with every warm call: one or two letters, and no two alike."""
    names = [
        *("REQUEST_ID", "CREDENTIALS", "TIMEOUT_NS", "RETRY_COUNT", "RUN_NS", "INIT_NS"),
        *("STATUS", "ERROR_TYPE", "ERROR_MESSAGE", "TRACEBACK", "EXIT_CODE", "USER_US"),
        *("SYSTEM_US", "PEAK_RSS", "CHILDREN", "LEFT_BEHIND", "UNCLEAN", "THREADED"),
    ]
    keys = [getattr(m, name) for name in names]

    assert len(keys) == len(set(keys))
    assert all(1 <= len(key) <= 2 for key in keys)


def test_statuses_and_operations_are_unique() -> None:
    """Two statuses of one number, or two operations of one name, would be one."""
    statuses = [getattr(m, name) for name in dir(m) if name.startswith("STATUS_")]
    operations = [
        m.CONFIGURE,
        m.SPAWN,
        m.REAP,
        m.PRELOADING,
        m.UP,
        m.FORKED,
        m.FORK_FAILED,
        m.EXITED,
    ]

    assert list(range(len(statuses))) == sorted(statuses)
    assert len(operations) == len(set(operations))


def test_the_stack_signal_is_out_of_the_way() -> None:
    """A real-time signal: no program uses it by accident, and the C library keeps off it."""
    assert signal.SIGRTMIN < m.STACK_SIGNAL < signal.SIGRTMAX
