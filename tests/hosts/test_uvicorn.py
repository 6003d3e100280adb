"""Two workers of uvicorn, through an outage and a restart."""

import pytest
from host_servers import (
    assert_calm,
    by_worker,
    count_of_workers_with,
    served,
    wait_until_all_is_recorded,
)

from recloser import replay

pytest.importorskip("uvicorn", reason="uvicorn is not installed")

WORKERS = 2
THRESHOLD = 3
COMMAND = ["uvicorn", "--fd", "{fd}", "--workers", str(WORKERS), "--no-access-log"]


@pytest.mark.parametrize("made", ["early", "late"])
def test_uvicorn_workers_recover_their_state_after_a_restart(tmp_path, made):
    """Each worker imports the service and opens the first log that no other has."""
    command = [*COMMAND, "service_app:asgi"]
    with served(command, tmp_path, HOST_BREAKER=made, HOST_LOG="own") as server:
        answers = server.get_until(lambda a: count_of_workers_with("succeeded", a) == WORKERS)
        server.begin_outage()
        answers += server.get_until(lambda a: count_of_workers_with("rejected", a) == WORKERS)
        counts = by_worker(answers)
        assert {count["failed"] for count in counts.values()} == {THRESHOLD}
        server.end_outage()
        wait_until_all_is_recorded(tmp_path)
        server.stop()
        wait_until_all_is_recorded(tmp_path)
        server.start()
        answers = server.get_until(lambda a: len(by_worker(a)) == WORKERS)
        assert not by_worker(answers).keys() & counts.keys()
        assert {answer["outcome"] for answer in answers} == {"rejected"}
        wait_until_all_is_recorded(tmp_path)
        server.stop()
        assert_calm(server)
    wait_until_all_is_recorded(tmp_path)
    for number in range(1, WORKERS + 1):
        history = replay(tmp_path / f"log-{number}")
        assert history.differences == []
        assert [edge.trigger.value for edge in history.edges] == ["trip"]
