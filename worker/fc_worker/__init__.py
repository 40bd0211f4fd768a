"""What runs beside user code. Standard library and msgpack only; knows nothing of fc_runtime."""
