"""``recloser docs``: the pages of the documentation."""

import difflib
import sys
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

import click

from recloser.cli.options import examples, json_option
from recloser.cli.render.schemas.log_schemas import docs_page_object, docs_topics_object
from recloser.cli.render.terminal import print_json, print_table, print_text, results

_SIMILARITY = 0.5  # from which on a topic is suggested; 1 is the same text


@click.command(
    short_help="Show a page of the documentation.",
    epilog=examples("recloser docs", "recloser docs getting-started"),
)
@click.argument("topic", metavar="[TOPIC]", required=False)
@json_option
def command(*, topic: str | None, as_json: bool) -> None:
    """Show the page of the documentation about TOPIC, or list the topics.

    On a terminal the page is formatted. In a pipe or a file it is Markdown, as it is written.
    """
    if topic is None:
        _list(as_json=as_json)
        return
    page = _page_on(topic)
    text = page.read_text(encoding="utf-8")
    if as_json:
        print_json(docs_page_object(_topic(page), text))
    elif sys.stdout.isatty():
        from rich.markdown import Markdown

        results().print(Markdown(_without_comments(text)), soft_wrap=False)
    else:
        print_text(text, end="")


def _list(*, as_json: bool) -> None:
    topics = [(_topic(page), _title(page)) for page in _pages()]
    if as_json:
        print_json(docs_topics_object(topics))
        return
    print_table(("topic", "title"), topics)
    print_text("\nrecloser docs TOPIC shows a page.")


def _page_on(topic: str) -> Traversable:
    pages = {_topic(page): page for page in _pages()}
    wanted = topic.lower().removesuffix(".md").replace("_", "-").replace(" ", "-")
    if wanted in pages:
        return pages[wanted]
    near = difflib.get_close_matches(wanted, pages, cutoff=_SIMILARITY)
    near += [name for name in pages if wanted in name and name not in near]
    hint = f"did you mean {' or '.join(near)}?" if near else "recloser docs lists the topics"
    raise click.UsageError(f"there is no topic {topic!r}: {hint}")


def _pages() -> Iterator[Traversable]:
    folder = files("recloser") / "docs"
    yield from sorted(
        (page for page in folder.iterdir() if page.name.endswith(".md")),
        key=lambda page: page.name,
    )


def _topic(page: Traversable) -> str:
    return page.name.removesuffix(".md")


def _title(page: Traversable) -> str:
    lines = page.read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("# ") for line in lines if line.startswith("# "))


def _without_comments(text: str) -> str:
    """Remove the comments, which are meant for the tests of the documentation."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("<!-- "))
