"""The codes of everything that can be wrong with a data file."""

from __future__ import annotations

from neurocompile.diagnostics import CompileError, Diagnostic
from neurocompile.npz import NpzError

CODES: dict[str, tuple[str, str]] = {
    "E601": ("the data file cannot be read", "check the path and its permissions"),
    "E602": ("neither .npz nor NIRData", "write it with numpy.savez or nir.write_data"),
    "E603": ("the archive or an array in it is damaged", "write the file again"),
    "E604": ("larger than the limit", "split the file, or raise limit_bytes"),
    "E605": ("not plain numbers", "save bool, integers or floats up to 64 bits"),
    "E606": ("values that are not finite", "remove NaN and infinity"),
    "E607": ("no data for an input", "save the array under the input's name"),
    "E608": ("several arrays for one input", "keep one of them"),
    "E609": ("the shape does not fit the input", "save [sample, step, *shape]"),
    "E610": ("no step axis and no encoding", "state steps and encode"),
    "E611": ("the shape can be read in two ways", "state steps or encode"),
    "E612": ("another number of steps than stated", "leave steps out, or change the file"),
    "E613": ("an encoding that does not fit the data", "choose another encoding"),
    "E614": ("an option outside its range", "use a value inside it"),
    "E615": ("labels that do not fit", "save one whole number a sample as y"),
    "E616": ("dt of the file is not the contract's", "state the dt the data were made with"),
    "E617": ("no samples or no steps", "a run needs at least one of each"),
    "E618": ("inputs that disagree in samples or steps", "save the same number for each"),
    "E619": ("not NIRData as nir writes it", "write it with nir.write_data"),
    "E620": ("links or storage outside the file", "store the data in the file itself"),
    "E621": ("a node without data for the input", "name the node as the network's input"),
    "E622": ("events outside their range", "check idx, time, n_neurons and t_max"),
    "E623": ("events without dt", "state dt"),
    "E624": ("a name that NIRData cannot hold", "rename the node"),
    "E625": ("the file cannot be written", "check the path and its permissions"),
    "E626": ("not a raster", "write it with write_raster"),
    "W627": ("values outside [0, 1] were clipped by the encoding", "scale the data"),
}
"""What each code of this package means, and what to do."""

_NPZ_CODES = {"unreadable": "E603", "malformed": "E603", "dtype": "E605", "size": "E603",
              "limit": "E604"}


def from_npz_error(error: NpzError, path: str) -> CompileError:
    """The diagnostic for a broken archive: E603, E604 (over the limit) or E605 (not numbers)."""
    code = _NPZ_CODES[error.kind]
    subject = f"{path}: {error.subject}" if error.subject else path
    return CompileError([Diagnostic(code, subject, error.message, error.got, error.limit,
                                    CODES[code][1])])


def reason(error: BaseException) -> str:
    """The first line of an exception's text, short enough for a diagnostic."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error).splitlines() or [""])[0][:120] or type(error).__name__

