from typing_extensions import disjoint_base

@disjoint_base
class Facts:
    def __init__(self, aborted: list[tuple[int, int, int]]) -> None: ...
