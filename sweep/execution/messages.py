"""Jobs on their way to trainer processes: a few kilobytes each, since rows and specs are sent once.

Datasets go into one unnamed file that all trainers map into memory, so that they share one copy, and nothing is left
behind when a process is killed.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import tempfile
from typing import Any, NamedTuple

import numpy as np

from sweep.data.table import Dataset
from sweep.engines.spec import Job, TrainingSpec

SPEC = "the spec of the job before"


class Place(NamedTuple):
    """Where a dataset lies in the file: its inputs, and right behind them its targets."""

    offset: int
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    sha256: str


class DatasetFile:
    """The file of one pool, which writes each dataset once."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the pool
        self._places: dict[str, Place] = {}

    def place(self, dataset: Dataset) -> Place:
        """Return where `dataset` lies, written if it is new."""
        if dataset.digest not in self._places:
            end = self.file.seek(0, os.SEEK_END)
            offset = -(-end // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
            self.file.seek(offset)
            self.file.write(np.ascontiguousarray(dataset.inputs, np.float32).data)
            self.file.write(np.ascontiguousarray(dataset.targets, np.int32).data)
            self.file.flush()
            self._places[dataset.digest] = Place(offset, dataset.inputs.shape, dataset.classes, dataset.sha256)
        return self._places[dataset.digest]


class JobWriter(pickle.Pickler):
    """Writes one job for a trainer that has the spec `known` already."""

    def __init__(self, content: io.BytesIO, datasets: DatasetFile, known: TrainingSpec | None) -> None:
        super().__init__(content, pickle.HIGHEST_PROTOCOL)
        self._datasets, self._known = datasets, known

    def persistent_id(self, value: Any) -> Any:
        """Name what is not to be written."""
        if isinstance(value, Dataset):
            return self._datasets.place(value)
        return SPEC if isinstance(value, TrainingSpec) and value is self._known else None


class JobReader:
    """Reads the jobs of one trainer, in their order; it keeps the last spec and the last dataset."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._spec: TrainingSpec | None = None
        self._dataset: tuple[Place, Dataset] | None = None

    def read(self, content: bytes) -> Job:
        """Return the job that `JobWriter` wrote."""
        reader = self

        class Unpickler(pickle.Unpickler):
            def persistent_load(self, name: Any) -> Any:
                return reader._spec if name == SPEC else reader._load(name)

        job: Job = Unpickler(io.BytesIO(content)).load()
        self._spec = job.spec
        return job

    def _load(self, place: Place) -> Dataset:
        if self._dataset is None or self._dataset[0] != place:
            rows, size = place.shape[0], int(np.prod(place.shape))
            file = mmap.mmap(self._descriptor, 4 * (size + rows), access=mmap.ACCESS_READ, offset=place.offset)
            inputs = np.frombuffer(file, np.float32, size).reshape(place.shape)
            targets = np.frombuffer(file, np.int32, rows, offset=4 * size)
            self._dataset = (place, Dataset(inputs, targets, place.classes, place.sha256))
        return self._dataset[1]
