"""Ways to fail, one function each."""

import json
import logging
import os
import sys


class CustomError(Exception):
    pass


class MuteError(Exception):
    def __str__(self):
        raise LookupError("no words")


class CustomExit(BaseException):
    pass


def plain(event, context):
    raise Exception('something is wrong')


def helper(value):
    return 1 / value


def nested(event, context):
    return helper(0)


def custom(event, context):
    raise CustomError("of my own")


def mute(event, context):
    raise MuteError()


def caused(event, context):
    try:
        helper(0)
    except ZeroDivisionError as error:
        raise ValueError("the second") from error


def group(event, context):
    raise ExceptionGroup("two of them", [ValueError("a"), TypeError("b")])


def recursive(event, context):
    return recursive(event, context)


def long(event, context):
    raise ValueError("x" * 10_000_000)


def printing(event, context):
    print("before the fall")
    raise ValueError("fell")


def surrogate(event, context):
    raise ValueError("half a pair: \udc80")


def no_arguments():
    return "never"


not_callable = 42


def system_exit(event, context):
    print("leaving")
    sys.exit(eval(event)) if event else sys.exit()


def interrupted(event, context):
    raise KeyboardInterrupt


def generator_exit(event, context):
    raise GeneratorExit


def custom_exit(event, context):
    raise CustomExit("my way out")


def exit_now(event, context):
    print("leaving at once")
    os._exit(int(event))


class LyingExit(SystemExit):
    code = property(lambda self: 1 / 0)
    __class__ = __traceback__ = code


def lying_exit(event, context):
    raise LyingExit(3)


def sabotaging(event, context):
    """The event says how."""
    print("before the fall")
    exec(event, globals())
    raise ValueError("fell")


def well(event, context):
    return "well"


def dispatch(event, context):
    return globals()[event.decode()](event, context)
