from typing import TypeAlias

Block: TypeAlias = tuple[int, list[int], list[int], list[bytes]]

def success_lines(form: tuple[bytes, bytes, bytes], blocks: list[Block]) -> list[memoryview]: ...
