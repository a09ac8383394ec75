"""What the recovery of a log has found and done."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class RecoveryReport:
    """What opening a log found and did; sizes in bytes."""

    scanned_bytes: int = 0
    cut_bytes: int = 0
    rebuilt: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    unreadable: list[tuple[int, int]] = field(default_factory=list)  # offsets [first, next) of closed segments
    mended_epochs: int = 0  # batches whose leader epoch was damaged: a replica must compare its log before it votes

    @property
    def quiet(self) -> bool:
        return not (self.cut_bytes or self.rebuilt or self.quarantined or self.unreadable or self.mended_epochs)

    def described(self) -> str:
        """For a line of the log."""
        return (
            f"{self.scanned_bytes} bytes scanned, {self.cut_bytes} cut; rebuilt {self.rebuilt or 'nothing'}; set aside "
            f"{self.quarantined or 'nothing'}; unreadable offsets {self.unreadable or 'none'}; "
            f"{self.mended_epochs} damaged leader epochs mended"
        )
