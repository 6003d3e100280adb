"""kill -9 at a random moment loses nothing that was promised."""

import pytest
from kill_rounds import kill_rounds

SOAK = pytest.mark.soak


@pytest.mark.parametrize(
    ("durability", "rounds"),
    [
        ("sync", 40),
        ("batch", 15),
        pytest.param("sync", 140, marks=SOAK),
        pytest.param("batch", 60, marks=SOAK),
    ],
)
def test_killed_process_leaves_every_event_that_was_promised_safe(
    tmp_path, capsys, durability, rounds
):
    result = kill_rounds(tmp_path, rounds, durability)
    assert result.rounds == rounds
    assert result.promised > rounds
    assert result.missing == 0
    with capsys.disabled():
        print(
            f"\nkill -9, {durability}: {result.rounds} rounds, {result.acknowledged:,} outcomes "
            f"acknowledged, {result.promised:,} promised, {result.missing} missing"
        )
