"""Colour: the only package that knows ranges, white points and gamuts.

curves.py    transfer curves as tables, and the scratch memory that strips share
lab.py       exact sRGB <-> Lab on NumPy strips (OpenCV), for full-size photographs
gamut.py     chroma compressed into the sRGB gamut at constant hue and lightness
hints.py     colours that people know, spread over the objects they belong to
upsample.py  a small map at any rows of the full size, the same whichever rows are asked for
merge.py     a photograph's own luminance + a small ab map -> a full-size colour photograph
warmth.py    colours as if the light had been warmer or cooler
tint.py      is this photograph already coloured, grey, or toned like sepia?
tensors.py   sRGB <-> Lab on torch tensors, for networks and metrics
bins.py      distributions over ab bins: encoding, decoding, sampling, confidence
decoding.py  how such a distribution becomes ab, as a weights file says it
spaces.py    what each kind of network eats and returns, in Lab terms
"""
