from array import array
from typing import TypeAlias

Around: TypeAlias = tuple[bytes, bytes, bytes, bytes]
Block: TypeAlias = tuple[int, array[int], array[int], bytes, list[Around]]

def outcome_lines(blocks: list[Block]) -> list[memoryview]: ...
