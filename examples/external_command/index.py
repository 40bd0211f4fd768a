# -*- coding: utf-8 -*-
import subprocess


def handler(event, context):
    # The working directory is the folder of this file, so the list shows index.py.
    # check_output gives the command's stdout as bytes; its stderr goes to the invocation's log.
    return subprocess.check_output(['ls', '-l'])
