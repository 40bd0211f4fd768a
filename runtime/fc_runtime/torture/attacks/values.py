"""What is returned and raised, and what comes in."""

import hashlib
import sys
import time

from door import door


class Answer:
    def __init__(self, how):
        self.to_json = how


def a_set():
    return {1}


def raising_in_encoding():
    def to_json():
        raise LookupError("on the way out")

    return Answer(to_json)


def hanging_in_encoding():
    return Answer(lambda: time.sleep(1000))


def itself():
    value = []
    value.append(value)
    return value


def nested():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


def surrogate():
    return "\ud800"


def large_number():
    return 10**100_000


def generator():
    return (n for n in range(3))


class Text(str):
    def __str__(self):
        raise LookupError("str")

    def encode(self, *_):
        return 42


def text_that_lies():
    return Text("text")


class Bytes(bytes):
    def __len__(self):
        return 2**40


def bytes_that_lie():
    return Bytes(b"bytes")


def of_size(size):
    return b"x" * size


class Mute(Exception):
    def __str__(self):
        raise LookupError("str")

    __repr__ = __str__


def exception_without_words():
    raise Mute


def exception_of_many_words():
    raise ValueError("x" * (32 * 2**20))


def exception_of_bad_words():
    raise ValueError("\ud800\x00\x1b[31m\r\n")


class Chameleon(Exception):
    @property
    def __class__(self):
        raise LookupError("class")

    @property
    def __traceback__(self):
        raise LookupError("traceback")


def exception_that_lies():
    raise Chameleon


def chain_of_exceptions():
    error = None
    for number in range(10_000):
        fresh = ValueError(number)
        fresh.__cause__ = error
        error = fresh
    raise error


def circle_of_exceptions():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    raise one


def group_of_exceptions():
    error = ValueError("innermost")
    for _ in range(500):
        error = ExceptionGroup("group", [error] * 3)
    raise error


def recursing():
    return recursing()


def received(event, context):
    """What came in, to the byte."""
    return {"size": len(event), "sha256": hashlib.sha256(event).hexdigest()}


dispatch = door(globals())
