"""Run pages of the documentation and write what their commands print into them.

``python tools/docs [PAGE...]`` runs the pages named, or all, and replaces the outputs that they show.
A page of commands and the page of the interface are generated first. Review the difference afterwards.
A page that needs a Redis server is left alone where none can be started.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import click

_TOOLS = Path(__file__).parent.parent
sys.path[:0] = [str(_TOOLS), str(_TOOLS.parent / "tests" / "support")]

from docs import reference, servers  # noqa: E402  # found by the path above
from docs.pages import FOLDER, ROOT, Page, all_pages  # noqa: E402


@click.command(help=__doc__)
@click.argument("pages", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--samples", is_flag=True, help="Replace outputs that vary too.")
def main(*, pages: tuple[Path, ...], samples: bool) -> None:
    """Write the outputs of the pages named, or of all."""
    for name, text in reference.generated():
        (FOLDER / name).write_text(text, encoding="utf-8")
    for path in pages or all_pages():
        page = Page.read(path)
        with servers.started(page.needs) as addresses, tempfile.TemporaryDirectory() as scratch:
            if addresses is None:
                click.echo(f"{path}: left alone, for want of {', '.join(page.needs)}")
                continue
            shutil.copytree(ROOT / "fixtures", Path(scratch) / "fixtures")
            runs = list(page.run(Path(scratch), addresses))
        changed = sum(not run.is_as_shown for run in runs)
        path.write_text(page.with_outputs(runs, samples=samples), encoding="utf-8")
        click.echo(f"{path}: {changed} of {len(runs)} outputs changed")


if __name__ == "__main__":
    main()
