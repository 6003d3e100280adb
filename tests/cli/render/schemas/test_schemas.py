"""JSON objects: each schema is built in one place."""

import re
from collections import Counter

from conftest import ROOT

SOURCE = ROOT / "src" / "recloser"
SCHEMAS = SOURCE / "cli" / "render" / "schemas"
ELSEWHERE = {
    "recloser.why/1": "audit",  # an attrs class, which also makes the JSON Schema
    "recloser.golden/1": "golden",  # a file and not an output
    "recloser.status/1": "integrations",  # the answer of a route
}


def test_name_of_a_schema_is_written_once():
    found = Counter()
    rooms = {}
    for path in SOURCE.rglob("*.py"):
        for name in re.findall(r'(?<!`)"(recloser\.[a-z.-]+/\d+)"', path.read_text()):
            found[name] += 1
            rooms[name] = "schemas" if path.parent == SCHEMAS else path.relative_to(SOURCE).parts[0]
    elsewhere = {name: room for name, room in rooms.items() if room != "schemas"}
    assert {name for name, count in found.items() if count > 1} <= set(ELSEWHERE)
    assert elsewhere.items() <= ELSEWHERE.items()
    assert len(found) >= 15
