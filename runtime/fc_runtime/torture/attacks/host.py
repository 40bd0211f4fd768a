"""Handlers that do nothing but take time, while something happens to their host."""

import time

from door import door


def taking_its_time():
    time.sleep(0.6)
    return "in the end"


def never_ending():
    time.sleep(1000)


dispatch = door(globals())
