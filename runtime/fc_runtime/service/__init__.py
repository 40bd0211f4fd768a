"""The daemon: Function Compute's own HTTP API over one `AsyncRuntime` (docs/compatibility.md)."""
