"""The engines that are timed compute the same edges, and the logs trip as often as intended."""

import pytest

from bench import columns
from column_rates import BEARING, TRIPPING
from recloser import replay

SOME = 4000


@pytest.mark.parametrize("kind", columns.KINDS)
@pytest.mark.parametrize("share", columns.SHARES)
def test_every_engine_computes_the_same_edges(kind, share, tmp_path):
    log = columns.written(tmp_path, SOME, BEARING[kind], share)
    history = replay(log.path)
    assert len(history.trips()) > 0
    engines = columns.engines(log, log, history.count)
    assert {size for size, _ in engines.values()} == {history.count}
    last = engines[columns.FOLD][1]().breakers["payments"]
    folded = engines[columns.COLUMNS][1]()
    assert folded.state == last
    assert [taken.edge.at for taken in folded.edges] == [edge.at for edge in history.edges]
    assert engines[columns.PARQUET][1]().edges == history.edges


@pytest.mark.parametrize("kind", columns.KINDS)
def test_breaker_trips_only_in_outages_unless_every_failure_trips_it(kind, tmp_path):
    borne = columns.written(tmp_path, SOME, BEARING[kind], 0.3)
    tripping = columns.written(tmp_path, SOME, TRIPPING[kind], 0.3)
    assert len(replay(borne.path).trips()) <= 3
    assert len(replay(tripping.path).trips()) > 30
