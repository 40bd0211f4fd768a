"""One file a step; the last one is `tasks.opening.HEAD`."""
