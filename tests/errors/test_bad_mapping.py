"""Mapping files that are wrong: everything at once, by its key, with nothing written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import pytest
from cli_tools import DIGITS, DIGITS_CONTRACT, run

from neurocompile.constraints import parse_constraints
from neurocompile.diagnostics import CompileError

Golden = Callable[[str, str], None]

FILES = {
    "unknown_keys": """
[partition]
neuron_per_core = 4
[partition.weights]
message = 1
[place]
forbiden = []
[place.populations]
a = { chips = 0 }
[mapping]
""",
    "wrong_types": """
partition.neurons_per_core = "many"
partition.share_cores = 0
partition.cores = { a = true, b = ["0"], c = 1.0 }
partition.weights = { cores = "1", hops = true }
place.forbidden = [3, { chip = 0, x = 1 }, { chip = 0, x = 0, y = 0, cores = false }]
place.cores.0 = [0, 0, 0]
place.populations = { a = 0, b = {}, c = { chip = "0" } }
""",
    "tables_that_are_none": "partition = 1\nplace = 2020-01-01\n",
    "lists_that_are_none": "place.forbidden = { chip = 0, x = 0, y = 0 }\npartition.cores = [0]\n",
    "out_of_range": """
partition.neurons_per_core = 0
partition.cores = { a = [], b = [0, 0], c = -1, d = 99999999999, e = 3 }
partition.weights = { cores = -1, messages = nan, hops = 1e99 }
place.forbidden = [{ chip = -1, x = 0, y = 0 }, { chip = 0, x = 0, y = 0, cores = 0 }]
place.cores = { one = { chip = 0, x = 0, y = 0 }, 01 = { chip = 0, x = 0, y = 0 } }
""",
    "no_weight": "partition.weights = { cores = 0 }\n",
    "contradictions": """
partition.cores = { a = 0, b = [0, 1], c = 1 }
place.forbidden = [{ chip = 0, x = 0, y = 0 }, { chip = 0, x = 0, y = 0, cores = 1 }]
place.cores = { 0 = { chip = 1, x = 0, y = 0 }, 7 = { chip = 0, x = 0, y = 0 } }
place.populations = { a = { chip = 0 }, b = { chip = 1 }, c = { chip = 0 } }
""",
    "methods": """
partition.methods = ["metis", "Metis", "mtkahypar", "hmetis", "metis", 3, "anything"]
""",
    "no_methods": "partition.methods = []\n",
    "methods_that_are_no_list": 'partition.methods = "metis"\n',
    "control_characters": 'partition.cores = { "a\\u0007" = true }\n',
}


@pytest.mark.parametrize("name", FILES)
def test_everything_wrong_with_a_mapping_file_is_said_at_once(name: str, golden: Golden) -> None:
    with pytest.raises(CompileError) as caught:
        parse_constraints(FILES[name], "m.toml")
    golden(f"mapping_{name}.txt", "".join(f"{d}\n" for d in caught.value.diagnostics))


def test_text_that_is_no_toml_is_refused() -> None:
    with pytest.raises(CompileError, match=r"E540 m\.toml: is not TOML"):
        parse_constraints("[partition\n", "m.toml")


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "digits.nir").write_bytes(Path(DIGITS).read_bytes())
    (tmp_path / "digits.toml").write_bytes(Path(DIGITS_CONTRACT).read_bytes())
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path("new").exists()


@pytest.mark.usefixtures("in_folder")
def test_commands_refuse_what_cannot_be_read_or_kept(golden: Golden) -> None:
    Path("latin.toml").write_bytes(b"# \xe9\n")
    Path("large.toml").write_text("#" * (1 << 20) + "\n")
    Path("impossible.toml").write_text(
        "partition.cores = { 3 = 0, nobody = 1 }\npartition.neurons_per_core = 32\n"
        "place.cores.1 = { chip = 0, x = 8, y = 0 }\n")
    texts = []
    for file in ("nothing.toml", ".", "latin.toml", "large.toml", "impossible.toml"):
        for verb in (("compile", "digits.nir", "-o", "new"), ("check", "digits.nir")):
            result = run(*verb, "-t", "loihi1", "-c", "digits.toml", "--mapping", file)
            assert (result.exit_code, result.stdout) == (1, "")
            texts.append(result.stderr)
    assert texts[::2] == texts[1::2]
    golden("mapping_refused.txt", "".join(texts[::2]))


@pytest.mark.usefixtures("in_folder")
def test_links_that_would_carry_too_much_are_all_named(golden: Golden) -> None:
    """Chips of two cores, whose links carry ten messages a step."""
    text = (resources.files("neurocompile.targets") / "loihi1.toml").read_text("utf-8")
    for key, value in (("cores", 2), ("link_messages", 10)):
        text = re.sub(rf"^{key} = .*$", f'{key} = {{ value = {value}, assumed = "a test" }}', text,
                      count=1, flags=re.MULTILINE)
    Path("narrow.toml").write_text(text)
    Path("small.toml").write_text("partition.neurons_per_core = 20\n")
    texts = []
    for verb in (("compile", "digits.nir", "-o", "new"), ("check", "digits.nir")):
        result = run(*verb, "-t", "narrow.toml", "-c", "digits.toml", "--mapping", "small.toml")
        assert (result.exit_code, result.stdout) == (1, "")
        texts.append(result.stderr)
    assert texts[0] == texts[1]
    golden("mapping_links.txt", texts[0])
