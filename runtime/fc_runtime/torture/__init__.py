"""
The adversarial cases, run on the host of whoever wants to see it: ``fc-runtime torture``.

A `case.Case` says what a handler does to us and what we answer; ``cases`` has them all, by topic,
and is the test suite ``tests/adversarial`` as well. ``attacks`` holds the handlers: ordinary
handler files that nothing here imports. `run.Arena` runs one case after the other, each in a
runtime of its own, and judges more than the answer: the next call of the same function has to
succeed, and nothing may be left. What is promised depends on tier and sandbox: `promises`.
"""
