"""The part of an exported script that reads a table: pandas and NumPy do what the study did with its columns."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from sweep.data.cells import CLOCKS, COMPACT, MAGNITUDES, QUARTER, SIGNS, THOUSANDS, WEEK, WITH_UNIT
from sweep.data.columns import Column, ColumnRole
from sweep.data.form import MISSING, WORDS_TOO
from sweep.data.preparation import NumberInput, WordsInput
from sweep.data.reading import SINGLY_QUOTED
from sweep.data.table import Dataset, Split
from sweep.schedules.source import LINE, literal

ARRAY_COLUMN = re.compile(r"x\d+")
CELLS_AS_TEXT = 'cells = cells.astype("str").where(cells.notna())'
BRACKETS = (
    r'text = text.str.replace(r"^\((.*)\)$", r"-\1", regex=True)',
    r'text = text.str.replace("\u2212", "-")',
)
IN_DAYS = "return (moments - pd.Timestamp(1970, 1, 1)) / pd.Timedelta(days=1)"
IN_HOURS = "return (moments - moments.dt.normalize()) / pd.Timedelta(hours=1)"
COMMA = 'text = text.str.replace(",", ".")'
WHOLE = r'words = words.str.replace(r"\.0+$", "", regex=True)'


def is_plain(dataset: Dataset) -> bool:
    """Say whether a file is the plainest: commas, numbers that are inputs as they are, and a class."""
    form, layout, columns = dataset.form, dataset.layout, dataset.columns
    usual = (form.format, form.delimiter, form.decimal, form.comment, form.quote) == ("csv", ",", ".", None, '"')
    numbers = [number for number in layout.numbers if number.written == "plain" and number.alphabet is None]
    whole = (
        len(numbers) == len(columns) - 1 and dataset.weights is None and not any(column.missing for column in columns)
    )
    plain = usual and whole and layout.scale == "none" and str(form.encoding).startswith("utf-8")
    return bool(plain and dataset.classes and not dataset.keys.labels and label_of(dataset).written != "truth")


def label_of(dataset: Dataset) -> Column:
    """Return the column that is predicted."""
    return next(column for column in dataset.columns if column.role is ColumnRole.LABEL)


def weight_of(dataset: Dataset) -> Column | None:
    """Return the column that weighs rows."""
    if dataset.weights is None:
        return None
    stated = dataset.keys.weight
    if isinstance(stated, int) or (isinstance(stated, str) and stated not in [each.name for each in dataset.columns]):
        return dataset.columns[int(stated)]
    return next(column for column in dataset.columns if column.name == stated)


def write_table_code(dataset: Dataset, split: Split) -> str:
    """Return code that defines `inputs`, `targets` and, for classes, `classes`, for all rows that can be used.

    What was fitted stands in it as numbers, so that new rows of the same columns are prepared alike.
    """
    constants, label = _constants(dataset, split), label_of(dataset)
    inputs = _inputs(split)
    prepared = split.preparation
    columns = [each.column for each in prepared.numbers] + [each.column for each in prepared.words]
    kept = f" & cells[{columns}].notna().all(axis=1)" if dataset.keys.missing == "drop" else ""
    kept += "" if dataset.by is None else f" & cells[{dataset.by.position}].notna()"
    weight = weight_of(dataset)
    if dataset.classes:
        text = {"plain": f"read_numbers(cells, {label.position})", "truth": f"cells[{label.position}].str.capitalize()"}
        found = f"{text.get(label.written, f'cells[{label.position}]')}.map(LABELS)"
    else:
        found = f"(read_numbers(cells, {label.position}) - TARGET_MEAN) / TARGET_SCALE"
    blank = ["    cells = cells.apply(lambda column: column.str.strip())"]
    missing = any(column.missing for column in dataset.columns)
    words = [column.position for column in dataset.columns if column.written == "words"] if missing else []
    if words and dataset.form.na_values == MISSING:
        blank += [
            "    missing = cells.isin(MISSING)",
            f"    missing[{words}] &= ~cells[{words}].isin(WORDS_TOO)",
            "    return cells.mask(missing)",
        ]
    else:
        blank.append("    return cells.mask(cells.isin(MISSING))" if missing else "    return cells")
    return "\n".join(
        [
            "# How columns of the file, counted from 0, become inputs; fitted on the rows to train on.",
            "# fmt: off",
            *constants,
            "# fmt: on",
            "",
            "",
            "def read_cells(place):",
            '    """Return the file\'s cells as text, a missing one as NaN."""',
            textwrap.indent(_reading(dataset), "    "),
            *blank,
            "",
            "",
            "def read_numbers(cells, column):",
            '    """Return the numbers that a column\'s cells are written as."""',
            "    text = cells[column]",
            *_conversions(dataset, split),
            '    return pd.to_numeric(text, errors="coerce").astype("float64")',
            "",
            "",
            "def make_inputs(cells):",
            '    """Return the inputs of the network, `[rows, inputs]`."""',
            "    parts = []",
            *inputs,
            '    return np.column_stack(parts).astype("float32")',
            "",
            "",
            "cells = read_cells(options.data)",
            f"targets = {found}",
            f"kept = targets.notna(){kept}  # rows that can be used",
            "inputs = make_inputs(cells[kept])",
            f'targets = targets[kept].to_numpy("{"int32" if dataset.classes else "float32"}")',
            *(
                []
                if weight is None
                else [f'weights = read_numbers(cells, {weight.position})[kept].to_numpy("float32")']
            ),
        ]
    )


