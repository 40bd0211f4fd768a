# -*- coding: utf-8 -*-
import json

import oss2


def handler(event, context):
    # {"endpoint": "...", "bucket": "...", "object": "...", "content": "..."}; content is optional.
    evt = json.loads(event)

    # Temporary credentials of the function's role. They change, so read them on every call
    # and never keep a client made from them in a global. A wrong token is refused by OSS.
    creds = context.credentials
    auth = oss2.StsAuth(creds.access_key_id, creds.access_key_secret, creds.security_token)
    bucket = oss2.Bucket(auth, evt['endpoint'], evt['bucket'])

    bucket.put_object(evt['object'], evt.get('content', 'hello from Function Compute'))

    # bytes are answered as they are.
    return bucket.get_object(evt['object']).read()
