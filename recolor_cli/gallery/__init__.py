"""Looking at results and choosing: the gallery page, review marks, redoing, comparisons.

entries.py       what a folder of results holds, photo by photo
pictures.py      small copies for looking at, whatever the format
thumbnails.py    the copies that a gallery page shows, kept from one page to the next
page.py          make_gallery: a folder of results becomes one page (page.html, page.css, script/)
review.py        review.json: what a person marked, checked
redo.py          Redo: does what was marked
side_by_side.py  grey | colour in one picture beside a result
sheet.py         one photograph made in several ways, as a labelled contact sheet
variants.py      the variants of a photograph side by side
"""
