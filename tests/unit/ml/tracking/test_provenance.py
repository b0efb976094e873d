"""What a version was made with, and what is told where it differs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from ml.tracking import provenance

RECORDED = {
    "git.commit": "abc",
    "git.dirty": "false",
    "env.lock_sha256": provenance.tags("", "")["env.lock_sha256"],
    "env.numerics": "x86_64, openblas 0.3.31 SkylakeX",
}


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the kernels named here are of x86")
def test_the_kernels_that_were_chosen_are_told() -> None:
    code = "import numpy; from ml.tracking.provenance import numerics; print(numerics())"
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OPENBLAS_CORETYPE": kernel}, capture_output=True, text=True, check=True,
        ).stdout
        for kernel in ("Nehalem", "Sandybridge")
    ]  # fmt: skip

    assert ["Nehalem" in each for each in told] == [True, False]
    assert all("openblas" in each for each in told)


def test_only_what_differs_is_named() -> None:
    same = RECORDED["env.numerics"]
    other = "x86_64, openblas 0.3.31 Haswell"

    assert provenance.differences(RECORDED, "abc", same) == ["code, packages and arithmetic are the recorded ones"]
    (only,) = provenance.differences(RECORDED, "abc", other)
    assert only.startswith(f"only the arithmetic differs: it was trained with {same}, and here is {other}")
    code, arithmetic = provenance.differences(RECORDED, "def", other)
    assert "commit abc, and here is def" in code
    assert arithmetic.startswith("it was trained with")
    assert "commit" in provenance.differences(RECORDED, "abc-dirty", same)[0]
    (packages,) = provenance.differences({**RECORDED, "env.lock_sha256": "other"}, "abc", same)
    assert "other versions of the packages" in packages
