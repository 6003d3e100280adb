"""The page on the integrations is true: every block of it runs against real servers."""

import re
from concurrent import futures

import grpc
import pytest
from integration_extras import MODULES
from servers import Upstream

from conftest import ROOT
from recloser import replay
from recloser.compat import record_in

PAGE = (ROOT / "src/recloser/integrations/README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def servers():
    """Where ``API`` and ``TARGET`` of the page are."""
    one = grpc.unary_unary_rpc_method_handler(lambda request, context: b"42")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("shop.Quotes", {"One": one})]
    )
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with Upstream().serving() as upstream:
        yield {"API": upstream.url, "TARGET": target}
    server.stop(None).wait()


def subject_of(block):
    return re.findall(r"recloser\.(?:integrations\.)?(\w+)", block)[-1]


@pytest.mark.parametrize("block", BLOCKS, ids=subject_of)
def test_a_block_runs_and_its_log_replays(block, servers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(servers)
    try:
        exec(compile(block, "README.md", "exec"), names)
    finally:
        record_in(None)
        if "log" in names:
            names["log"].close()
    for log in tmp_path.glob("logs/*"):
        history = replay(log)
        assert history.differences == []
        assert history.snapshots


def test_every_integration_and_every_extra_has_its_place():
    for extra, module in MODULES.items():
        assert f"recloser[{extra}]" in PAGE
        assert f"from recloser.integrations.{module} import" in "\n".join(BLOCKS)
