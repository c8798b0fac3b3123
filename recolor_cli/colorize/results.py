"""What became of each photograph, and what it all adds up to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["done", "skipped", "failed", "planned"]


@dataclass(frozen=True)
class PhotoResult:
    """What became of one input.

    Attributes:
        status: done, skipped or failed; planned in a dry run.
        source: The input.
        output: The file that was, or would be, written; None if there is none.
        reason: Why it was skipped or failed, one line.
        size: Width and height in pixels as stored, once known.
        confidence: 0..1, how sure the network is, mean over the photograph; None if it cannot say.
        notes: What was unusual: memory that ran out, metadata that could not be kept.
        seconds: Work spent on it, waiting not counted.
        traceback: Of an error that nobody foresaw.
    """

    status: Status
    source: Path
    output: Path | None = None
    reason: str = ""
    size: tuple[int, int] | None = None
    confidence: float | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    traceback: str = ""

    def to_json(self) -> dict[str, Any]:
        """The line that `--json` prints; file names that are no UTF-8 keep lone surrogates."""
        width, height = self.size or (None, None)
        return {
            "event": "photo",
            "status": self.status,
            "input": str(self.source),
            "output": None if self.output is None else str(self.output),
            "reason": self.reason or None,
            "width": width,
            "height": height,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "notes": list(self.notes),
            "seconds": round(self.seconds, 4),
        }


@dataclass
class Summary:
    """Counts that add up: total = done + skipped + failed + planned + left.

    Attributes:
        total: Inputs that the command line came to.
        left: Inputs that were not reached, because the run was stopped.
        ignored: Files in folders that are no photographs by their suffix; not part of the total.
        failures: What failed, with the reasons.
    """

    total: int
    done: int = 0
    skipped: int = 0
    failed: int = 0
    planned: int = 0
    ignored: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    failures: list[PhotoResult] = field(default_factory=list)

    def add(self, result: PhotoResult) -> None:
        """Count one result."""
        setattr(self, result.status, getattr(self, result.status) + 1)
        if result.status == "failed":
            self.failures.append(result)

    @property
    def left(self) -> int:
        """Inputs without a result."""
        return self.total - self.done - self.skipped - self.failed - self.planned

    @property
    def exit_code(self) -> int:
        """1 if a photograph failed, else 0."""
        return 1 if self.failed else 0

    def to_json(self, error: str | None = None) -> dict[str, Any]:
        """The last line that `--json` prints.

        Args:
            error: What ended the run early, if something did.
        """
        record: dict[str, Any] = {"event": "summary"}
        for name in ("total", "done", "skipped", "failed", "planned", "left", "ignored"):
            record[name] = getattr(self, name)
        record["seconds"] = round(self.seconds, 3)
        record["interrupted"] = self.interrupted
        record["error"] = error
        return record

    def __str__(self) -> str:
        """One line for people."""
        parts = [f"{self.done} done", f"{self.skipped} skipped", f"{self.failed} failed"]
        if self.planned:
            parts[0] = f"{self.planned} to do"
        if self.left:
            parts.append(f"{self.left} left")
        text = f"{', '.join(parts)}; {self.total} in all, {self.seconds:.1f} s"
        if self.ignored:
            what = "file is no photograph" if self.ignored == 1 else "files are no photographs"
            text += f" ({self.ignored} other {what} by name)"
        return text
