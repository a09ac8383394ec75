from typing import Final

class EventKind:
    REQUEST: Final = 1
    HANDOVER: Final = 2
    DONE: Final = 3
    ROLLED: Final = 4
    DETACHED: Final = 5
    FAILED: Final = 6
    CLOSED: Final = 7
    CONNECTED: Final = 8
    GONE: Final = 9
    APPENDED: Final = 10

class Lane:
    @property
    def api(self) -> int: ...
    def offer(self, token: int, frame: bytes, connection: int) -> bool: ...
