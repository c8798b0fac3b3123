// Colours by name for what is in most photographs. A hint says hue and chroma, not how light a
// thing is, so one red does for a bright and for a dark red coat.

const KEEP = "keep";  // the network's own colour is right here
const SWATCHES = [
  ["Skin and hair", [
    ["fair skin", "#dfb39a"], ["medium skin", "#bf8763"], ["dark skin", "#7a5038"],
    ["lips", "#b8605f"], ["blond hair", "#c8a768"], ["brown hair", "#5f4029"],
    ["red hair", "#93491f"],
  ]],
  ["Cloth and things", [
    ["navy", "#2a3a6e"], ["royal blue", "#2f58b8"], ["light blue", "#8fb4dc"],
    ["teal", "#1c7c7c"], ["dark green", "#2c5a37"], ["olive", "#62652f"],
    ["field grey", "#5f6a58"], ["khaki", "#a39263"], ["cream", "#e9dcb8"],
    ["mustard", "#c9992b"], ["gold", "#c8a02a"], ["orange", "#d2712a"],
    ["red", "#b3202a"], ["burgundy", "#6f2233"], ["pink", "#dc93a8"],
    ["purple", "#6b4283"], ["lilac", "#ab98c6"],
  ]],
  ["Outdoors and buildings", [
    ["sky", "#84b4de"], ["deep sky", "#4d82c4"], ["sea", "#3d7d8e"],
    ["grass", "#6f9440"], ["leaves", "#4b6c2f"], ["dry grass", "#b6a465"],
    ["earth", "#80603f"], ["sand", "#d3ba8b"], ["brick", "#9e4c38"],
    ["roof tile", "#b1633f"], ["wood", "#8b5c35"], ["leather", "#6d4428"],
  ]],
  ["Neither", [["no colour: white, grey or black", "#808080"], ["as the network says", KEEP]]],
];
const COLOR_NAMES = new Map(SWATCHES.flatMap(([, colors]) => colors.map(([name, color]) => [color, name])));

function colorName(color) { return COLOR_NAMES.get(color) || color; }
