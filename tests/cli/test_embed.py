"""`clickstream embed`: vectors of a file of items, also after a kill, and however many there are."""

import json
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from support.scripted_models import DIMENSIONS, ScriptedModels, serving_models, vector_of
from support.servers import wait_for

from clickstream.cli import embedding, vector_files
from clickstream.cli.commands import main
from clickstream.cli.exit_codes import ExitCode
from clickstream.client.admin import AdminClient


@pytest.fixture
def models() -> ScriptedModels:
    """The service."""
    return ScriptedModels()


@pytest.fixture
def address(models: ScriptedModels) -> Iterator[str]:
    """Where it listens."""
    with serving_models(models) as address:
        yield address


@pytest.fixture
def embed(address: str, tmp_path: Path) -> Callable[..., Result]:
    """Embeds the items of `items.jsonl` into a file of this folder."""

    def run(out: str, *more: str) -> Result:
        words = ["embed", "--file", str(tmp_path / "items.jsonl"), "--out", str(tmp_path / out)]
        return CliRunner().invoke(main, [*words, "--address", address, *more])

    return run


def write_items(folder: Path, *lines: object) -> None:
    """Writes the lines of the file; what is no text becomes JSON."""
    (folder / "items.jsonl").write_text(
        "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
    )


def items(count: int) -> list[dict[str, object]]:
    """Items `item-0`, `item-1` and so on, with a title and a brand; every fiftieth has no text."""
    return [
        {"object_id": f"item-{n}"} | ({"title": f"shoe {n}", "brand": "Halden"} if n % 50 else {}) for n in range(count)
    ]


def rows_of(path: Path) -> dict[str, list[float]]:
    """Id → vector of a .npy file and its ids."""
    content = path.read_bytes()
    assert content[:8] == b"\x93NUMPY\x01\x00"
    begin = 10 + int.from_bytes(content[8:10], "little")
    described = eval(content[10:begin])
    rows, dimensions = described["shape"]
    assert (described["descr"], described["fortran_order"], begin % 64) == ("<f4", False, 0)
    values = struct.unpack(f"<{rows * dimensions}f", content[begin:])
    ids = [json.loads(line)["object_id"] for line in path.with_suffix(".ids.jsonl").read_text().splitlines()]
    vectors = [list(values[row * dimensions : (row + 1) * dimensions]) for row in range(rows)]
    return dict(zip(ids, vectors, strict=True))


def test_each_item_has_its_vector(models: ScriptedModels, embed: Callable[..., Result], tmp_path: Path) -> None:
    """The text comes from the template of the version's training; version and template are in the metadata."""
    write_items(tmp_path, {"object_id": "a", "title": "red shoe", "brand": "Halden"}, {"object_id": 7, "title": "hat"})
    result = embed("vectors.npy")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"2 vectors of {DIMENSIONS} dimensions by version-1 are in ")
    assert models.texts == [["red shoe by Halden", "hat"]]
    found = rows_of(tmp_path / "vectors.npy")
    assert list(found) == ["a", "7"]
    assert found["a"] == pytest.approx(vector_of("red shoe by Halden"))
    assert json.loads((tmp_path / "vectors.json").read_text()) == {
        "model_version_id": "version-1",
        "item_template": "{title} by {brand}",
        "kind": "item",
        "rows": 2,
        "dimensions": DIMENSIONS,
        "items_without_text": 0,
        "bad_lines": 0,
    }
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"items.jsonl", "vectors.npy", "vectors.json", "vectors.ids.jsonl"}


def test_numpy_maps_the_file_into_memory(torch_installed: None, embed: Callable[..., Result], tmp_path: Path) -> None:
    """The .npy file is one for numpy, which can search it without reading it whole."""
    import numpy

    write_items(tmp_path, *items(1_000))
    embed("vectors.npy")
    vectors = numpy.load(tmp_path / "vectors.npy", mmap_mode="r")
    assert (vectors.shape, vectors.dtype) == ((980, DIMENSIONS), numpy.float32)
    assert vectors[0] == pytest.approx(vector_of("shoe 1 by Halden"))


