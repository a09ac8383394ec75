from typing_extensions import Buffer, disjoint_base

from pyralog._speedups.facts import Facts
from pyralog._speedups.keymap import KeyMap

@disjoint_base
class Mapper:
    def __init__(self, keys: KeyMap, facts: Facts) -> None: ...
    def map(self, data: Buffer, from_offset: int, end_offset: int) -> tuple[int, int]: ...
    def map_body(self, header: Buffer, body: Buffer, from_offset: int) -> int: ...
