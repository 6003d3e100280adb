"""Reads spans as records: those of clients, each once, with what they called."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from recloser.importers.joining import Seen, Targets
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.spans.jaeger import spans_of_jaeger
from recloser.importers.spans.otlp import spans_of_otlp
from recloser.importers.spans.shape import BROKEN, MALFORMED, Bad, SpansOf, told
from recloser.importers.spans.skywalking import spans_of_skywalking
from recloser.importers.spans.span import CLIENT, PRODUCER, SERVER, Span, SpanFields, field_of
from recloser.importers.spans.zipkin import spans_of_zipkin
from recloser.importers.stages import BATCH_LINES, Lines, Records, Unreadable

SHAPES: Final[Mapping[str, SpansOf]] = {
    "otlp": spans_of_otlp,
    "jaeger": spans_of_jaeger,
    "zipkin": spans_of_zipkin,
    "skywalking": spans_of_skywalking,
}
"""What reads the spans of each shape of documents."""

_MOST_UNFINISHED: Final = 20_000
_SMALL: Final = 1 << 19
"""A shorter text is read without looking at how much it holds."""
_MOST_BYTES: Final = 100_000_000
_TWICE: Final = "spans that come twice"
_PLAIN: Final = "lines that hold no spans"
_NO_JSON: Final = "it holds no JSON"


class SpanReader:
    """Reads the spans in values of JSON, one a text; a logger may have put something before each.

    Args:
        shape: That of the values: otlp, jaeger, zipkin or skywalking.

    Attributes:
        producers: Whether the sending of messages counts as a call too.
        joined: How many calls have their target from the server's span, so far.
    """

    def __init__(self, shape: str) -> None:
        self._spans_of = SHAPES[shape]
        self.producers = False
        self.joined = 0

    @property
    def fields(self) -> Collection[str]:
        """The fields that are made of spans; any attribute can be asked for too."""
        return SpanFields()

    def read(self, batches: Iterable[Lines], wanted: Collection[str]) -> Iterator[Records]:
        """The records of clients' spans, with the fields that are wanted."""
        with Targets() as targets:
            reading = _Reading(self._spans_of, list(wanted), targets, producers=self.producers)
            yield from reading.records(batches)
            self.joined = reading.joined


