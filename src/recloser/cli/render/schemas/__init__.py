"""The JSON objects that ``--json`` prints: one function for each schema.

A schema has a name and a version, as in ``recloser.replay/1``, which is the first key of the object.
Keys may be added to a version; a key that goes or changes its meaning makes a new version. The object
of ``recloser.why/1`` is ``recloser.audit.cause.Answer`` itself, which also makes its JSON Schema.
"""

from typing import TypeAlias

JsonObject: TypeAlias = dict[str, object]
