"""Writes a CycloneDX bill of what is compiled into the programs and of the native libraries they are run with.

    python3 -m venv target/sbom && target/sbom/bin/pip install "cyclonedx-python-lib[json-validation]==11.12.0"
    target/sbom/bin/python tools/sbom.py sbom.cdx.json

The crates are those of `licences.py`, each with its licence, the SHA-256 of Cargo.lock and what it depends on; the
wheels are those that `setup.py` pins, with their SHA-256. The file is checked against the schema of CycloneDX 1.6
before it is written. It holds no time and no random number: the same Cargo.lock and pins, the same bytes. Not here:
what only builds or tests, and the compiler.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Dict, List, Tuple
from uuid import NAMESPACE_URL, uuid5

from failure import Failure, run

try:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL
except ImportError as error:
    sys.exit(f"{error}; install the libraries named at the head of {__file__}")

import setup
from licences import compiled_in, metadata
from wheels import ROOT, Wheel


def main() -> None:
    if len(sys.argv) != 2:
        raise Failure("give the file to write: tools/sbom.py sbom.cdx.json")
    data = metadata()
    packages = {package["id"]: package for package in data["packages"]}
    root = packages[data["resolve"]["root"]]
    bom = Bom()
    program = crate(root, {}, ComponentType.APPLICATION)
    bom.metadata.component = program
    crates = {package["id"]: crate(package, checksums()) for package in compiled_in(data)}
    wheels = [wheel(pinned) for pinned in pinned_wheels()]
    for component in [*crates.values(), *wheels]:
        bom.components.add(component)
    known = {root["id"]: program, **crates}
    for node in data["resolve"]["nodes"]:
        if node["id"] in known:
            below = [known[dep["pkg"]] for dep in node["deps"] if dep["pkg"] in known]
            bom.register_dependency(known[node["id"]], below + (wheels if node["id"] == root["id"] else []))
    write(bom, Path(sys.argv[1]))
    print(f"{sys.argv[1]}: {len(crates)} crates, {len(wheels)} wheels", file=sys.stderr)


def crate(package: dict, sums: Dict[Tuple[str, str], str], kind: ComponentType = ComponentType.LIBRARY) -> Component:
    name, version = package["name"], package["version"]
    stated = package.get("license")
    sha256 = sums.get((name, version))
    purl = PackageURL("cargo", None, name, version)
    return Component(
        name=name,
        version=version,
        type=kind,
        purl=purl,
        bom_ref=str(purl),
        # `MIT/Apache-2.0` is how Cargo once wrote `OR`.
        licenses=[LicenseFactory().make_from_string(stated.replace("/", " OR "))] if stated else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)] if sha256 else [],
    )


def checksums() -> Dict[Tuple[str, str], str]:
    """SHA-256 of every crate's archive, by name and version."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    return {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}


def pinned_wheels() -> List[Wheel]:
    return sorted((value for value in vars(setup).values() if isinstance(value, Wheel)), key=lambda pin: pin.name)


def wheel(pinned: Wheel) -> Component:
    purl = PackageURL("pypi", None, pinned.name, pinned.version, {"file_name": pinned.file})
    return Component(
        name=pinned.name,
        version=pinned.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=pinned.sha256)],
    )


def write(bom: Bom, path: Path) -> None:
    parts = "\n".join(sorted(str(component.bom_ref) for component in bom.components))
    bom.serial_number = uuid5(NAMESPACE_URL, f"{bom.metadata.component.bom_ref}\n{parts}")
    # The library dates every bill; a date would make two bills of one state differ.
    bom.metadata.timestamp = None
    text = JsonV1Dot6(bom).output_as_string(indent=2) + "\n"
    wrong = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if wrong is not None:
        raise Failure(f"the bill is no CycloneDX 1.6: {wrong}")
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
