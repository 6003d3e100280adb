"""Reader of spans as records: each client's span once, with what it called."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from recloser.importers.import_batches import BATCH_LINES, LineBatch, RecordBatch, Unreadable
from recloser.importers.records.record_reader import TOO_LONG
from recloser.importers.spans.jaeger import jaeger_spans
from recloser.importers.spans.joining import SeenSet, TargetJoin
from recloser.importers.spans.otlp import otlp_spans
from recloser.importers.spans.skywalking import skywalking_spans
from recloser.importers.spans.span import CLIENT, PRODUCER, SERVER, Span, SpanFields, span_field
from recloser.importers.spans.span_shapes import (
    BROKEN,
    MALFORMED,
    SpanParser,
    UnreadableSpan,
    error_text,
)
from recloser.importers.spans.zipkin import zipkin_spans

PARSERS: Final[Mapping[str, SpanParser]] = {
    "otlp": otlp_spans,
    "jaeger": jaeger_spans,
    "zipkin": zipkin_spans,
    "skywalking": skywalking_spans,
}
"""The parser of each shape of documents."""

MAX_UNFINISHED: Final = 20_000
"""How many unfinished spans are held until the end, in case they follow complete."""

_SMALL_CHARS: Final = 1 << 19
"""A shorter text is read without an estimate of its memory."""
_MAX_BYTES: Final = 100_000_000
_TWICE: Final = "spans that come twice"
_NO_SPANS: Final = "lines that hold no spans"
_NO_JSON: Final = "it is not JSON"


class SpanReader:
    """Reads the spans in JSON values, one value per text.

    A logger's prefix may precede each value.

    Args:
        shape: The shape of the values: otlp, jaeger, zipkin or skywalking.

    Attributes:
        producers: Whether a sent message counts as a call too.
        joined: How many calls so far have their target from the server's span.
    """

    def __init__(self, shape: str) -> None:
        self._parse = PARSERS[shape]
        self.producers = False
        self.joined = 0

    @property
    def fields(self) -> Collection[str]:
        """Names of the fields made from spans; a caller may name any span attribute as well."""
        return SpanFields()

    def read(self, batches: Iterable[LineBatch], wanted: Collection[str]) -> Iterator[RecordBatch]:
        """Read JSON values as records of clients' spans, with the wanted fields."""
        with TargetJoin() as targets:
            reading = _Reading(self._parse, list(wanted), targets, producers=self.producers)
            yield from reading.records(batches)
            self.joined = reading.joined


