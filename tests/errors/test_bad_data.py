"""Every way a data file can be wrong is a diagnostic; nothing hostile is allocated or run."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurocompile.data import (
    CODES,
    load_data,
    read_raster,
    write_nir_data,
    write_raster,
)
from neurocompile.diagnostics import CompileError
from neurocompile.ir.network import Port
from neurocompile.ir.raster import raster_from_dense

Golden = Callable[[str, str], None]
PORTS = (Port("in", "in", (3,)),)
GRID = np.zeros((2, 6, 3))


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def failure(path: str | Path = "d.npz", ports: tuple[Port, ...] = PORTS, **options: Any
            ) -> CompileError:
    with pytest.raises(CompileError) as caught:
        load_data(path, inputs=ports, **options)
    assert {item.code for item in caught.value.diagnostics} <= set(CODES)
    return caught.value


def codes(error: CompileError) -> list[str]:
    return [item.code for item in error.diagnostics]


def npz(**arrays: object) -> str:
    np.savez("d.npz", **arrays)
    return "d.npz"


def raw_npz(**members: bytes) -> str:
    with zipfile.ZipFile("d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name + ".npy", data)
    return "d.npz"


def header(text: str, data: bytes = b"") -> bytes:
    body = text.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body + data


def npy_header(descr: object, shape: object) -> str:
    return repr({"descr": descr, "fortran_order": False, "shape": shape})


def test_all_problems_of_a_file_are_reported_at_once(golden: Golden) -> None:
    ports = (Port("a", "a", (3,)), Port("b", "b", (2, 2)), Port("c", "c", (1,)),
             Port("d", "d", (2,)), Port("e", "e", (1, 2)))
    npz(a=np.full((2, 6, 3), np.nan), b=np.zeros((2, 6, 3)), x_d=np.zeros((2, 2)), d=GRID,
        e=np.zeros((2, 1, 2)), y=np.zeros(9), dt=-1.0)
    golden("bad_data.txt", str(failure(ports=ports, dt_s=1e-3)) + "\n")


def test_a_dt_other_than_the_contracts_is_refused(golden: Golden) -> None:
    golden("bad_data_dt.txt", str(failure(npz(x=GRID, dt=1e-3), dt_s=1e-4)) + "\n")


@pytest.mark.parametrize(("arrays", "options", "code"), [
    ({"x": np.zeros((2, 3))}, {}, "E610"),
    ({"x": np.zeros((2, 3))}, {"steps": 4}, "E610"),
    ({"x": np.zeros((2, 3))}, {"encode": "delta"}, "E613"),
    ({"x": GRID}, {"steps": 5}, "E612"),
    ({"x": GRID}, {"steps": 6, "encode": "rate"}, "E613"),
    ({"x": np.zeros((2, 1, 3))}, {}, "E611"),
    ({"x": np.zeros((2, 1, 3))}, {"steps": 4}, "E612"),
    ({"x": np.zeros((2, 4))}, {}, "E609"),
    ({"x": np.float64(1)}, {}, "E609"),
    ({"x": np.zeros((0, 6, 3))}, {}, "E617"),
    ({"x": np.zeros((2, 0, 3))}, {}, "E617"),
    ({"x": np.zeros((2, 6, 3)), "y": np.arange(3)}, {}, "E615"),
    ({"x": np.zeros((2, 6, 3)), "y": np.zeros((2, 2), int)}, {}, "E615"),
    ({"x": np.array([[[np.inf] * 3]])}, {"steps": 1}, "E606"),
    ({"x": np.zeros((2, 6, 3), complex)}, {}, "E605"),
    ({"x": np.array([["a"] * 3])}, {}, "E605"),
    ({"x": np.zeros((1, 2), "M8[s]")}, {}, "E605"),
    ({"x": np.zeros((1, 2), "f4,f4")}, {}, "E605"),
    ({"x": GRID, "in": GRID}, {}, "E608"),
    ({"z": GRID}, {}, "E607"),
    ({"x": GRID, "dt": np.zeros(3)}, {}, "E614"),
    ({"x": GRID}, {"limit_bytes": 100}, "E604"),
    ({"x": np.zeros((2, 3))}, {"steps": 10**6, "encode": "rate", "limit_bytes": 10**6}, "E604"),
])
def test_what_does_not_fit_is_refused(
        arrays: dict[str, object], options: dict[str, Any], code: str) -> None:
    assert codes(failure(npz(**arrays), **options)) == [code]


@pytest.mark.parametrize("options", [
    {"encode": "poisson"}, {"encode": "rate"}, {"steps": 0}, {"steps": -3}, {"seed": -1},
    {"dt_s": float("nan")}, {"delta": 0.0}])
def test_impossible_options_are_refused_before_reading(options: dict[str, Any]) -> None:
    assert codes(failure("absent.npz", **options)) == ["E614"]


def test_what_is_no_data_file_is_refused() -> None:
    Path("folder").mkdir()
    Path("empty").write_bytes(b"")
    Path("text").write_text("x = 1")
    Path("cut.npz").write_bytes(b"PK\x03\x04 and no more")
    assert codes(failure("absent")) == codes(failure("folder")) == ["E601"]
    assert codes(failure("nul\0")) == ["E601"]
    assert codes(failure("empty")) == codes(failure("text")) == ["E602"]
    assert codes(failure("cut.npz")) == ["E603"]


def test_objects_are_refused_and_never_unpickled() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path("exploded").write_text, ("now",))

    np.savez("d.npz", x=np.array([Bomb()], dtype=object))
    assert codes(failure()) == ["E605"]
    raw_npz(x=header(npy_header("|O", (1,)), pickle.dumps(Bomb())))
    assert codes(failure()) == ["E605"]
    assert not Path("exploded").exists()


@pytest.mark.parametrize("member", [
    b"", b"\x93NUMPY", b"\x93NUMPY\x09\x00\x00\x00", header("{"), header("[1]"), header("{}"),
    header("(" * 5000), header(npy_header("<f8", (-1,))), header(npy_header("<f8", [3])),
    header(npy_header("<f8", (True,))), header(npy_header("<f8", (10**18, 10**18))),
    header(npy_header("<f8", (2,)), b"\0" * 15), header(npy_header("<f8", (1,)), b"\0" * 9),
    header(npy_header("?", (1, 1, 3)), b"\x02\x01\x00"),
    header(npy_header("<f8", (0, 10**15, 10**15))),
    b"\x93NUMPY\x02\x00\xff\xff\xff\x7f",
])
def test_a_header_that_lies_is_one_diagnostic(member: bytes) -> None:
    assert codes(failure(raw_npz(x=member))) == ["E603"]


def test_a_compressed_bomb_is_refused_before_it_is_inflated() -> None:
    with zipfile.ZipFile("d.npz", "w", zipfile.ZIP_DEFLATED) as archive, \
            archive.open("x.npy", "w") as member:
        member.write(header(npy_header("<f8", (1, 2**20, 3))))
        for _ in range(24):
            member.write(b"\0" * 2**20)
    assert Path("d.npz").stat().st_size < 10**5
    assert codes(failure(limit_bytes=10**7)) == ["E604"]


def test_an_array_stored_twice_is_refused() -> None:
    buffer = io.BytesIO()
    np.save(buffer, GRID)
    with zipfile.ZipFile("d.npz", "w") as archive:
        archive.writestr("x.npy", buffer.getvalue())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.npy", buffer.getvalue())
    assert codes(failure()) == ["E603"]


@given(where=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_archive_never_ends_in_a_traceback(
        where: float, value: int, cut: bool,
        tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("damaged") / "d.npz"
    np.savez_compressed(path, x=GRID, y=np.arange(2), dt=1e-3)
    raw = bytearray(path.read_bytes())
    at = int(where * len(raw))
    raw[at] = value
    path.write_bytes(raw[:at] if cut else raw)
    found: list[str] = []
    try:
        shape = load_data(path, inputs=PORTS).inputs["in"].values.shape
    except CompileError as error:
        found = codes(error)
    assert set(found) <= set(CODES)
    assert found or shape == GRID.shape


# ------------------------------------------------------------------ NIRData

def nir_file(name: str = "in", **observables: object) -> str:
    nir.write_data("d.nir", nir.NIRGraphData({name: nir.NIRNodeData(observables)}))
    return "d.nir"


def events(**changes: Any) -> nir.EventData:
    parts: dict[str, Any] = {"idx": np.array([[0, -1]]), "time": np.array([[0.0, np.inf]]),
                             "n_neurons": 3, "t_max": 0.05}
    return nir.EventData(**{**parts, **changes})


def test_problems_of_several_nodes_are_reported_at_once(golden: Golden) -> None:
    path = nir_file(spikes=events(idx=np.array([[0, 7]])))
    golden("bad_nir_data.txt",
           str(failure(path, (*PORTS, Port("b", "b", (1,))), dt_s=0.01)) + "\n")


@pytest.mark.parametrize(("changes", "code"), [
    ({"idx": np.array([[-2, -1]])}, "E622"), ({"time": np.array([[0.05, 0]])}, "E622"),
    ({"time": np.array([[-1.0, 0]])}, "E622"), ({"time": np.array([[np.nan, 0]])}, "E622"),
    ({"n_neurons": 4}, "E609"), ({"n_neurons": 0}, "E619"), ({"t_max": 0.0}, "E619"),
    ({"t_max": np.nan}, "E619"), ({"t_max": 1e12}, "E604"), ({"t_max": 1e308}, "E619"),
    ({"idx": np.array([[0.0, -1.0]])}, "E619"),
])
def test_events_that_fit_nowhere_are_refused(changes: dict[str, Any], code: str) -> None:
    assert codes(failure(nir_file(spikes=events(**changes)), dt_s=0.01)) == [code]


def test_events_without_dt_are_refused() -> None:
    assert codes(failure(nir_file(spikes=events()))) == ["E623"]


def test_gridded_data_are_checked() -> None:
    grid = nir.TimeGriddedData
    assert codes(failure(nir_file(spikes=grid(GRID, 0.0)))) == ["E619"]
    assert codes(failure(nir_file(spikes=grid(GRID, 1e-3)), dt_s=1e-4)) == ["E616"]
    assert codes(failure(nir_file(spikes=grid(GRID[..., :2], 1e-3)))) == ["E609"]
    assert codes(failure(nir_file(spikes=grid(GRID + np.nan, 1e-3)))) == ["E606"]
    assert codes(failure(nir_file(spikes=grid(GRID, 1e-3)), limit_bytes=10)) == ["E604"]
    assert codes(failure(nir_file(u=events(), v=events()), dt_s=0.01)) == ["E608"]
    assert codes(failure(nir_file("other", spikes=events()), dt_s=0.01)) == ["E621"]


def broken_hdf5(change: Callable[[Any], None]) -> str:
    path = nir_file(spikes=nir.TimeGriddedData(GRID, 1e-3))
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def replace_data(create: Callable[[Any], None]) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        group = file["nodes/in/observables/spikes"]
        del group["data"]
        create(group)
    return change


def link_to(link: Any) -> Callable[[Any], None]:
    return replace_data(lambda group: group.__setitem__("data", link))


@pytest.mark.parametrize(("change", "code"), [
    (lambda f: f.attrs.__delitem__("__type__"), "E619"),
    (lambda f: f.__delitem__("nodes"), "E619"),
    (lambda f: f["nodes/in"].__delitem__("observables"), "E619"),
    (lambda f: f["nodes/in/observables/spikes"].attrs.__setitem__("__type__", "Voltage"), "E619"),
    (lambda f: f["nodes/in/observables/spikes"].attrs.__setitem__("dt", "fast"), "E619"),
    (lambda f: f["nodes/in/observables/spikes"].attrs.__setitem__("dt", [1.0, 2.0]), "E619"),
    (replace_data(lambda g: g.create_group("data")), "E619"),
    (replace_data(lambda g: g.create_dataset("data", data="text")), "E609"),
    (replace_data(lambda g: g.create_dataset("data", data=GRID.astype("c8"))), "E605"),
    (replace_data(lambda g: g.create_dataset("data", (10**9, 10**9, 3), "f8", chunks=True)),
     "E604"),
    (link_to(h5py.ExternalLink("secret.h5", "/x")), "E620"), (link_to(h5py.SoftLink("/")), "E620"),
    (replace_data(lambda g: g.create_dataset("data", (2, 6, 3), "f8",
                                             external=[("secret.bin", 0, 288)])), "E620"),
])
def test_hdf5_that_is_not_nir_data_is_refused(change: Callable[[Any], None], code: str) -> None:
    assert codes(failure(broken_hdf5(change))) == [code]


def test_truncated_hdf5_is_refused() -> None:
    raw = Path(nir_file(spikes=events())).read_bytes()
    Path("d.nir").write_bytes(raw[:len(raw) // 2])
    assert codes(failure("d.nir", dt_s=0.01)) == ["E619"]


@pytest.mark.parametrize("name", ["a/b", "", "a\0b", ".", ".."])
def test_names_nir_data_cannot_hold_are_refused_and_nothing_is_written(name: str) -> None:
    with pytest.raises(CompileError, match="E624"):
        write_nir_data("o.nir", {name: GRID}, dt_s=1e-3)
    assert list(Path().iterdir()) == []


def test_what_cannot_be_written_is_one_diagnostic() -> None:
    raster = raster_from_dense({"p": np.ones((2, 2), int)}, 1.0)
    with pytest.raises(CompileError, match="E625"):
        write_raster("no/such/folder/r.npz", raster)
    with pytest.raises(CompileError, match="E625"):
        write_nir_data("no/such/folder/o.nir", {"p": GRID}, dt_s=1.0)


def test_an_archive_that_is_no_raster_is_refused() -> None:
    with pytest.raises(CompileError, match="E626"):
        read_raster(npz(x=GRID))
    write_raster("r.npz", raster_from_dense({"p": np.ones((2, 2), int)}, 1.0))
    with np.load("r.npz") as file:
        arrays = dict(file)
    with pytest.raises(CompileError, match="E626"):
        read_raster(npz(**{**arrays, "step": arrays["step"] + 7}))
    with pytest.raises(CompileError, match="E601"):
        read_raster("absent.npz")


def test_a_pipe_or_device_is_refused_and_stays_what_it_is() -> None:
    os.mkfifo("pipe")
    with pytest.raises(CompileError, match=r"E625.*not a regular file"):
        write_nir_data("pipe", {"p": GRID}, dt_s=1.0)
    assert Path("pipe").is_fifo()
    assert [path.name for path in Path().iterdir()] == ["pipe"]
