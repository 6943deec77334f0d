"""Layers, and one builder a system. Importing it registers the layers with Keras."""

from offset_autoencoder.models.autoencoder import build_autoencoder, build_model
from offset_autoencoder.models.code_noise import CodeNoise
from offset_autoencoder.models.sampled_code import SampledCode
from offset_autoencoder.models.unit_norm import UnitNorm

__all__ = ["CodeNoise", "SampledCode", "UnitNorm", "build_autoencoder", "build_model"]