class _Reading:
    """State while spans are read, from the first file to the last."""

    def __init__(
        self, parse: SpanParser, wanted: list[str], targets: TargetJoin, *, producers: bool
    ) -> None:
        self._parse = parse
        self._names = wanted
        self._getters = [span_field(name) for name in wanted]
        self._target = wanted.index("target") if "target" in wanted else None
        self._calls = (CLIENT, PRODUCER) if producers else (CLIENT,)
        self._kinds = self._calls if self._target is None else (*self._calls, SERVER)
        self._targets = targets
        self._seen = SeenSet()
        self._unfinished: list[tuple[Span, int, str]] = []
        self.joined = 0
        self._has_documents = False
        self._line = 0
        self._lines_without_json: list[int] = []
        """The numbers of lines without JSON before the first document."""
        self._start("")

    def _start(self, source: str) -> None:
        self._source = source
        self._lines: list[int] = []
        self._rows: list[tuple[Any, ...]] = []
        self._unreadable: list[Unreadable] = []
        self._skipped: dict[str, int] = {}

    def records(self, batches: Iterable[LineBatch]) -> Iterator[RecordBatch]:
        """Yield the records of the spans in some lines."""
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
                    for item in self._parsed(text):
                        self._add(item, number)
                        if len(self._rows) == BATCH_LINES:
                            yield from self._batch(0)
            yield from self._batch(BATCH_LINES // 2)
        yield from self._batch(0)
        yield from self._last()

    def _batch(self, least: int) -> Iterator[RecordBatch]:
        """Yield the collected records as a batch, if there are more than ``least``."""
        size = len(self._rows)
        is_due = size > least or len(self._unreadable) > least
        if is_due or (least == 0 and self._skipped):
            yield RecordBatch(
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

    def _parsed(self, text: str) -> Iterator[Span | UnreadableSpan | str]:
        if len(text) > _SMALL_CHARS and _estimated_bytes(text) > _MAX_BYTES:
            yield UnreadableSpan("it holds too many values to be read at once; split the file")
            return
        try:
            yield from self._parse(text, self._kinds)
        except MALFORMED as error:
            brace = text.find("{")
            if brace > 0 and text[:brace].strip():
                yield from self._parsed(text[brace:])  # after a logger's prefix
            elif brace < 0 and text.strip("[ \t") and self._has_documents:
                yield _NO_SPANS
            elif brace < 0 and text.strip("[ \t") and len(self._lines_without_json) < BATCH_LINES:
                self._lines_without_json.append(
                    self._line
                )  # lines of a logger, if documents follow
            elif brace < 0 and text.strip("[ \t"):
                yield UnreadableSpan(_NO_JSON)
            else:
                yield UnreadableSpan(f"it is not JSON: {error}")
        except BROKEN as error:
            yield UnreadableSpan(error_text(error))
        else:
            self._has_documents = True

    def _add(self, item: Span | UnreadableSpan | str, line: int) -> None:
        if isinstance(item, str):
            reason = item if " " in item else f"{item} spans"
            self._skipped[reason] = self._skipped.get(reason, 0) + 1
        elif isinstance(item, UnreadableSpan):
            self._unreadable.append(Unreadable(line, item.why, self._source))
        elif item.kind not in self._calls:
            self._serve(item)
        elif item.end is None and len(self._unfinished) < MAX_UNFINISHED:
            # The same span may follow complete.
            self._unfinished.append((item, line, self._source))
        elif item.id and not self._seen.add((item.trace, item.id, item.start)):
            self._skipped[_TWICE] = self._skipped.get(_TWICE, 0) + 1
        else:
            self._add_call(item, line)

    def _serve(self, span: Span) -> None:
        self._skipped["server spans"] = self._skipped.get("server spans", 0) + 1
        client = span.id if span.is_shared else span.parent
        if client and span.service:
            self._targets.serve(span.trace, client, span.service)

    def _add_call(self, span: Span, line: int) -> None:
        if (span.end is not None and span.end < span.start) or not 0 <= span.start < 2**63:
            why = (
                f"the span {span.name!r} ends before it starts, or starts before 1970 or after 2262"
            )
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

    def _last(self) -> Iterator[RecordBatch]:
        """Yield the records that had to wait for the end of all files."""
        if self._has_documents and self._lines_without_json:
            self._skipped[_NO_SPANS] = self._skipped.get(_NO_SPANS, 0) + len(
                self._lines_without_json
            )
        else:
            self._unreadable += [
                Unreadable(line, _NO_JSON, self._source) for line in self._lines_without_json
            ]
        for span, line, source in self._unfinished:
            if source != self._source:
                yield from self._batch(0)
                self._source = source
            if span.id and not self._seen.add((span.trace, span.id, span.start)):
                self._skipped[_TWICE] = self._skipped.get(_TWICE, 0) + 1
            else:
                self._add_call(span, line)
        yield from self._batch(0)
        for entry, service in self._targets.found():
            if entry.source != self._source or len(self._rows) == BATCH_LINES:
                yield from self._batch(0)
                self._source = entry.source
            name, *row = entry.values
            if service is None or self._target is None:
                self._unreadable.append(_without_target(name, entry.line, entry.source))
                continue
            self.joined += 1
            row[self._target] = service
            self._lines.append(entry.line)
            self._rows.append(tuple(row))
        yield from self._batch(0)


def _estimated_bytes(text: str) -> int:
    """Estimate the memory that the values of a JSON text need, from above."""
    return 200 * text.count("{") + 64 * (text.count("[") + text.count(","))


def _without_target(name: str, line: int, source: str) -> Unreadable:
    why = f"the span {name!r} names no target, and its trace has no server's span for it"
    return Unreadable(line, why, source)
