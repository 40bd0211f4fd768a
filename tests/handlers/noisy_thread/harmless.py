IMPORTED_BY = __import__("os").getpid()