class _Reading:
    """One reading of all files."""

    def __init__(
        self, spans_of: SpansOf, wanted: list[str], targets: Targets, *, producers: bool
    ) -> None:
        self._spans_of = spans_of
        self._names = wanted
        self._getters = [field_of(name) for name in wanted]
        self._target = wanted.index("target") if "target" in wanted else None
        self._calls = (CLIENT, PRODUCER) if producers else (CLIENT,)
        self._kinds = self._calls if self._target is None else (*self._calls, SERVER)
        self._targets = targets
        self._seen = Seen()
        self._unfinished: list[tuple[Span, int, str]] = []
        self.joined = 0
        self._has_documents = False
        self._line = 0
        self._plain: list[int] = []
        """Lines without any JSON before the first document."""
        self._start("")

    def _start(self, source: str) -> None:
        self._source = source
        self._lines: list[int] = []
        self._rows: list[tuple[Any, ...]] = []
        self._unreadable: list[Unreadable] = []
        self._skipped: dict[str, int] = {}

    def records(self, batches: Iterable[Lines]) -> Iterator[Records]:
        """The records of the spans in some lines."""
        for batch in batches:
            if batch.source != self._source:
                yield from self._batch(0)
                self._source = batch.source
            self._unreadable += batch.unreadable
            for number, text in enumerate(batch.texts, batch.first):
                if text is None:
                    self._unreadable.append(Unreadable(number, TOO_LONG, batch.source))
                elif text:
                    self._line = number
                    for item in self._items(text):
                        self._take(item, number)
                        if len(self._rows) == BATCH_LINES:
                            yield from self._batch(0)
            yield from self._batch(BATCH_LINES // 2)
        yield from self._batch(0)
        yield from self._last()

    def _batch(self, least: int) -> Iterator[Records]:
        """The records so far, where they are enough for a batch."""
        size = len(self._rows)
        is_due = size > least or len(self._unreadable) > least
        if is_due or (least == 0 and self._skipped):
            yield Records(
                self._source,
                self._lines,
                self._columns(self._rows),
                self._unreadable,
                skipped=self._skipped,
            )
            self._start(self._source)

    def _columns(self, rows: list[tuple[Any, ...]]) -> dict[str, Any]:
        columns = zip(*rows, strict=True) if rows else ([] for _ in self._names)
        return dict(zip(self._names, columns, strict=True))

    def _items(self, text: str) -> Iterator[Span | Bad | str]:
        if len(text) > _SMALL and _bytes_of(text) > _MOST_BYTES:
            yield Bad("it holds too many values to be read at once")
            return
        try:
            yield from self._spans_of(text, self._kinds)
        except MALFORMED as error:
            brace = text.find("{")
            if brace > 0 and text[:brace].strip():
                yield from self._items(text[brace:])  # after what a logger puts before it
            elif brace < 0 and text.strip("[ \t") and self._has_documents:
                yield _PLAIN
            elif brace < 0 and text.strip("[ \t") and len(self._plain) < BATCH_LINES:
                self._plain.append(self._line)  # of a logger, if documents come
            elif brace < 0 and text.strip("[ \t"):
                yield Bad(_NO_JSON)
            else:
                yield Bad(f"it is no JSON: {error}")
        except BROKEN as error:
            yield Bad(told(error))
        else:
            self._has_documents = True

    def _take(self, item: Span | Bad | str, line: int) -> None:
        if isinstance(item, str):
            what = item if " " in item else f"{item} spans"
            self._skipped[what] = self._skipped.get(what, 0) + 1
        elif isinstance(item, Bad):
            self._unreadable.append(Unreadable(line, item.why, self._source))
        elif item.kind not in self._calls:
            self._serve(item)
        elif item.end is None and len(self._unfinished) < _MOST_UNFINISHED:
            # The whole of it may come later.
            self._unfinished.append((item, line, self._source))
        elif item.id and not self._seen.add((item.trace, item.id, item.start)):
            self._skipped[_TWICE] = self._skipped.get(_TWICE, 0) + 1
        else:
            self._keep(item, line)

    def _serve(self, span: Span) -> None:
        self._skipped["server spans"] = self._skipped.get("server spans", 0) + 1
        client = span.id if span.is_shared else span.parent
        if client and span.service:
            self._targets.serve(span.trace, client, span.service)

    def _keep(self, span: Span, line: int) -> None:
        if (span.end is not None and span.end < span.start) or not 0 <= span.start < 2**63:
            why = f"the span {span.name!r} ends before it starts, or out of range"
            self._unreadable.append(Unreadable(line, why, self._source))
            return
        row = [get(span) for get in self._getters]
        if self._target is not None and not row[self._target]:
            if span.trace and span.id:
                values = [span.name, *row]
                self._targets.wait(span.trace, span.id, line, self._source, values)
            else:
                self._unreadable.append(_without_target(span.name, line, self._source))
            return
        self._lines.append(line)
        self._rows.append(tuple(row))

    def _last(self) -> Iterator[Records]:
        """The records that had to wait for the end of all files."""
        if self._has_documents and self._plain:
            self._skipped[_PLAIN] = self._skipped.get(_PLAIN, 0) + len(self._plain)
        else:
            self._unreadable += [Unreadable(line, _NO_JSON, self._source) for line in self._plain]
        for span, line, source in self._unfinished:
            if source != self._source:
                yield from self._batch(0)
                self._source = source
            if span.id and not self._seen.add((span.trace, span.id, span.start)):
                self._skipped[_TWICE] = self._skipped.get(_TWICE, 0) + 1
            else:
                self._keep(span, line)
        yield from self._batch(0)
        for held, service in self._targets.found():
            if held.source != self._source or len(self._rows) == BATCH_LINES:
                yield from self._batch(0)
                self._source = held.source
            name, *row = held.values
            if service is None or self._target is None:
                self._unreadable.append(_without_target(name, held.line, held.source))
                continue
            self.joined += 1
            row[self._target] = service
            self._lines.append(held.line)
            self._rows.append(tuple(row))
        yield from self._batch(0)


def _bytes_of(text: str) -> int:
    """About how much memory the values take that a JSON text holds, at most."""
    return 200 * text.count("{") + 64 * (text.count("[") + text.count(","))


def _without_target(name: str, line: int, source: str) -> Unreadable:
    why = f"the span {name!r} has no target, nor has a server's span of its trace"
    return Unreadable(line, why, source)
