"""Data files: what a network is given, and what a run gives back."""

from neurocompile.data.load import load_data
from neurocompile.data.problems import CODES
from neurocompile.data.rasters import read_raster, write_nir_data, write_raster
from neurocompile.data.signal import Dataset, Signal

__all__ = ["CODES", "Dataset", "Signal", "load_data", "read_raster", "write_nir_data",
           "write_raster"]
