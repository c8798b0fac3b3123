"""What is asked for one photograph beyond the run's settings: its hints, its variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from recolor_cli.color.hints import Hint
from recolor_cli.colorize.hints import HintBook, to_json
from recolor_cli.colorize.manifest import digest
from recolor_cli.colorize.plan import Target
from recolor_cli.colorize.settings import Settings
from recolor_cli.errors import UsageError


@dataclass(frozen=True)
class Order:
    """One output.

    Attributes:
        hints: What people know about the photograph.
        variant: Which of several colourings, counted from 1; 0 if there is only the one.
        seed: Of the variants from the second on.
        digest: Of all settings that decide this output.
        mistake: Why it cannot be made: a file of hints that is wrong.
    """

    hints: tuple[Hint, ...] = ()
    variant: int = 0
    seed: int = 0
    digest: str = ""
    mistake: str = ""

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
    book.check([target.source for target in targets])
    orders = {}
    for target in targets:
        # The input folder is as far above the photograph as OUT is above its output.
        root = target.source.parents[len(PurePosixPath(target.key).parts) - 1]
        hints: tuple[Hint, ...] = ()
        mistake = ""
        try:
            hints = book.of(target.source, root)
        except UsageError as error:
            mistake = str(error)
        order = Order(hints, target.variant, settings.seed)
        orders[target.key] = Order(
            hints, target.variant, settings.seed, digest({**deciding, **order.more}), mistake
        )
    return orders, book.without_photo()