def test_parquet_has_ids_vectors_and_metadata(embed: Callable[..., Result], tmp_path: Path) -> None:
    """One file, in row groups, with the same rows as the .npy file."""
    write_items(tmp_path, *items(20_000))
    assert embed("vectors.npy").exit_code == embed("vectors.parquet").exit_code == ExitCode.PARTLY_DONE
    file = pyarrow.parquet.ParquetFile(tmp_path / "vectors.parquet")
    assert file.num_row_groups == 3
    rows = file.read().to_pylist()
    assert {row["object_id"]: row["vector"] for row in rows} == rows_of(tmp_path / "vectors.npy")
    assert file.schema_arrow.metadata[b"model_version_id"] == b"version-1"
    assert file.schema_arrow.metadata[b"item_template"] == b"{title} by {brand}"
    assert not list(tmp_path.glob("vectors.parquet.*"))


def test_what_is_no_item_is_named_and_left_out(embed: Callable[..., Result], tmp_path: Path) -> None:
    """Bad lines are named by number, items without text are counted: exit code 3, and the others have vectors."""
    write_items(
        tmp_path,
        {"object_id": "a", "title": "hat"},
        "{not json",
        "",
        {"title": "no id"},
        {"object_id": "", "title": "empty id"},
        {"object_id": True, "title": "an id that is a flag"},
        {"object_id": "b", "brand": " "},
        '{"object_id": "half", "title": "\\ud800"}',
        "[1]",
        {"object_id": "c", "title": "coat"},
    )
    result = embed("vectors.npy")
    assert result.exit_code == ExitCode.PARTLY_DONE
    named = [int(line.split()[1]) for line in result.stderr.splitlines() if line.startswith("line ")]
    assert named == [2, 4, 5, 6, 8, 9]
    assert "left out: 1 without text, 6 lines that are not items" in result.stderr
    assert list(rows_of(tmp_path / "vectors.npy")) == ["a", "c"]


def test_a_file_without_an_item_makes_no_vectors(embed: Callable[..., Result], tmp_path: Path) -> None:
    """If nothing can be embedded the exit code is 1, and no file appears."""
    for lines in ([], ["nonsense"], [{"object_id": "a"}]):
        write_items(tmp_path, *lines)
        assert embed("vectors.npy").exit_code == ExitCode.FAILED
        assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]


def test_template_and_id_field_can_be_named(
    models: ScriptedModels, embed: Callable[..., Result], tmp_path: Path
) -> None:
    """Both options overrule the defaults; a long text is cut at what one call takes."""
    write_items(tmp_path, {"sku": "a", "name": {"de": "Hut"}}, {"sku": "b", "name": {"de": "x" * 10_000}})
    assert embed("vectors.npy", "--template", "{name.de}", "--id-field", "sku").exit_code == 0
    assert models.texts == [["Hut", "x" * 8_192]]


@pytest.mark.parametrize("characters", [1, 8_192])
def test_calls_stay_within_their_limits(
    models: ScriptedModels, embed: Callable[..., Result], tmp_path: Path, characters: int
) -> None:
    """A call has at most 256 texts, and at most 4 MiB of them."""
    write_items(tmp_path, *({"object_id": str(n), "title": "é" * characters} for n in range(600)))
    assert embed("vectors.npy").exit_code == 0
    assert sum(map(len, models.texts)) == 600
    assert max(map(len, models.texts)) <= 256
    assert max(sum(len(text.encode()) for text in texts) for texts in models.texts) <= 4 * 2**20


