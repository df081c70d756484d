"""The Debian package: what is in it, and where."""
import gzip
import shutil

import pytest

from conftest import ROOT, output_of

pytestmark = pytest.mark.skipif(
    not shutil.which("cargo-deb"), reason="no cargo-deb: cargo install --locked cargo-deb"
)


@pytest.fixture(scope="module")
def package(countersign):
    if countersign != ROOT / "target/release/countersign":
        pytest.skip("it is made of cargo's release build")
    output_of(ROOT / "deploy/systemd/package.sh", countersign)
    [package] = (ROOT / "target/package").glob("*.deb")
    return package


def test_everything_is_where_debian_looks_for_it(package):
    listed = [line.split(None, 5) for line in output_of("dpkg-deb", "-c", package).splitlines()]
    files = {parts[5].removeprefix("./"): parts[:2] for parts in listed if parts[0].startswith("-")}
    assert {path: mode for path, (mode, _) in files.items() if "man" not in path} == {
        "usr/bin/countersign": "-rwxr-xr-x",
        "usr/lib/systemd/system/countersign.service": "-rw-r--r--",
        "usr/lib/systemd/system/countersign.socket": "-rw-r--r--",
        "etc/countersign/countersign.toml": "-rw-r--r--",
        "etc/countersign/countersign.env": "-rw-r-----",
        "usr/share/bash-completion/completions/countersign": "-rw-r--r--",
        "usr/share/zsh/vendor-completions/_countersign": "-rw-r--r--",
        "usr/share/fish/vendor_completions.d/countersign.fish": "-rw-r--r--",
        "usr/share/doc/countersign/README.md": "-rw-r--r--",
        "usr/share/doc/countersign/copyright": "-rw-r--r--",
    }
    assert all(owner in ("root/root", "0/0") for _, owner in files.values())
    for page in ("countersign", "countersign-run", "countersign-policy"):
        assert f"usr/share/man/man1/{page}.1.gz" in files


def test_the_configuration_is_the_administrators(package):
    assert set(output_of("dpkg-deb", "-I", package, "conffiles").split()) == {
        "/etc/countersign/countersign.toml",
        "/etc/countersign/countersign.env",
    }


def test_dpkg_takes_it(package, tmp_path):
    (tmp_path / "var/lib/dpkg/info").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/updates").mkdir()
    (tmp_path / "var/lib/dpkg/status").touch()
    output_of("dpkg", f"--root={tmp_path}", "--force-all", "--unpack", package)
    assert (tmp_path / "usr/bin/countersign").exists()
    scripts = output_of("dpkg-deb", "-I", package, "postinst")
    assert "daemon-reload" in scripts and "#DEBHELPER#" not in scripts


def test_the_manual_pages_are_manual_pages(package, tmp_path):
    output_of("dpkg-deb", "-x", package, tmp_path)
    pages = sorted((tmp_path / "usr/share/man/man1").iterdir())
    assert len(pages) > 10
    for page in pages:
        assert gzip.decompress(page.read_bytes()).startswith((b".ie", b".TH", b"'\\\"")), page.name
