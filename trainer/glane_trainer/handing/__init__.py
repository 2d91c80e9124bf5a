"""Hands a checkpoint over: the same model in the folder of another library."""

from glane_trainer.handing.saving import FORMATS, save_as

__all__ = ["FORMATS", "save_as"]
