import os


def handler(event, context):
    """One line a run, in one write: who, and how often before."""
    line = f"{context.request_id} {context.retry_count}\n".encode()
    runs = os.open(os.environ["RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(runs, line)
    finally:
        os.close(runs)
    if event == b"hold":
        while True:
            pass
    if event == b"raise":
        raise ValueError("as asked")
    return event
