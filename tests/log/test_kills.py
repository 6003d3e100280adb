"""kill -9 at a random moment loses nothing that was promised."""

import pytest

from kills import kill_rounds


@pytest.mark.parametrize(("durability", "rounds"), [("sync", 140), ("batch", 60)])
def test_a_killed_process_leaves_all_that_was_promised(tmp_path, capsys, durability, rounds):
    result = kill_rounds(tmp_path, rounds, durability)
    assert result.rounds == rounds
    assert result.promised > rounds
    assert result.missing == 0
    with capsys.disabled():
        print(
            f"\nkill -9, {durability}: {result.rounds} rounds, {result.acknowledged:,} outcomes "
            f"acknowledged, {result.promised:,} promised, {result.missing} missing"
        )
