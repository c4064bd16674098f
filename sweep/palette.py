"""The colours and the font of all pages and figures, each colour with its counterpart on dark paper."""

from __future__ import annotations

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
PAPER, INK, MUTED, GRID = "#ffffff", "#1b1f24", "#59636e", "#e1e5ea"
BLUE, VERMILLION, GREEN, PURPLE, OCHRE, GREY = "#0069a8", "#bd4b00", "#007a58", "#a03d78", "#8a5c00", "#6b7480"
# Each colour keeps a contrast of 3 to 1 or more with the paper on either side.
DARK = {
    PAPER: "#14181d",
    INK: "#e9ecef",
    MUTED: "#a4adb7",
    GRID: "#2d343c",
    BLUE: "#5ab4f0",
    VERMILLION: "#ff8f52",
    GREEN: "#41c99d",
    PURPLE: "#ec9fca",
    OCHRE: "#e6b545",
    GREY: "#8e98a3",
}
