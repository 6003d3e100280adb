"""Entries passed to listeners: each once, however often the stream is read again."""

import pytest

from recloser.sharing.notified_edges import NotifiedEntries


@pytest.fixture
def notified():
    notified = NotifiedEntries()
    notified.begin((5, 0))
    return notified


def test_entry_after_the_beginning_is_new_until_it_is_noted(notified):
    assert notified.is_new((5, 1))
    notified.note((5, 1))
    assert not notified.is_new((5, 1))


def test_entry_up_to_the_beginning_is_not_new(notified):
    assert not notified.is_new((5, 0))
    assert not notified.is_new((4, 9))


def test_entry_that_was_skipped_is_still_new(notified):
    notified.note((7, 0))
    assert notified.is_new((6, 0))


def test_entry_is_not_new_after_it_is_forgotten(notified):
    for ms in range(10, 2010):
        notified.note((ms, 0))
    assert not any(notified.is_new((ms, 0)) for ms in range(10, 2010))


def test_beginning_of_another_stream_forgets_all_entries(notified):
    notified.note((9, 0))
    notified.begin((1, 0))
    assert notified.is_new((9, 0))