@pytest.mark.parametrize("out", ["vectors.npy", "vectors.parquet"])
def test_a_killed_embed_goes_on_and_makes_the_same_bytes(
    models: ScriptedModels, address: str, embed: Callable[..., Result], tmp_path: Path, out: str
) -> None:
    """After kill -9 the same command embeds only what is missing, and the files are those of a run without a break."""
    write_items(tmp_path, *items(5_000))
    assert embed(f"whole-{out}").exit_code == ExitCode.PARTLY_DONE
    whole = list(models.texts)
    models.texts.clear()
    models.answers = 12
    words = ["embed", "--file", str(tmp_path / "items.jsonl"), "--out", str(tmp_path / out), "--address", address]
    script = (
        "import sys; from clickstream.cli import embedding, vector_files\n"
        "from clickstream.cli.commands import main\n"
        "vector_files.CHECKPOINT_SECONDS = 0\n"
        "main(sys.argv[1:])"
    )
    with subprocess.Popen([sys.executable, "-c", script, *words]) as process:
        try:
            assert models.stopped.wait(30)
            wait_for((tmp_path / f"{out}.partial.json").exists)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / out).exists()
    for name in (f"{out}.partial", f"{out}.partial.ids"):  # what was written behind the last checkpoint
        with (tmp_path / name).open("ab") as file:
            file.write(b"half a row")
    before = len(models.texts)
    models.go_on()
    result = embed(out)
    assert result.exit_code == ExitCode.PARTLY_DONE
    assert "going on after" in result.stderr
    again = models.texts[before:]
    assert len(again) < len(whole)
    assert all(texts in whole for texts in again)
    for suffix in (".npy", ".json", ".ids.jsonl", ".parquet"):
        one, other = (tmp_path / name for name in (f"whole-{Path(out).stem}{suffix}", f"{Path(out).stem}{suffix}"))
        assert one.exists() == other.exists()
        assert not one.exists() or one.read_bytes() == other.read_bytes()
    assert not list(tmp_path.glob("*.partial*"))


