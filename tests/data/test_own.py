"""Bring your own: every kind of file says the same, and every mistake is answered clearly."""

import json
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from brainalign.data.array_files import read_matrix, read_table
from brainalign.data.load import load_recording
from brainalign.data.recording import Provenance
from brainalign.errors import CardError

IDS = [f"im{number:02d}" for number in range(12)]
COUNTS = np.random.default_rng(0).poisson(5, size=(12, 7, 3)).astype(float)
COUNTS[2, 3, 1] = np.nan
MEANS = np.random.default_rng(1).normal(size=(12, 7))
RDMS = np.stack([1 - np.corrcoef(each) for each in np.random.default_rng(2).normal(size=(3, 12, 5))])


class Study:
    """A folder with images and a card."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / "images").mkdir(parents=True)
        for number, stimulus in enumerate(IDS):
            pixels = np.full((8, 8, 3), number, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "images" / f"{stimulus}.png")
        self.stimuli = '[stimuli]\nimages = "images"\ndegrees = 8.0\n'

    def load(self, regions: str):
        (self.folder / "card.toml").write_text(f'name = "own"\n{self.stimuli}\n{regions}')
        return load_recording(self.folder / "card.toml")

    def responses(self, file: str, more: str = ""):
        return self.load(f'[regions.V4]\nresponses = "{file}"\n{more}')["V4"]

    def rdms(self, file: str, more: str = 'subjects = ["a", "b", "c"]'):
        return self.load(f'[regions.IT]\nrdms = "{file}"\n{more}')["IT"]

    def write(self, file: str, array) -> None:
        """Write an array as its suffix says."""
        path = self.folder / file
        if isinstance(array, pd.DataFrame):
            array.to_csv(path)
        elif isinstance(array, xr.DataArray) and path.suffix == ".zarr":
            with warnings.catch_warnings(action="ignore"):
                array.to_zarr(path)
        elif isinstance(array, xr.DataArray):
            array.to_netcdf(path)
        elif isinstance(array, str):
            path.write_text(array)
        else:
            np.save(path, array)


@pytest.fixture
def study(tmp_path) -> Study:
    return Study(tmp_path / "study")


def frame(values: np.ndarray, ids=IDS, columns=None) -> pd.DataFrame:
    columns = columns or [f"unit{number}" for number in range(values.shape[1])]
    return pd.DataFrame(values, index=pd.Index(ids, name="stimulus"), columns=columns)


def labelled(values: np.ndarray, dims=("stimulus", "unit"), **coords) -> xr.DataArray:
    return xr.DataArray(values, dims=dims, coords={"stimulus": IDS, **coords}, name="v4")


# What loads


def test_npy_in_the_order_of_the_images(study):
    study.write("v4.npy", MEANS)
    recording = study.load('[regions.V4]\nresponses = "v4.npy"\nsubject = "m1"')
    assert recording.name == "own"
    assert recording["V4"].dims == ("stimulus", "unit")
    assert recording["V4"]["stimulus"].values.tolist() == IDS
    assert set(recording["V4"]["subject"].values) == {"m1"}
    assert set(recording["V4"]["region"].values) == {"V4"}
    np.testing.assert_array_equal(recording["V4"].values, MEANS)
    assert recording.stimuli.ids == IDS
    assert recording.stimuli.degrees == 8.0
    assert recording.stimuli.image("im05").getpixel((0, 0)) == (5, 5, 5)


def test_card_gives_the_provenance(study):
    study.write("v4.npy", MEANS)
    study.stimuli = 'species = "macaque"\nsimulated = true\nlicence = "CC0-1.0"\n' + study.stimuli
    recording = study.load('[regions.V4]\nresponses = "v4.npy"')
    assert recording.provenance == Provenance("macaque", "", "", "CC0-1.0", True)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_dims_in_the_order_of_the_array(order, study):
    dims = [("stimulus", "unit", "repeat")[axis] for axis in order]
    study.write("v4.npy", COUNTS.transpose(order))
    responses = study.responses("v4.npy", f"dims = {dims}")
    assert responses.dims == ("stimulus", "unit", "repeat")
    np.testing.assert_array_equal(responses.values, COUNTS)


def test_time_is_in_seconds(study):
    study.write("v4.npy", COUNTS)
    responses = study.responses("v4.npy", 'dims = ["stimulus", "unit", "time"]\ntime = [0.05, 0.1, 0.15]')
    assert responses["time"].values.tolist() == [0.05, 0.1, 0.15]


def test_trials_name_their_stimuli_in_a_table(study):
    shown = ["im03", "im01", "im03"]
    study.write("trials.npy", MEANS[:3])
    study.write("trials.csv", pd.DataFrame({"trial": [1, 2, 3], "stimulus": shown}).set_index("trial"))
    responses = study.responses("trials.npy", 'dims = ["trial", "unit"]\nstimuli = "trials.csv"')
    assert responses["stimulus"].dims == ("trial",)
    assert responses["stimulus"].values.tolist() == shown


def test_order_of_the_rows_in_a_table(study):
    study.write("v4.npy", MEANS[:4])
    study.write("order.csv", "shown\nim07\nim02\nim11\nim00\n")
    responses = study.responses("v4.npy", 'stimuli = "order.csv"')
    assert responses["stimulus"].values.tolist() == ["im07", "im02", "im11", "im00"]


@pytest.mark.parametrize("suffix", [".csv", ".nc", ".zarr"])
def test_labelled_files_agree_with_npy_in_any_order(suffix, study):
    order = np.random.default_rng(3).permutation(12)
    ids = [IDS[i] for i in order]
    units = [f"unit{number}" for number in range(7)]
    if suffix == ".csv":
        study.write("v4.csv", frame(MEANS[order], ids))
    else:
        array = labelled(MEANS, unit=units).isel(stimulus=order).transpose("unit", "stimulus")
        study.write(f"v4{suffix}", array)
    responses = study.responses(f"v4{suffix}", 'subject = "m1"')
    assert responses["stimulus"].values.tolist() == ids
    assert responses["unit"].values.tolist() == units
    assert set(responses["subject"].values) == {"m1"}
    np.testing.assert_array_equal(responses.sel(stimulus=IDS).values, MEANS)


def test_netcdf_of_the_classic_kind(study):
    labelled(MEANS).to_netcdf(study.folder / "v4.nc", engine="scipy")
    np.testing.assert_array_equal(study.responses("v4.nc").values, MEANS)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_labels_in_the_file_are_kept(suffix, study):
    array = labelled(
        COUNTS,
        ("stimulus", "unit", "time"),
        time=("time", [0.0, 0.1, 0.2], {"units": "seconds"}),
        subject=("unit", list("aabbbcc")),
        depth=("unit", np.arange(7.0)),
        region=("unit", ["V1", "V4", "V4", "V1", "V4", "V4", "V4"]),
    )
    study.write(f"all{suffix}", array)
    responses = study.responses(f"all{suffix}", 'subject = "nobody"')
    assert responses["subject"].values.tolist() == list("abbcc")
    assert responses["depth"].values.tolist() == [1.0, 2.0, 4.0, 5.0, 6.0]
    assert responses["time"].values.tolist() == [0.0, 0.1, 0.2]
    np.testing.assert_array_equal(responses.values, COUNTS[:, [1, 2, 4, 5, 6]])


def test_whole_numbers_in_a_file_become_ids(study):
    study.stimuli = ""
    study.write("v4.nc", labelled(MEANS).assign_coords(stimulus=np.arange(1, 13)))
    assert study.responses("v4.nc")["stimulus"].values.tolist() == [str(i) for i in range(1, 13)]


def test_ids_in_a_table_stay_text(study):
    study.stimuli = ""
    text = "stimulus,u1,u2\n007,1,2\nNA,,4\n1e3,5,6\n"
    (study.folder / "v4.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    responses = study.responses("v4.csv")
    assert responses["stimulus"].values.tolist() == ["007", "NA", "1e3"]
    np.testing.assert_array_equal(responses.values, [[1, 2], [np.nan, 4], [5, 6]])


def test_numbers_in_a_table_are_exact(study):
    study.write("v4.csv", frame(MEANS * 1e-7))
    np.testing.assert_array_equal(study.responses("v4.csv").values, MEANS * 1e-7)


def test_units_table(study):
    study.write("v4.npy", MEANS)
    study.write(
        "units.csv", "unit,subject,depth,layer\n" + "\n".join(f"{i},{i % 2},{i / 2},L{i}" for i in range(7))
    )
    responses = study.responses("v4.npy", 'units = "units.csv"')
    assert responses["unit"].values.tolist() == list("0123456")
    assert responses["subject"].values.tolist() == list("0101010")
    assert responses["depth"].values.tolist() == [i / 2 for i in range(7)]
    assert responses["layer"].values.tolist() == [f"L{i}" for i in range(7)]


def test_units_table_goes_by_name(study):
    study.write("v4.csv", frame(MEANS))
    rows = [f"unit{number},m{number}" for number in reversed(range(7))]
    study.write("units.csv", "\n".join(["unit,subject", *rows]))
    responses = study.responses("v4.csv", 'units = "units.csv"')
    assert responses["subject"].values.tolist() == [f"m{number}" for number in range(7)]


def test_stimuli_table_names_files_and_the_order(study):
    ids = [f"s{number}" for number in reversed(range(12))]
    files = [f"im{number:02d}.png" for number in reversed(range(12))]
    table = pd.DataFrame(
        {"file": files, "category": ["face", "house"] * 6}, index=pd.Index(ids, name="stimulus")
    )
    study.write("stimuli.csv", table)
    study.write("v4.npy", MEANS)
    study.stimuli = '[stimuli]\nimages = "images"\ntable = "stimuli.csv"\n'
    recording = study.load('[regions.V4]\nresponses = "v4.npy"')
    assert recording.stimuli.ids == ids
    assert recording["V4"]["stimulus"].values.tolist() == ids
    assert recording.stimuli.metadata["category"].tolist()[:2] == ["face", "house"]
    assert recording.stimuli.image("s7").getpixel((0, 0)) == (7, 7, 7)


def test_stimuli_table_without_images(study):
    study.write("stimuli.csv", "condition,angle\nreach1,0\nreach2,45\n")
    study.write("v4.npy", MEANS[:2])
    study.stimuli = '[stimuli]\ntable = "stimuli.csv"\n'
    recording = study.load('[regions.M1]\nresponses = "v4.npy"')
    assert recording.stimuli.images is None
    assert recording["M1"]["stimulus"].values.tolist() == ["reach1", "reach2"]


def test_other_files_beside_the_images_do_no_harm(study):
    for name in ("Thumbs.db", ".DS_Store", "._im00.png", "notes.txt"):
        (study.folder / "images" / name).write_text("")
    study.write("v4.npy", MEANS)
    assert study.load('[regions.V4]\nresponses = "v4.npy"').stimuli.ids == IDS


@pytest.mark.parametrize("form", ["square", "triangles", ".nc", ".zarr", "files"])
def test_rdms_in_every_form(form, study):
    subjects = 'subjects = ["a", "b", "c"]'
    if form == "square":
        study.write("it.npy", RDMS)
        rdms = study.rdms("it.npy", subjects)
    elif form == "triangles":
        study.write("it.npy", RDMS[:, *np.triu_indices(12, 1)])
        rdms = study.rdms("it.npy", subjects)
    elif form == "files":
        order = np.random.default_rng(4).permutation(12)
        columns = [IDS[i] for i in order]
        for subject, matrix in zip("abc", RDMS, strict=True):
            study.write(f"{subject}.csv", frame(matrix[:, order], columns=columns))
        rdms = study.load(f'[regions.IT]\nrdms = ["a.csv", "b.csv", "c.csv"]\n{subjects}')["IT"]
    else:
        coords = {"subject": list("abc"), "other_stimulus": IDS}
        array = labelled(RDMS, ("subject", "stimulus", "other_stimulus"), **coords)
        array = array.isel(other_stimulus=slice(None, None, -1)).transpose(
            "other_stimulus", "stimulus", "subject"
        )
        study.write(f"it{form}", array)
        rdms = study.rdms(f"it{form}", "")
    assert rdms.dims == ("subject", "stimulus", "other_stimulus")
    assert rdms["subject"].values.tolist() == ["a", "b", "c"]
    assert rdms["other_stimulus"].values.tolist() == IDS
    np.testing.assert_allclose(rdms.values, RDMS, atol=1e-15)


@pytest.mark.parametrize("form", ["square", "triangle", ".csv", ".nc"])
def test_one_rdm_needs_no_subject(form, study):
    if form == ".csv":
        study.write("it.csv", frame(RDMS[0], columns=IDS))
    elif form == ".nc":
        study.write("it.nc", labelled(RDMS[0], ("stimulus", "other_stimulus")))
    else:
        study.write("it.npy", RDMS[0] if form == "square" else RDMS[0][np.triu_indices(12, 1)])
    rdms = study.rdms({".csv": "it.csv", ".nc": "it.nc"}.get(form, "it.npy"), "")
    assert rdms["subject"].values.tolist() == [""]
    np.testing.assert_allclose(rdms.values[0], RDMS[0], atol=1e-15)


@pytest.mark.parametrize("subjects", [["a"], ["a", "b", "c"]])
def test_three_by_three_is_one_matrix_or_three_triangles(subjects, study):
    study.write("order.csv", "stimulus\nim00\nim01\nim02\n")
    values = np.array([[0.0, 1, 2], [1, 0, 3], [2, 3, 0]])
    study.write("it.npy", values)
    rdms = study.rdms("it.npy", f'subjects = {subjects}\nstimuli = "order.csv"')
    assert rdms.sizes["subject"] == len(subjects)
    expected = values if subjects == ["a"] else np.array([[0.0, 0, 1], [0, 0, 2], [1, 2, 0]])
    np.testing.assert_array_equal(rdms.values[0], expected)


def test_repeated_visits_of_one_subject(study):
    study.write("it.npy", RDMS)
    assert study.rdms("it.npy", 'subjects = ["a", "a", "b"]')["subject"].values.tolist() == ["a", "a", "b"]


# What does not load


@pytest.mark.parametrize("file", ["v4.npy", "v4.csv", "v4.nc", "v4.zarr"])
def test_missing_file_names_the_closest(file, study):
    (study.folder / f"x{file}").write_text("")
    with pytest.raises(CardError, match=rf"there is no .*Did you mean 'x{file}'\?"):
        study.responses(file)


@pytest.mark.parametrize("file", ["v4.npy", "v4.csv", "v4.nc", "v4.zarr"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff\x93 no array", b"PK\x03\x04", b"CDF\x01", b"\x93NUMPY"])
def test_unreadable_file(file, content, study):
    (study.folder / file).write_bytes(content)
    with pytest.raises(CardError, match=rf"{file}"):
        study.responses(file)


@pytest.mark.parametrize("file", ["v4.npy", "v4.csv", "v4.nc"])
def test_folder_in_place_of_a_file(file, study):
    (study.folder / file).mkdir()
    with pytest.raises(CardError, match="cannot be read.*[Ii]s a directory"):
        study.responses(file)


@pytest.mark.parametrize("suffix", [".npy", ".nc", ".zarr"])
def test_damaged_file(suffix, study):
    path = study.folder / f"v4{suffix}"
    study.write(path.name, MEANS if suffix == ".npy" else labelled(MEANS))
    largest = max(
        (each for each in (path, *path.rglob("*")) if each.is_file()), key=lambda each: each.stat().st_size
    )
    if suffix == ".zarr":
        largest = next(each for each in (path / "v4").rglob("*") if each.is_file() and "json" not in each.name)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    with pytest.raises(CardError, match="cannot be read"):
        study.responses(path.name)


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickled_array_is_refused(study):
    sprung = study.folder / "sprung"
    np.save(study.folder / "v4.npy", np.array([Trap(sprung)], dtype=object), allow_pickle=True)
    with pytest.raises(CardError, match="cannot be read as an array of numbers.*allow_pickle"):
        study.responses("v4.npy")
    assert not sprung.exists()


def test_bare_pickle_is_refused(study):
    sprung = study.folder / "sprung"
    (study.folder / "v4.npy").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(CardError, match="cannot be read"):
        study.responses("v4.npy")
    assert not sprung.exists()


@pytest.mark.parametrize("where", ["filters", "compressor"])
def test_pickled_zarr_is_refused(where, study, monkeypatch):
    import numcodecs.pickles

    monkeypatch.setattr(numcodecs.pickles, "ALLOW_UNSAFE_PICKLE_DECODE", True, raising=False)
    sprung = study.folder / "sprung"
    array = study.folder / "v4.zarr" / "v4"
    array.mkdir(parents=True)
    (array.parent / ".zgroup").write_text('{"zarr_format": 2}')
    (array / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["stimulus"]}')
    metadata = {
        "zarr_format": 2,
        "shape": [1],
        "chunks": [1],
        "dtype": "|O",
        "order": "C",
        "fill_value": None,
        "filters": [{"id": "vlen-utf8"}] + [{"id": "pickle"}] * (where == "filters"),
        "compressor": {"id": "pickle"} if where == "compressor" else None,
    }
    (array / ".zarray").write_text(json.dumps(metadata).replace('"pickle"', '"\\u0070ickle"'))
    (array / "0").write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(CardError, match="holds pickled Python objects"):
        study.responses("v4.zarr")
    assert not sprung.exists()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([["a"] * 7] * 12), "type <U1; expected numbers"),
        (np.ones((12, 7), dtype=complex), "type complex128; expected numbers"),
        (np.ones((12, 7), dtype=bool), "type bool; expected numbers"),
        (np.full((12, 7), np.inf), "infinite values"),
        (MEANS[:11], r"shape \(11, 7\).* 12 ids for 'stimulus'.*stimuli = \"order.csv\""),
        (MEANS.T, r"shape \(7, 12\).*say in `dims`"),
        (COUNTS, r"shape \(12, 7, 3\), which cannot have .*say in `dims`"),
        (np.float64(3), r"shape \(\)"),
    ],
)
def test_array_of_the_wrong_shape_or_kind(array, message, study):
    np.save(study.folder / "v4.npy", array)
    with pytest.raises(CardError, match=message):
        study.responses("v4.npy")


def test_several_arrays_in_one_file(study):
    with (study.folder / "v4.npy").open("wb") as file:
        np.savez(file, a=MEANS, b=MEANS)
    with pytest.raises(CardError, match="holds several arrays"):
        study.responses("v4.npy")
    xr.Dataset({"a": labelled(MEANS), "b": labelled(MEANS)}).to_netcdf(study.folder / "v4.nc")
    with pytest.raises(CardError, match=r"holds 2 arrays \(a, b\)"):
        study.responses("v4.nc")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (labelled(MEANS).drop_vars("stimulus"), "no coordinate 'stimulus'"),
        (labelled(MEANS, ("stimulus", "neuron")), r"dimensions .*'neuron'.*expected one of \(stimulus, unit\)"),
        (labelled(MEANS).swap_dims(stimulus="trial").rename(trial="presentation"), "expected one of"),
        (labelled(MEANS, region="V1"), r"has units of \['V1'\] alone"),
        (labelled(MEANS).assign_coords(stimulus=np.arange(12.0)), "a stimulus 0.0; ids must be text"),
    ],
)
def test_labelled_array_that_is_no_recording(array, message, study):
    study.write("v4.nc", array)
    with pytest.raises(CardError, match=message):
        study.responses("v4.nc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stimulus;u1;u2\nim00;1;2\n", "has one column"),
        ("stimulus,u1\nim00,high\n", "the column 'u1' holds other things than numbers"),
        ("stimulus,u1\nim00,1,2\nim01,1,2\n", "cannot be read as a table"),
        ("stimulus,u1\nim00,1\nim00,2\n", "repeats 1 stimulus ids, such as 'im00'"),
        (
            "stimulus,u1\nim00,1\nelse,2\n",
            "answers 1 stimuli that its stimulus set lacks, such as 'else'.*same ids",
        ),
    ],
)
def test_table_that_is_no_recording(text, message, study):
    study.write("v4.csv", text)
    with pytest.raises(CardError, match=message):
        study.responses("v4.csv")


def test_table_of_other_dimensions(study):
    study.write("v4.csv", frame(MEANS))
    with pytest.raises(CardError, match="has a row for each stimulus or trial"):
        study.responses("v4.csv", 'dims = ["unit", "stimulus"]')


def test_text_that_is_not_unicode(study):
    (study.folder / "v4.csv").write_bytes("stimulus,u1\nim00,1\nimé,2\n".encode("latin-1"))
    with pytest.raises(CardError, match="Save it as UTF-8"):
        study.responses("v4.csv")


@pytest.mark.parametrize("file", ["v4.npy", "v4.zarr", "images/im99.png", "images", "stimuli.csv"])
def test_link_that_leads_out_of_the_folder(file, study, tmp_path):
    outside = Study(tmp_path / "outside")
    outside.write("v4.npy", MEANS)
    outside.write("v4.zarr", labelled(MEANS))
    outside.write("stimuli.csv", "stimulus\n" + "\n".join(IDS))
    study.write("v4.npy", MEANS)
    if file == "images":
        (study.folder / "images").rename(study.folder / "old")
    (study.folder / file).unlink(missing_ok=True)
    source = outside.folder / (file if file != "images/im99.png" else "images/im00.png")
    (study.folder / file).symlink_to(source)
    if file == "stimuli.csv":
        study.stimuli = '[stimuli]\ntable = "stimuli.csv"'
    with pytest.raises(CardError, match="leads out of the card's folder, to .*copy the file"):
        study.responses(file if file.startswith("v4") else "v4.npy")


def test_link_inside_a_zarr_store_that_leads_out(study, tmp_path):
    study.write("v4.zarr", labelled(MEANS))
    chunk = next(each for each in (study.folder / "v4.zarr" / "v4").rglob("*") if each.name in ("0", "0.0"))
    chunk.rename(tmp_path / "chunk")
    chunk.symlink_to(tmp_path / "chunk")
    with pytest.raises(CardError, match="leads out of the card's folder"):
        study.responses("v4.zarr")


@pytest.mark.parametrize("file", ["../secret.png", "images/../../secret.png"])
def test_table_that_names_an_image_outside(file, study, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    study.write("stimuli.csv", f"stimulus,file\nim00,{file}\n")
    study.write("v4.npy", MEANS[:1])
    study.stimuli = '[stimuli]\ntable = "stimuli.csv"'
    with pytest.raises(CardError, match="leads out of the card's folder"):
        study.responses("v4.npy")


def test_absolute_path_of_an_image_is_taken_from_the_folder(study):
    study.write("stimuli.csv", "stimulus,file\nim00,/etc/hostname\n")
    study.stimuli = '[stimuli]\ntable = "stimuli.csv"'
    with pytest.raises(CardError, match="there is no .*study/etc/hostname"):
        study.responses("v4.npy")


def test_link_within_the_folder_is_followed(study):
    study.write("data.npy", MEANS)
    (study.folder / "v4.npy").symlink_to(study.folder / "data.npy")
    np.testing.assert_array_equal(study.responses("v4.npy").values, MEANS)


def test_images_whose_order_is_a_matter_of_taste(study):
    for number in (1, 2, 10):
        (study.folder / "images" / f"im{number}.png").write_bytes(
            (study.folder / "images" / "im00.png").read_bytes()
        )
    study.write("v4.npy", np.ones((15, 3)))
    with pytest.raises(CardError, match='no order that all agree on.*`stimuli = "order.csv"`'):
        study.responses("v4.npy")
    study.write("v4.csv", frame(MEANS))
    assert study.responses("v4.csv").sizes["stimulus"] == 12


def test_rows_that_nobody_names(study):
    study.stimuli = ""
    study.write("v4.npy", MEANS)
    with pytest.raises(CardError, match='does not say which stimuli its rows are.*`stimuli = "order.csv"`'):
        study.responses("v4.npy")


@pytest.mark.parametrize(
    ("stimuli", "message"),
    [
        ('images = "pictures"', r"there is no .*pictures. .*Did you mean"),
        ('images = "v4.npy"', "is no folder of images"),
        ('images = "empty"', "holds no image"),
        ('images = "twice"', "a.jpg and a.png in .* have one id, 'a'"),
        ('images = "images"\ntable = "more.csv"', r"no image for 1 of 2 ids, such as 'im99'"),
        ('images = "images"\ntable = "files.csv"', r"there is no .*im99.png. .*Did you mean 'im\d9.png'"),
        ('table = "repeated.csv"', "repeats 1 stimulus ids, such as 'im00'"),
        ('images = "images"\ntable = "none.csv"', "there is no .*none.csv"),
    ],
)
def test_wrong_stimuli(stimuli, message, study):
    study.write("v4.npy", MEANS)
    study.write("more.csv", "stimulus\nim00\nim99\n")
    study.write("files.csv", "stimulus,file\na,im00.png\nb,im99.png\n")
    study.write("repeated.csv", "stimulus\nim00\nim00\n")
    (study.folder / "empty").mkdir()
    (study.folder / "twice").mkdir()
    Image.new("RGB", (4, 4)).save(study.folder / "twice" / "a.png")
    Image.new("RGB", (4, 4)).save(study.folder / "twice" / "a.jpg")
    study.stimuli = f"[stimuli]\n{stimuli}"
    with pytest.raises(CardError, match=message):
        study.responses("v4.npy")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("unit,subject\na,m1\n", "has 1 rows for 1 names; expected a row for each of the 7 units"),
        ("unit,subject\n" + "a,m1\n" * 7, "has 7 rows for 1 names"),
        ("unit,subject\n" + "\n".join(f"x{i},m1" for i in range(7)), "the one that the responses give it"),
        ("unit,region\n" + "\n".join(f"unit{i},V4" for i in range(7)), "cannot be called 'region'"),
    ],
)
def test_wrong_units_table(text, message, study):
    study.write("v4.csv", frame(MEANS))
    study.write("units.csv", text)
    with pytest.raises(CardError, match=message):
        study.responses("v4.csv", 'units = "units.csv"')


@pytest.mark.parametrize("dims", ["time", "repeat"])
def test_times_that_do_not_fit(dims, study):
    study.write("v4.npy", COUNTS)
    with pytest.raises(CardError, match="`time` lists 2 times"):
        study.responses("v4.npy", f'dims = ["stimulus", "unit", "{dims}"]\ntime = [0.0, 0.1]')


def changed(value: float, *index: int) -> np.ndarray:
    rdms = RDMS.copy()
    rdms[index] = value
    return rdms


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (changed(np.nan, 1, 2, 3), "subject '' holds NaN|not symmetric"),
        (changed(9.0, 1, 2, 3), "not symmetric"),
        (RDMS[:2], "there are 2 dissimilarity matrices; name the subject of each"),
        (RDMS[:, :11, :11], r"shape \(3, 11, 11\) fit neither \(3, 12, 12\) nor \(3, 66\)"),
        (RDMS[0, 0], r"shape \(1, 12\) fit neither"),
        (np.float64(3), r"shape \(1, 1\) fit neither"),
    ],
)
def test_wrong_rdms(array, message, study):
    np.save(study.folder / "it.npy", array)
    with pytest.raises(CardError, match=message):
        study.rdms("it.npy")


def test_rdms_of_nobody(study):
    study.write("it.npy", RDMS)
    with pytest.raises(CardError, match="name the subject of each in `subjects`"):
        study.rdms("it.npy", "")


def test_matrix_whose_sides_differ(study):
    study.write("it.csv", frame(RDMS[0], columns=[*IDS[:-1], "else"]))
    with pytest.raises(CardError, match=r"12 rows and 12 columns.* differ in \['else', 'im11'\]"):
        study.rdms("it.csv", "")
    study.write("it.csv", frame(RDMS[0][:, :11], columns=IDS[:11]))
    with pytest.raises(CardError, match="12 rows and 11 columns"):
        study.rdms("it.csv", "")
    study.write("it.csv", frame(RDMS[0], ids=["im00", *IDS[:-1]], columns=["im00", *IDS[:-1]]))
    with pytest.raises(CardError, match="repeats 1 stimulus ids, such as 'im00'"):
        study.rdms("it.csv", "")


def test_matrices_of_different_stimuli(study):
    study.write("a.csv", frame(RDMS[0], columns=IDS))
    study.write("b.csv", frame(RDMS[0][:11, :11], ids=IDS[:11], columns=IDS[:11]))
    with pytest.raises(CardError, match=r"a.csv and .*b.csv name different stimuli"):
        study.load('[regions.IT]\nrdms = ["a.csv", "b.csv"]\nsubjects = ["a", "b"]')


def test_rdm_file_with_other_dimensions(study):
    study.write("it.nc", labelled(RDMS[0], ("stimulus", "unit")))
    with pytest.raises(CardError, match="expected .*'other_stimulus'"):
        study.rdms("it.nc", "")


def test_read_matrix_and_table_name_rows_by_the_column_stimulus(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("u1, stimulus, u2\n1, a, 2\n3, b, 4\n")
    matrix = read_matrix(path, ["stimulus", "unit"])
    assert matrix["stimulus"].values.tolist() == ["a", "b"]
    assert matrix["unit"].values.tolist() == ["u1", "u2"]
    assert read_table(path, "u2").index.tolist() == ["2", "4"]