def _constants(dataset: Dataset, split: Split) -> list[str]:
    """Return what was found and fitted, as code."""
    numbers, words, code = split.preparation.numbers, split.preparation.words, list[str]()
    weight = weight_of(dataset)
    written = [] if weight is None else [weight.written]
    if any(column.missing for column in dataset.columns):
        code += _listed("MISSING = [  # cells without a value", map(literal, dataset.form.na_values or ()))
        if dataset.form.na_values == MISSING:
            code += _listed("WORDS_TOO = [  # and not missing in a column of words", map(literal, sorted(WORDS_TOO)))
    if {"dressed", "units"} & {label_of(dataset).written, *written, *(each.written for each in numbers)}:
        code.append(f"SIGNS = {_raw(SIGNS)}")
    if numbers:
        code.append("NUMBERS = [  # column, what a missing cell is taken for, what is subtracted, what divides it")
        code += [
            f"    ({each.column}, {literal(each.fill)}, {literal(each.shift)}, {literal(each.scale)}),"
            for each in numbers
        ] + ["]"]
    if marked := [number.column for number in numbers if number.indicator]:
        code += _listed("MARKED = [  # columns whose missing cells have an input of their own", map(str, marked))
    for column, alphabet in _alphabets(numbers).items():
        code += _listed(f"WORDS_{column} = [  # read as their place", map(literal, alphabet))
    if words:
        code.append("WORDS = [  # column, categories (None: too rare), an input for rare words, one for missing cells")
        for each in words:
            kept = [word if seen else None for word, seen in zip(each.categories, each.seen, strict=True)]
            code += _listed(f"    ({each.column}, [", map(literal, kept), f"], {each.rare}, {each.missing}),", 8)
        code.append("]")
    if dataset.classes:
        code += _listed("classes = [", map(literal, dataset.classes))
        labels = (f"{literal(label)}: {place}" for label, place in _labels(dataset).items())
        code += _listed("LABELS = {  # the class of each label", labels, "}")
    else:
        mean, scale = split.target_unit
        code.append(f"TARGET_MEAN, TARGET_SCALE = {literal(mean)}, {literal(scale)}")
    return code


