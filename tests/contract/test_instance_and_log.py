"""Which instance served a call, and which part of its log the initialisation wrote (spec 3, 9.B)."""

from collections.abc import Callable

from support.callers import Deployed

TIERS_MATTER = False  # see conftest

Deploy = Callable[..., Deployed]


def test_a_result_names_its_instance(deploy: Deploy) -> None:
    """``Result.instance_id`` is the handler's ``FC_INSTANCE_ID``, cold and warm; others differ."""
    function, other = deploy("initlog"), deploy("initlog")

    results = [function() for _ in range(3)]

    assert [True, False, False] == [result.cold_start for result in results]
    assert [results[0].instance_id] * 3 == [result.text for result in results]
    assert 1 == len({result.instance_id for result in results})
    assert other().instance_id not in {"", results[0].instance_id}


def test_an_instance_that_died_has_a_name_too(deploy: Deploy) -> None:
    """What crashed can be looked for in the logs."""
    result = deploy("initlog", "index.dying")(check=False)

    assert not result.ok
    assert result.instance_id.startswith("c-")


def test_the_log_of_a_cold_start_is_cut_in_two(deploy: Deploy) -> None:
    """Its first bytes are of import and initializer; a warm call's log has none of that."""
    function = deploy("initlog", initializer="index.initializer")

    cold, warm = function(), function()

    size = cold.init_log_bytes
    assert (b"import\ninitializer\n", b"handler\n") == (cold.log[:size], cold.log[size:])
    assert (0, b"handler\n") == (warm.init_log_bytes, warm.log)


def test_the_log_of_a_handler_that_died_is_cut_in_two(deploy: Deploy) -> None:
    """Also if no answer came after the instance had said that it was ready."""
    result = deploy("initlog", "index.dying")(check=False)

    assert b"import\n" == result.log[: result.init_log_bytes]
    assert b"handler\n" == result.log[result.init_log_bytes :]


def test_all_of_a_failed_start_is_initialisation(deploy: Deploy) -> None:
    """The handler has not run: the whole log is of what came before."""
    result = deploy("initlog", initializer="index.failing_initializer")(check=False)

    assert result.log.startswith(b"import\ninitializer\n")
    assert len(result.log) == result.init_log_bytes


def test_a_long_initialisation_never_claims_more_than_there_is(deploy: Deploy) -> None:
    """A log that has lost its middle is still cut inside it."""
    result = deploy("initlog", initializer="index.long_initializer")()

    assert 0 < result.init_log_bytes <= len(result.log)
    assert result.log.endswith(b"handler\n")
