"""Greets: ``{"name": "moon"}`` is answered with a greeting, in the tongue of the environment."""

import json
import logging
import os

from greetings import words  # from the layer

greeting = None


def initialize(context):
    """Once for each instance, before its first event."""
    global greeting
    greeting = words.GREETINGS[os.environ["TONGUE"]]


def handler(event, context):
    asked = json.loads(event)
    logging.getLogger().info("greeting %s", asked["name"])
    return f"{greeting}, {asked['name']}!"