def _listed(begin: str, items: Iterable[str], end: str = "]", indent: int = 4) -> list[str]:
    text = textwrap.fill(", ".join(items), LINE - indent, break_long_words=False, break_on_hyphens=False)
    return [begin, textwrap.indent(text, " " * indent), " " * (indent - 4) + end]


def _alphabets(numbers: tuple[NumberInput, ...]) -> Mapping[int, tuple[str, ...]]:
    return {number.column: number.alphabet for number in numbers if number.alphabet is not None}


def _labels(dataset: Dataset) -> dict[str | float, int]:
    """Return the class index of each label as the file has it."""
    mapped, found = dataset.keys.labels, dict[str | float, int]()
    numeric = label_of(dataset).written == "plain"
    for place, label in enumerate(dataset.classes):
        own = [] if label in mapped else [label]
        for word in (*own, *(word for word, to in mapped.items() if to == label)):
            with suppress(ValueError):  # a name that no cell has
                found[float(word) if numeric else word] = place
    return found


def _reading(dataset: Dataset) -> str:
    """Return code that reads a file's cells as text."""
    form, width = dataset.form, len(dataset.columns)
    if form.format == "parquet":
        return f"cells = pd.read_parquet(place).set_axis(range({width}), axis=1)\n{CELLS_AS_TEXT}"
    if form.format == "npz":
        others = [
            each for each in dataset.columns if each.role in (ColumnRole.GROUP, ColumnRole.TIME, ColumnRole.WEIGHT)
        ]
        beside = "".join(f"cells[{each.position}] = arrays[{literal(each.name)}]\n" for each in others)
        return (
            "arrays = np.load(place)\n"
            f"x, y = (arrays[name].reshape(len(arrays[name]), -1) for name in {dataset.arrays})\n"
            "cells = pd.DataFrame(x)\n"
            f"{beside}cells[{width - 1}] = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0]\n{CELLS_AS_TEXT}"
        )
    options = {
        "sep": r'r"\s+"' if form.delimiter == " " else literal(form.delimiter),
        "header": "None",
        "skiprows": "0" if form.format == "arff" else str(dataset.begin),
        "names": f"range({width})",
        "index_col": "False",
        "dtype": "str",
        "keep_default_na": "False",
        "skipinitialspace": "True",
        "encoding": literal(form.encoding),
        "comment": literal(form.comment),
        "quotechar": literal(form.quote),
    }
    unsaid = {"sep": '","', "encoding": '"utf-8"', "comment": "None", "skiprows": "0", "quotechar": literal('"')}
    said = "".join(f"    {key}={code},\n" for key, code in options.items() if unsaid.get(key) != code)
    if form.format == "arff":
        begin = f"rows = Path(place).read_text(encoding={literal(form.encoding)})\n"
        begin += 'rows = rows[re.search(r"(?im)^\\s*@data\\s*$", rows).end() :]\n'
        if form.quote == '"':  # pandas knows one quotation mark at a time
            pattern = f'r"""{SINGLY_QUOTED.pattern}"""'
            begin += "if \"'\" in rows and '\"' in rows:\n"
            begin += f"    rows = re.sub({pattern}, r'\\1\"\\2\"', rows, flags=re.MULTILINE)\n"
        return f"{begin}cells = pd.read_csv(\n    StringIO(rows),\n{said})"
    return f"cells = pd.read_csv(\n    place,\n{said})"


def _conversions(dataset: Dataset, split: Split) -> list[str]:
    """Return code for columns whose text is not that of a plain number."""
    label = label_of(dataset)
    columns = [(number.column, number.written) for number in split.preparation.numbers if number.alphabet is None]
    weight = weight_of(dataset)
    columns += [] if weight is None else [(weight.position, weight.written)]
    if not dataset.classes or label.written == "plain":
        columns.append((label.position, label.written))
    by_code: dict[tuple[str, ...], list[int]] = {}
    for column, written in columns:
        by_code.setdefault(_conversion(written, dataset.form.decimal or "."), []).append(column)
    for column in _alphabets(split.preparation.numbers):
        place = f"return text.map({{word: place for place, word in enumerate(WORDS_{column})}})"
        by_code[(place,)] = [column]
    found = list[str]()
    for code, which in by_code.items():
        if code:
            found += [f"    if column in {literal(which)}:", *(f"        {line}" for line in code)]
    return found


