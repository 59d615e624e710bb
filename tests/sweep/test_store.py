"""Results on disk: whole or not there."""

import math
import threading
import time

import pytest

from brainalign.errors import BrainalignError
from brainalign.sweep.folder import alone_in, check_folder, claim_folder
from brainalign.sweep.store import Store
from brainalign.sweep.times import Times

KEY = "ab" * 32


def test_a_result_comes_back_as_it_was(tmp_path):
    store = Store(tmp_path)
    store.write(KEY, {"rows": [["ä", 0.1 + 0.2, float("nan"), -1]]})
    row = store.read(KEY)["rows"][0]
    assert row[:2] == ["ä", 0.1 + 0.2]
    assert math.isnan(row[2])
    assert store.scan() == ({KEY: store.digest(KEY)}, [])


@pytest.mark.parametrize("length", [0, 10, 64, 65, 70, -1])
def test_a_result_that_was_cut_short_is_none(tmp_path, length):
    store = Store(tmp_path)
    store.write(KEY, {"rows": [[1, 2, 3]]})
    whole = store.path(KEY).read_bytes()
    store.path(KEY).write_bytes(whole[:length])
    assert store.read(KEY) is None
    assert store.scan() == ({}, [KEY])


def test_a_result_that_was_changed_is_none(tmp_path):
    store = Store(tmp_path)
    store.write(KEY, {"rows": [[1, 2, 3]]})
    whole = store.path(KEY).read_bytes()
    store.path(KEY).write_bytes(whole.replace(b"2", b"5"))
    assert store.digest(KEY) is None


def test_half_written_files_are_swept_up(tmp_path):
    store = Store(tmp_path)
    store.write(KEY, {})
    (store.path(KEY).parent / ".part-1.json").touch()
    assert list(store.scan()[0]) == [KEY]
    store.sweep_up()
    assert [path.name for path in store.path(KEY).parent.iterdir()] == [f"{KEY}.json"]


def test_a_folder_of_another_experiment_is_refused(tmp_path):
    folder = tmp_path / "folder"
    check_folder(folder, "one")
    folder.mkdir()
    (folder / ".lock").touch()
    check_folder(folder, "one")
    claim_folder(folder, 'name = "one"\n')
    check_folder(folder, "one")
    with pytest.raises(BrainalignError, match="holds the experiment 'one', not 'two'"):
        check_folder(folder, "two")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BrainalignError, match="thesis.tex"):
        check_folder(tmp_path, "one")
    with pytest.raises(BrainalignError, match="is a file"):
        check_folder(tmp_path / "thesis.tex", "one")


def test_the_second_run_waits_for_the_first(tmp_path):
    order, said = [], []

    def second():
        with alone_in(tmp_path, said.append):
            order.append("second")

    with alone_in(tmp_path, said.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert "waits" in said[0]


def test_times_survive_a_line_that_was_cut_short(tmp_path):
    times = Times(tmp_path)
    assert times.means() == ({}, 0)
    times.add("run", 2.0, 100)
    times.add("run", 4.0, 300)
    with times.path.open("a") as file:
        file.write("run,9")
    assert times.means() == ({"run": 3.0}, 300)
