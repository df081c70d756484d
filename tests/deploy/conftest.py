"""What the samples are judged with: the program itself, and copies that may be spoiled."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Everything that a sample is made of.
PARTS = [".github", "Dockerfile", "config", "deploy"]


@pytest.fixture(scope="session")
def countersign():
    """The program; cargo's debug build unless COUNTERSIGN names another."""
    path = pathlib.Path(os.environ.get("COUNTERSIGN", ROOT / "target/debug/countersign")).absolute()
    assert path.exists(), f"{path} is not there: cargo build"
    return path


@pytest.fixture
def copy(tmp_path):
    """A copy of all samples."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part)
        else:
            shutil.copy(source, tmp_path / part)
    return tmp_path


def output_of(*command, **options):
    """What a command says; its failure is the test's."""
    options.setdefault("timeout", 120)
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