def _conversion(written: str, decimal: str) -> tuple[str, ...]:
    """Return code that turns a column's `text` into numbers, or into the text of plain ones."""
    parts = "parts = text.str.extract"
    zoned = ", utc=True).dt.tz_localize(None)" if written == "date" or "%z" in written else ")"
    form = "" if written == "date" else f", format={literal(written)}"
    moments = f"moments = pd.to_datetime(text{form}{zoned}"
    weeks = rf'moments = pd.to_datetime(text.str.replace({_raw(WEEK)}, r"\1-\2-1", regex=True), format="%G-%V-%u")'
    quarters = 'moments = pd.to_datetime({"year": parts[0], "month": 3 * parts[1] - 2, "day": 1})'
    known: dict[str, tuple[str, ...]] = {
        "plain": (COMMA,) if decimal == "," else (),
        "truth": ('return text.str.lower().map({"true": 1.0, "false": 0.0})',),
        "dressed": (*BRACKETS, *_undressed(decimal)),
        "units": (
            'bare = text.str.replace(SIGNS, "", regex=True)',
            f"parts = bare.str.extract({_raw(WITH_UNIT.pattern + '$')})",
            "text = parts[0]",
            *_undressed(decimal),
            f"factors = parts[1].map({literal(MAGNITUDES)}).fillna(1.0) if parts[1].nunique() > 1 else 1.0",
            'return pd.to_numeric(text, errors="coerce") * factors',
        ),
        "weeks": (weeks, IN_DAYS),
        "quarters": (f"{parts}({_raw(QUARTER)}).astype(float)", quarters, IN_DAYS),
        COMPACT: (WHOLE.replace("words", "text"), moments, IN_DAYS),
        **dict.fromkeys(CLOCKS, (moments, IN_HOURS)),
    }
    return known.get(written, (moments, IN_DAYS))


def _undressed(decimal: str) -> list[str]:
    code = [f'text = text.str.replace({pattern}, "", regex=True)' for pattern in ("SIGNS", _raw(THOUSANDS[decimal]))]
    return [*code, COMMA] if decimal == "," else code


def _raw(pattern: str) -> str:
    """Return the text of a regular expression, as a person writes it in Python."""
    return f'r"{pattern}"' if '"' not in pattern else f"r'{pattern}'"


def _tidied(words: Sequence[WordsInput]) -> list[str]:
    """Return code for columns of numbers and truths that are read as words."""
    plain, truths = ([each.column for each in words if each.written == kind] for kind in ("plain", "truth"))
    code = [f"if column in {plain}:", f"    {WHOLE}"] if plain else []
    return [*code, f"if column in {truths}:", "    words = words.str.capitalize()"] if truths else code


def _inputs(split: Split) -> list[str]:
    """Return code that adds each column's inputs to `parts`."""
    numbers, words, code = split.preparation.numbers, split.preparation.words, list[str]()
    if numbers:
        code += [
            "for column, fill, shift, scale in NUMBERS:",
            "    parts.append((read_numbers(cells, column).fillna(fill) - shift) / scale)",
        ]
    if any(number.indicator for number in numbers):
        code += ["for column in MARKED:", "    parts.append(cells[column].isna())"]
    if words:
        code += [
            "for column, categories, rare, missing in WORDS:",
            "    words = cells[column]",
            *(f"    {line}" for line in _tidied(words)),
            "    parts += [words == category for category in categories]",
            "    if rare:",
            "        parts.append(words.notna() & ~words.isin(categories))",
            "    if missing:",
            "        parts.append(words.isna())",
        ]
    return [f"    {line}" for line in code]
