"""Laws of the plots: what is seen is what the rates are, and a file is written whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from sweep.cli.plots import Curve, draw_text, write_png
from sweep.errors import BadInput
from sweep.schedules import Numbers, Timeline, read_schedule

CLOCK = Timeline(epochs=20, steps_per_epoch=9)
STEP = {"name": "step", "learning_rate": 0.1, "drop": 0.5, "epochs_drop": 10}
PNG_COLUMNS, PNG_ROWS = 1200, 675


def curve(name: str = "step", rates: Numbers | None = None, momenta: Numbers | None = None) -> Curve:
    drawn = read_schedule(STEP).rates(CLOCK) if rates is None else rates
    return Curve(name, f"{name}: learning_rate 0.1", drawn, momenta)


def cell(text: str, line: int, column: int) -> str:
    """Return the character at a place within the frame, counted from its upper left corner."""
    lines = text.splitlines()
    frame = next(number for number, line in enumerate(lines) if "┌" in line)
    return lines[frame + line][lines[frame].index("┌") + column]


class TestText:
    def test_the_line_is_high_where_the_rate_is_and_low_where_it_is_not(self) -> None:
        text = draw_text([curve()], 80, 20, colours=False)
        assert cell(text, 1, 10) != " " == cell(text, 1, 50)
        assert cell(text, 8, 50) != " " == cell(text, 8, 10)

    def test_it_is_as_large_as_asked_and_labelled(self) -> None:
        lines = draw_text([curve()], 60, 15, colours=False).splitlines()
        assert (len(lines), max(map(len, lines))) == (15, 60)
        assert (lines[0].strip(), lines[-1].strip()) == ("learning rate", "epochs")
        assert lines[-2].split() == [str(epoch) for epoch in range(0, 21, 2)]

    def test_without_colours_there_are_none(self) -> None:
        assert "\x1b" not in draw_text([curve(), curve("b")], 80, 20, colours=False)
        assert "\x1b" in draw_text([curve(), curve("b")], 80, 20, colours=True)

    def test_several_curves_are_named_below_in_lines_that_fit(self) -> None:
        curves = [curve(f"schedule_{number}") for number in range(60)]
        text = draw_text(curves, 80, 20, colours=False)
        named = text.splitlines()[20:]
        assert re.findall(r"\w schedule_\d+", "\n".join(named))[25:28] == [
            "z schedule_25",
            "A schedule_26",
            "B schedule_27",
        ]
        assert max(map(len, named)) <= 80

    def test_a_terminal_without_fine_dots_gets_plain_letters(self) -> None:
        text = draw_text([curve()], 80, 20, colours=False, encoding="ascii")
        assert text.isascii()
        assert "aaaa" in text

    def test_one_plot_leaves_nothing_on_the_next(self) -> None:
        first = draw_text([curve()], 80, 20, colours=False)
        draw_text([curve("b", np.full((3, 2), 7.0))], 40, 10, colours=True)
        assert draw_text([curve()], 80, 20, colours=False) == first

    @pytest.mark.parametrize("rate", [0.0, 5e-324, 1e-300, 1e99])
    def test_any_rate_can_be_drawn(self, rate: float) -> None:
        assert "epochs" in draw_text([curve(rates=np.full((2, 3), rate))], 80, 20, colours=False)

    def test_the_shortest_spike_among_a_million_steps_is_seen(self) -> None:
        rates = np.zeros((100, 10_000))
        rates[50, 5] = 1.0
        lines = draw_text([curve(rates=rates)], 80, 20, colours=False).splitlines()
        assert lines[2].strip("1┤│ ") != ""


class TestPng:
    def test_it_is_a_picture_of_the_expected_size(self, tmp_path: Path) -> None:
        write_png([curve()], tmp_path / "step.png")
        assert (tmp_path / "step.png").read_bytes().startswith(b"\x89PNG")
        assert imread(tmp_path / "step.png").shape == (PNG_ROWS, PNG_COLUMNS, 4)

    def test_the_line_falls_from_left_to_right(self, tmp_path: Path) -> None:
        write_png([curve()], tmp_path / "step.png")
        picture = imread(tmp_path / "step.png")
        blue = picture[:, :, 2] - picture[:, :, 0] > 0.4
        early, late = (np.flatnonzero(blue[:, column]).mean() for column in (200, 1100))
        assert late - early > 0.3 * PNG_ROWS

    def test_several_curves_get_a_legend_and_moving_momenta_a_panel(self, tmp_path: Path) -> None:
        moving = curve("b", momenta=np.linspace(0.8, 0.9, 180).reshape(20, 9))
        heights = []
        for number, curves in enumerate(([curve()], [curve(), curve("b")], [curve(), moving])):
            write_png(curves, tmp_path / f"{number}.png")
            heights.append(len(imread(tmp_path / f"{number}.png")))
        assert heights == sorted(set(heights))

    def test_the_same_curves_give_the_same_file(self, tmp_path: Path) -> None:
        for name in ("a.png", "b.png"):
            write_png([curve()], tmp_path / name)
        assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

    @pytest.mark.parametrize("rate", [0.0, 5e-324, 1e-300, 1e99])
    def test_any_rate_can_be_drawn(self, tmp_path: Path, rate: float) -> None:
        write_png([curve(rates=np.full((2, 3), rate))], tmp_path / "flat.png")
        assert (tmp_path / "flat.png").stat().st_size > 0

    def test_an_existing_file_is_replaced_and_a_link_followed(self, tmp_path: Path) -> None:
        (tmp_path / "old.png").write_text("old")
        (tmp_path / "link.png").symlink_to("old.png")
        write_png([curve()], tmp_path / "link.png")
        assert (tmp_path / "link.png").is_symlink()
        assert (tmp_path / "old.png").read_bytes().startswith(b"\x89PNG")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["link.png", "old.png"]

    @pytest.mark.parametrize("name", ["step.jpg", "step", "png"])
    def test_only_a_png_is_written(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(BadInput, match=rf"plot: must end in \.png, got `.*{name}`"):
            write_png([curve()], tmp_path / name)
        assert list(tmp_path.iterdir()) == []

    def test_what_cannot_be_written_is_named_and_leaves_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "folder.png").mkdir()
        for path in (tmp_path / "folder.png", tmp_path / "none" / "step.png"):
            with pytest.raises(BadInput, match=r"plot: .*`.*\.png`.+\."):
                write_png([curve()], path)
        assert [path.name for path in tmp_path.rglob("*")] == ["folder.png"]
