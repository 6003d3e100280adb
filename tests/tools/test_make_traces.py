"""The traces that the documentation imports are what their tool writes."""

import pytest

import make_traces


@pytest.mark.parametrize("name", make_traces.TRACES)
def test_trace_is_what_the_tool_writes(name):
    lines = make_traces.TRACES[name]()
    written = (make_traces.FIXTURES / name).read_text(encoding="utf-8")
    assert written == "".join(f"{line}\n" for line in lines)
