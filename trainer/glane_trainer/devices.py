"""Which device and precision to compute with."""

from __future__ import annotations

import torch

from glane_trainer.settings import Device, Precision

__all__ = [
    "DTYPES",
    "Device",
    "Precision",
    "available_device",
    "available_precision",
    "choose_device",
    "choose_precision",
]

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type that autocast computes in, by precision; None is no autocast."""


def choose_device(asked: Device, *, cuda: bool, mps: bool) -> str:
    """Return the device to use: the one asked for, or else CUDA, MPS or the CPU, as available.

    Raises:
        ValueError: If the device asked for is not there.

    >>> choose_device("auto", cuda=False, mps=True)
    'mps'
    """
    available = {"cuda": cuda, "mps": mps, "cpu": True}
    if asked == "auto":
        return next(device for device, there in available.items() if there)
    if not available[asked]:
        there = [device for device in available if available[device]]
        raise ValueError(f"device {asked!r} is not available here; there are {there}")
    return asked


def available_device(asked: Device) -> str:
    """Return `choose_device` for this machine."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    return choose_device(asked, cuda=cuda, mps=mps)


def choose_precision(asked: Precision, device: str, *, bf16: bool) -> Precision:
    """Return the precision to use: on CUDA half of fp32's by default, elsewhere fp32.

    Args:
        asked: What the user wants.
        device: From `choose_device`.
        bf16: Whether the CUDA device computes in bf16.

    Raises:
        ValueError: If the device cannot train in it.

    >>> choose_precision("auto", "cuda", bf16=True), choose_precision("auto", "mps", bf16=False)
    ('bf16', 'fp32')
    """
    if asked == "auto":
        return ("bf16" if bf16 else "fp16") if device == "cuda" else "fp32"
    # fp16 needs the gradients scaled, which torch does well on CUDA only; MPS refuses bf16.
    possible = {
        "cuda": ["fp32", "fp16", "bf16"] if bf16 else ["fp32", "fp16"],
        "mps": ["fp32"],
        "cpu": ["fp32", "bf16"],
    }
    if asked not in possible[device]:
        raise ValueError(f"precision {asked!r} cannot be trained on {device}: {possible[device]}")
    return asked


def available_precision(asked: Precision, device: str) -> Precision:
    """Return `choose_precision` for this machine."""
    is_cuda = device == "cuda"
    bf16 = is_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
    return choose_precision(asked, device, bf16=bf16)
