"""Columns of numbers are converted to the same nanoseconds as single numbers."""

from hypothesis import given
from hypothesis import strategies as st

from recloser.importers.values.quantities import (
    UNITS,
    nanosecond_column,
    nanoseconds_of,
    unit_in_name,
)

texts = st.one_of(
    st.integers(0, 2**63).map(str),
    st.decimals(0, 10**7, places=3).map(str),
    st.decimals(0, 10**4, places=9).map(str),
    st.decimals(0, 2 * 10**9, places=6).map(str),
)
epochs = st.integers(0, 2_000_000_000_999_999).map(lambda micros: micros / 10**6)
floats = st.one_of(epochs, st.floats(0, 2e9), st.floats(allow_nan=True, allow_infinity=True))
columns = st.one_of(
    st.lists(texts, min_size=1, max_size=5),
    st.lists(floats, min_size=1, max_size=5),
    st.lists(epochs, min_size=1, max_size=5),
    st.lists(st.integers(-5, 2**63), min_size=1, max_size=5),
    st.lists(
        st.sampled_from(["", "x", "nan", "1e3", "-1", " 5", "٣", "1.5"]), min_size=1, max_size=3
    ),
)


@given(columns, st.sampled_from(list(UNITS.values())))
def test_column_is_converted_exactly_as_its_single_values(column, unit_ns):
    quick = nanosecond_column(column, unit_ns)
    if quick is not None:
        assert quick == [nanoseconds_of(value, unit_ns) for value in column]


def test_usual_columns_are_converted_at_once():
    assert nanosecond_column(["12.345", "0.001"], UNITS["ms"]) == [12_345_000, 1_000]
    assert nanosecond_column(["1730248323000000000"], 1) == [1_730_248_323_000_000_000]
    assert nanosecond_column([1711741798.04, 1711741799.5], UNITS["s"]) == [
        1_711_741_798_040_000_000, 1_711_741_799_500_000_000,
    ]  # fmt: skip


def test_end_of_a_field_name_is_its_unit():
    names = ["duration_ms", "start_unix_nano", "took_s", "request_time", "s", "items", "m_h"]
    assert [unit_in_name(name) for name in names] == ["ms", "nano", "s", None, None, None, None]
