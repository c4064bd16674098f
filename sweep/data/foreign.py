"""Files that hold no text of rows, told by their first bytes: what each is, and what makes a table of it."""

from __future__ import annotations

import re

from sweep.errors import BadInput

WITH_PANDAS = "`pandas.{}('FILE').to_csv('FILE.csv', index=False)` makes a table of it"
SAVE_AS = "save it as CSV in the program that wrote it"
ZIPPED = {
    "xl/workbook.xml": "an Excel workbook",
    "content.xml": "an OpenDocument spreadsheet",
    "word/document.xml": "a Word document",
    "data.pkl": "a PyTorch checkpoint",
}
KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x80\x02", "a pickle, which would run code", WITH_PANDAS.format("read_pickle")),
    (b"\x80\x03", "a pickle, which would run code", WITH_PANDAS.format("read_pickle")),
    (b"\x80\x04", "a pickle, which would run code", WITH_PANDAS.format("read_pickle")),
    (b"\x80\x05", "a pickle, which would run code", WITH_PANDAS.format("read_pickle")),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", WITH_PANDAS.format("read_excel")),
    (b"\x89HDF", "an HDF5 file", WITH_PANDAS.format("read_hdf")),
    (b"ARROW1", "a Feather file", WITH_PANDAS.format("read_feather")),
    (b"FEA1", "a Feather file", WITH_PANDAS.format("read_feather")),
    (b"ORC", "an ORC file", WITH_PANDAS.format("read_orc")),
    (b"<stata_dta>", "a Stata file", WITH_PANDAS.format("read_stata")),
    (b"$FL2", "an SPSS file", WITH_PANDAS.format("read_spss")),
    (b"SQLite format 3\0", "an SQLite database", "export one of its tables as CSV"),
    (b"\x93NUMPY", "one NumPy array", "`numpy.savez('FILE.npz', x=..., y=...)` keeps inputs and labels"),
    (b"MATLAB 5.0", "a MATLAB file", "read it by `scipy.io.loadmat`, and write it as CSV or .npz"),
    (b"RDX", "an R workspace", "`write.csv(x, 'FILE.csv', row.names = FALSE)` in R makes a table of it"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it, or compress the table by gzip"),
    (b"Rar!", "a RAR archive", "unpack it, or compress the table by gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", "unpack it, or compress it by gzip"),
    (b"%PDF", "a PDF document", SAVE_AS),
    (b"\x89PNG", "an image", "this is for tables"),
    (b"\xff\xd8\xff", "an image", "this is for tables"),
)
JSON_START = re.compile(rb"""(?:\xef\xbb\xbf)?\s*(?:\{\s*["}]|\[\s*(?:[\[{"\d-]|\n))""")
MARKUP_START = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!doctype|html|table)", re.IGNORECASE)
SPARSE_ROW = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[ \t]+\d+:[-+.\deE]+)+[ \t]*(?:#.*)?\r?\n")


def refuse_foreign(head: bytes) -> None:
    """Raise `BadInput` on `data.file` if the first bytes of a content show that it is no text of rows."""
    for magic, kind, cure in KINDS:
        if head.startswith(magic):
            raise _is(kind, cure)
    if head[257:262] == b"ustar":
        raise _is("a tar archive", "unpack it, or compress the table by gzip")
    if JSON_START.match(head) and not re.match(rb"\[[^\[\]\n]{1,80}\][,;\t]", head):
        by_line = re.match(rb"\s*\{[^\n]*\}\s*\n\s*\{", head)
        cure = WITH_PANDAS.format("read_json")
        raise _is("JSON", cure.replace("('FILE')", "('FILE', lines=True)") if by_line else cure)
    if MARKUP_START.match(head):
        raise _is("HTML or XML", SAVE_AS)
    if SPARSE_ROW.match(head):
        raise _is("of sparse rows (svmlight)", "read it by `sklearn.datasets.load_svmlight_file`, and write it as .npz")


def refuse_zipped(names: list[str]) -> None:
    """Raise `BadInput` on `data.file` if the names in an archive show that it is a document."""
    for name, kind in ZIPPED.items():
        if any(each == name or each.endswith(f"/{name}") for each in names):
            excel = "Excel" in kind or "sheet" in kind
            raise _is(kind, WITH_PANDAS.format("read_excel") if excel else "this is for tables")


def _is(kind: str, cure: str) -> BadInput:
    return BadInput("data.file", f"must be a table (CSV, ARFF, Parquet or .npz), got what is {kind}; {cure}.")
