"""What is asked for one photograph beyond the run's settings: its hints, its variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.hint_entries import to_json
from recolor_cli.colorize.hints import NONE, HintBook
from recolor_cli.colorize.manifest import digest
from recolor_cli.colorize.plan import Target
from recolor_cli.colorize.settings import Settings
from recolor_cli.errors import UsageError
from recolor_cli.images.remote import absolute, as_path

REVIEW = "review"  # hints that a person gave on a gallery page, and that lie in no file


@dataclass(frozen=True)
class Order:
    """One output.

    Attributes:
        hints: What people know about the photograph.
        variant: Which of several colourings, counted from 1; 0 if there is only the one.
        seed: Of the variants from the second on.
        digest: Of all settings that decide this output.
        hints_from: Where the hints were asked for: the path of a file, `NONE`, `REVIEW`; empty if
            they are what lies beside the photograph.
        mistake: Why it cannot be made: a file of hints that is wrong.
    """

    hints: tuple[Hint, ...] = ()
    variant: int = 0
    seed: int = 0
    digest: str = ""
    mistake: str = ""
    hints_from: str = ""

    @property
    def more(self) -> dict[str, Any]:
        """What it adds to the settings that decide, for the manifest and for provenance."""
        more: dict[str, Any] = {}
        if self.hints:
            more |= {"hints": len(self.hints), "hints_digest": digest({"": to_json(self.hints)})}
        if self.variant > 1:
            more |= {"variant": self.variant, "seed": self.seed}
        return more


def make_orders(
    targets: Sequence[Target], settings: Settings, deciding: Mapping[str, Any]
) -> tuple[dict[str, Order], list[str]]:
    """Read all hints before the work.

    Args:
        targets: Of the plan.
        settings: Of the run.
        deciding: The run's settings that decide, weights included.

    Returns:
        An order for each target's key, and lines about hints that belong to no photograph.

    Raises:
        UsageError: The file that --hints names is wrong, or is for one photograph only.
    """
    book = HintBook(settings.hints)
    book.check([target.source for target in targets if target.hints is None])
    orders = {}
    for target in targets:
        # The input folder is as far above the photograph as OUT is above its output.
        root = target.source.parents[len(PurePosixPath(target.key).parts) - 1]
        hints, origin, mistake = target.hints, REVIEW, ""
        if hints is None:
            hints, origin = (), _origin(settings.hints)
            try:
                hints = book.of(target.source, root)
            except UsageError as error:
                mistake = str(error)
        order = Order(hints, target.variant, settings.seed, mistake=mistake, hints_from=origin)
        orders[target.key] = replace(order, digest=digest({**deciding, **order.more}))
    return orders, book.without_photo()


def _origin(asked: str | None) -> str:
    """What --hints named, so that it means the same in another folder."""
    return "" if asked is None else NONE if asked == NONE else str(absolute(as_path(asked)))
