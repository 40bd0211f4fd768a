# -*- coding: utf-8 -*-
import json
import logging


def handler(event, context):
    # The event is always bytes: what they mean is for the handler to decide.
    evt = json.loads(event)

    # Every line that is logged carries the request id, and ends up in this invocation's log.
    logger = logging.getLogger()
    logger.info('keys of the event: %s', sorted(evt))

    # A str is answered as it stands, without quotes: {"key": "value"} gives value.
    return evt['key']
