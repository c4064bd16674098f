"""Laws of what is sent to a trainer: jobs of a few kilobytes, and each dataset once."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sweep.candidate import Candidate
from sweep.data.preparation import Layout
from sweep.data.rows import named
from sweep.data.table import Dataset, Split
from sweep.engines.spec import Job, Shape, TrainingSpec
from sweep.execution.worker import DatasetFile, JobReader, JobWriter


def written(job: Job, datasets: DatasetFile, known: TrainingSpec | None = None) -> bytes:
    content = io.BytesIO()
    JobWriter(content, datasets, known).dump(job)
    return content.getvalue()


def test_a_job_is_read_as_it_was_written(
    small: TrainingSpec, resplits: list[Split], candidates: list[Candidate]
) -> None:
    datasets = DatasetFile()
    with datasets.file:
        reader = JobReader(datasets.file.fileno())
        for split in resplits:
            job = Job(replace(small, split=split), tuple(candidates), (3, 4), Shape(16, 2))
            read = reader.read(written(job, datasets))
            assert isinstance(read, Job)
            assert replace(read, spec=job.spec) == job
            assert read.spec.is_resplit_of(job.spec)
            for name in ("train_inputs", "train_targets", "validation_inputs", "validation_targets"):
                ours, theirs = getattr(split, name), getattr(read.spec.split, name)
                assert np.array_equal(ours, theirs)
                assert ours.dtype == theirs.dtype
            again = reader.read(written(job, datasets, known=job.spec))
            assert again.spec is read.spec


def test_datasets_are_written_once_and_the_last_one_is_kept(small: TrainingSpec, candidates: list[Candidate]) -> None:
    datasets, job = DatasetFile(), Job(small, tuple(candidates), (0,), Shape(16, 2))
    images = Dataset.of_arrays(
        np.arange(48, dtype=np.float32).reshape(3, 4, 4), np.array([0, 1, 0], np.int32), ("a", "b"), "1"
    )
    rows = np.arange(2, dtype=np.int32)
    other = replace(job, spec=replace(small, split=Split.of(images, rows, rows)))
    with datasets.file:
        reader, sizes = JobReader(datasets.file.fileno()), []
        for sent in (job, other, job, other):
            read = reader.read(written(sent, datasets)).spec.split.dataset
            assert np.array_equal(read.values, sent.spec.split.dataset.values)
            assert (read.classes, read.sha256) == (sent.spec.split.dataset.classes, sent.spec.split.dataset.sha256)
            sizes.append(datasets.file.seek(0, 2))
        first = reader.read(written(other, datasets)).spec.split.dataset
        assert first is reader.read(written(other, datasets)).spec.split.dataset
    assert sizes[0] < sizes[1] == sizes[2] == sizes[3]


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.float32, np.float64])
def test_values_keep_their_type(small: TrainingSpec, candidates: list[Candidate], kind: Any) -> None:
    values = np.arange(45).reshape(5, 3, 3).astype(kind)
    dataset = Dataset(values, np.arange(5, dtype=np.int32), tuple("abcde"), Layout())
    rows, datasets = np.arange(5, dtype=np.int32), DatasetFile()
    job = Job(replace(small, split=Split.of(dataset, rows, rows)), tuple(candidates), (0,), Shape(16, 2))
    with datasets.file:
        read = JobReader(datasets.file.fileno()).read(written(job, datasets)).spec.split.dataset
        assert (read.values.dtype, read.values.shape) == (kind, (5, 3, 3))
        assert np.array_equal(read.values, values)
        assert datasets.file.seek(0, 2) < values.nbytes + 8 * 5 + 1000


def test_the_digest_is_that_of_the_arrays(small: TrainingSpec) -> None:
    dataset = small.split.dataset
    assert dataset.digest == replace(dataset, values=dataset.values.copy(), sha256="of another file").digest
    others: dict[str, Any] = {
        "values": dataset.values + 1,
        "targets": 1 - dataset.targets,
        "classes": ("a", "b"),
    }
    assert len({dataset.digest, *(replace(dataset, **{key: value}).digest for key, value in others.items())}) == 4


def test_a_job_of_the_length_of_mnist_is_small(small: TrainingSpec, candidates: list[Candidate]) -> None:
    """Its tables would have 96 MB, its rows 188 MB."""
    images = Dataset.of_arrays(
        np.zeros((60_000, 784), np.float32), np.arange(60_000, dtype=np.int32) % 10, tuple("0123456789"), ""
    )
    rows = np.arange(60_000, dtype=np.int32)
    spec = replace(small, split=Split.of(images, rows[:50_000], rows[50_000:]), epochs=100, batch_size=32)
    job, datasets = Job(spec, tuple(candidates * 7)[:64], (0, 1), Shape(64, 2)), DatasetFile()
    with datasets.file:
        assert len(written(job, datasets)) < 300_000  # mostly indices, once for each re-split
        assert len(written(job, datasets, known=spec)) < 40_000


def test_several_inputs_are_read_as_they_were_written(small: TrainingSpec, candidates: list[Candidate]) -> None:
    values = {
        "image": np.arange(27, dtype=np.uint8).reshape(3, 3, 3),
        "words": np.arange(6, dtype=np.int32).reshape(3, 2),
        "age": np.array([[1.5], [2.5], [3.5]], np.float32),
    }
    rows, datasets = np.arange(2, dtype=np.int32), DatasetFile()
    with datasets.file:
        reader = JobReader(datasets.file.fileno())
        for given in (values, tuple(values.values())):
            dataset = Dataset(given, np.array([0.5, 1.5, 2.5]), (), Layout())
            job = Job(replace(small, split=Split.of(dataset, rows, rows)), tuple(candidates), (0,), Shape(16, 2))
            read = reader.read(written(job, datasets)).spec.split.dataset
            assert type(read.values) is type(given)
            assert np.array_equal(read.targets, dataset.targets)
            for (name, ours), theirs in zip(named(given).items(), named(read.values).values(), strict=True):
                assert np.array_equal(ours, theirs), name
                assert ours.dtype == theirs.dtype


def test_a_dataset_that_is_kept_has_its_values_in_the_file(small: TrainingSpec) -> None:
    datasets, dataset = DatasetFile(), small.split.dataset
    with datasets.file:
        kept = datasets.kept(dataset)
        assert np.array_equal(kept.values, dataset.values)
        assert not kept.values.flags.owndata
        assert not kept.values.flags.writeable
        size = datasets.file.seek(0, 2)
        datasets.place(kept)
        assert datasets.file.seek(0, 2) == size