def test_what_lies_there_of_other_items_is_not_gone_on_with(
    models: ScriptedModels, embed: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another file, version or template begins anew: vectors of two versions never stand in one file."""
    write_items(tmp_path, *items(600))
    monkeypatch.setattr(vector_files.Partial, "finish", interrupted)
    assert embed("vectors.npy").exit_code == ExitCode.INTERRUPTED
    monkeypatch.undo()
    models.texts.clear()
    assert embed("vectors.npy", "--template", "{title}").exit_code == ExitCode.PARTLY_DONE
    assert sum(map(len, models.texts)) == 588
    assert json.loads((tmp_path / "vectors.json").read_text())["item_template"] == "{title}"


def test_what_another_source_left_is_never_taken_for_ones_own(
    embed: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill of one source's command, then of another's, leaves no rows of the second for the first to go on with."""
    write_items(tmp_path, *items(600))
    embed("whole.npy")
    monkeypatch.setattr(vector_files.Partial, "finish", interrupted)
    assert embed("vectors.npy").exit_code == ExitCode.INTERRUPTED
    with monkeypatch.context() as killed:
        killed.setattr(vector_files.Partial, "_checkpoint", interrupted)  # as if killed before the first checkpoint
        assert embed("vectors.npy", "--template", "{title}").exit_code == ExitCode.INTERRUPTED
    monkeypatch.undo()
    assert embed("vectors.npy").exit_code == ExitCode.PARTLY_DONE
    assert (tmp_path / "vectors.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_items_that_change_meanwhile_make_no_vectors(
    embed: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vectors of a half old and half new file never appear: the command ends with code 2 and begins anew."""
    write_items(tmp_path, *items(600))
    append = vector_files.Partial.append

    def changed(partial: vector_files.Partial, batch: vector_files.EmbeddedBatch) -> None:
        append(partial, batch)
        write_items(tmp_path, {"object_id": "only", "title": "hat"})

    monkeypatch.setattr(vector_files.Partial, "append", changed)
    result = embed("vectors.npy")
    assert (result.exit_code, "was changed meanwhile" in result.stderr) == (ExitCode.WRONG_USE, True)
    assert not (tmp_path / "vectors.npy").exists()
    monkeypatch.undo()
    assert embed("vectors.npy").exit_code == 0
    assert list(rows_of(tmp_path / "vectors.npy")) == ["only"]


@pytest.mark.parametrize("name", ["vectors.json", "vectors.ids.jsonl", "vectors.npy"])
def test_the_items_are_never_overwritten(address: str, tmp_path: Path, name: str) -> None:
    """A result of which one file would take the place of the items is refused, and the items stay."""
    (tmp_path / name).write_text('{"object_id": "a", "title": "hat"}\n')
    words = ["embed", "--file", str(tmp_path / name), "--out", str(tmp_path / "vectors.npy"), "--address", address]
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, "would overwrite" in result.stderr) == (ExitCode.WRONG_USE, True)
    assert (tmp_path / name).read_text() == '{"object_id": "a", "title": "hat"}\n'


def test_a_full_disk_is_one_line_and_the_command_goes_on_later(
    embed: Callable[..., Result], tmp_path: Path, small_disk: Path
) -> None:
    """Without space the command ends with code 2 and a line that says so; with space it goes on."""
    write_items(tmp_path, *items(600))
    embed("whole.npy")
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 48_000)
    result = embed(f"{small_disk.name}/vectors.npy")
    assert result.exit_code == ExitCode.WRONG_USE
    assert result.stderr.splitlines()[-1].endswith("No space left on device")
    filler.unlink()
    assert embed(f"{small_disk.name}/vectors.npy").exit_code == ExitCode.PARTLY_DONE
    assert (small_disk / "vectors.npy").read_bytes() == (tmp_path / "whole.npy").read_bytes()


def test_a_folder_that_cannot_be_is_one_line(embed: Callable[..., Result], tmp_path: Path) -> None:
    """A file in the place of the folder of --out ends the command with code 2 and one line."""
    write_items(tmp_path, *items(3))
    result = embed("items.jsonl/vectors.npy")
    assert (result.exit_code, len(result.stderr.splitlines())) == (ExitCode.WRONG_USE, 1)


def interrupted(*_: object) -> None:
    """Ctrl-C just before the result appears."""
    raise KeyboardInterrupt


def test_an_older_result_is_replaced(embed: Callable[..., Result], tmp_path: Path) -> None:
    """The result of another catalogue goes, with its ids."""
    write_items(tmp_path, *items(600))
    embed("vectors.npy")
    write_items(tmp_path, {"object_id": "only", "title": "hat"})
    assert embed("vectors.npy").exit_code == 0
    assert list(rows_of(tmp_path / "vectors.npy")) == ["only"]


def test_a_wrong_use_is_code_2(embed: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another suffix, a malformed template, and Parquet without pyarrow are refused in words."""
    write_items(tmp_path, *items(3))
    assert embed("vectors.csv").exit_code == ExitCode.WRONG_USE
    assert embed("vectors.npy", "--template", "no part").exit_code == ExitCode.WRONG_USE
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = embed("vectors.parquet")
    assert result.exit_code == ExitCode.WRONG_USE
    assert "pip install 'clickstream[parquet]'" in result.stderr


def test_an_unknown_version_is_refused(embed: Callable[..., Result], tmp_path: Path) -> None:
    """Exit code 5, and nothing is written."""
    write_items(tmp_path, *items(3))
    assert embed("vectors.npy", "--model-version", "never").exit_code == ExitCode.REFUSED
    assert [path.name for path in tmp_path.iterdir()] == ["items.jsonl"]


def test_a_few_batches_are_read_ahead(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first vectors come after four batches are read, however many there are: a slow server fills no memory."""
    write_items(tmp_path, *items(5_000))
    read = []
    batches = embedding._batches

    def counted(*arguments: object) -> Iterator[object]:
        for batch in batches(*arguments):
            read.append(batch)
            yield batch

    monkeypatch.setattr(embedding, "_batches", counted)
    source = vector_files.Source.of(tmp_path / "items.jsonl", "version-1", "{title}", "object_id")
    with grpc.insecure_channel(address) as channel:
        results = embedding.embedded(AdminClient(channel), source, 0, 0)
        assert len(next(results).ids) == 256
        assert len(read) == embedding.IN_FLIGHT
        assert sum(len(result.ids) for result in results) == 4_900 - 256


def test_memory_does_not_grow_with_the_items(address: str, tmp_path: Path) -> None:
    """Ten times as many items take the same memory, within 8 MiB; kept in memory, their texts would take 25 MB."""
    script = (
        "import re, sys; from clickstream.cli.commands import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: print(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])"
    )
    peaks = []
    for count in (5_000, 50_000):
        write_items(tmp_path, *(item | {"title": "shoe " * 100} for item in items(count)))
        words = ["embed", "--file", str(tmp_path / "items.jsonl"), "--out", str(tmp_path / f"{count}.npy")]
        command = [sys.executable, "-c", script, *words, "--address", address]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert ran.returncode == ExitCode.DONE, ran.stderr
        peaks.append(int(ran.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 8 * 1024, peaks
