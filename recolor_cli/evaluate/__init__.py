"""Numbers that can be compared: protocols, measuring, reports, comparison, human judgement.

protocols.py      which pictures, how many, at which geometry
sources.py        truths, other tools' predictions, a run's held-out set
colouring.py      where the coloured picture of a pair comes from
evaluation.py     evaluate: the sequence, streaming
measure.py        rows of all metrics, and their values
swaps.py          predictions that show another picture
network_files.py  verified weights behind fid, kid, is, lpips
report.py         report.json and images.csv      compare.py   two reports
page.py           report.html                     panels.py    best and worst pictures
charts.py         lines and histograms as SVG     document.py  the frame of a page
judge.py          the page on which people judge  votes.py     what their votes come to
"""

from recolor_cli.evaluate.evaluation import evaluate
from recolor_cli.evaluate.protocols import get_protocol
from recolor_cli.evaluate.report import Report, read_report
from recolor_cli.evaluate.setup import Asked, Setup, set_up

__all__ = ["Asked", "Report", "Setup", "evaluate", "get_protocol", "read_report", "set_up"]
