"""The demo's two builds, Android Studio's and CI's, name the same sources, versions and SDK levels."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

from app_version import version_code
from demo_build import DEMO, LIBRARY, ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
CATALOG = tomllib.loads((LIBRARY / "gradle" / "libs.versions.toml").read_text("utf-8"))
NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}
GRADLE = (DEMO / "app" / "build.gradle.kts").read_text("utf-8")
MAKEFILE = (DEMO / "Makefile").read_text("utf-8")
ANDROID = "{http://schemas.android.com/apk/res/android}"


def pom(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()


def texts(element: ElementTree.Element, path: str) -> list[str]:
    return [item.text or "" for item in element.findall("/".join(f"m:{part}" for part in path.split("/")), NAMESPACE)]


def test_one_version() -> None:
    assert f'versionName = "{VERSION}"\n        versionCode = {version_code(VERSION)}\n' in GRADLE
    assert texts(pom(DEMO / "pom.xml"), "version") == [VERSION]
    for module in ("app", "app-test"):
        assert texts(pom(DEMO / module / "pom.xml"), "parent/version") == [VERSION]


def test_one_catalog_and_the_same_sdk_levels() -> None:
    assert '"../runtime/android/gradle/libs.versions.toml"' in (DEMO / "settings.gradle.kts").read_text("utf-8")
    versions = CATALOG["versions"]
    for level in ("compileSdk", "minSdk", "targetSdk"):
        assert f"{level} = libs.versions.{level}.get().toInt()" in GRADLE
    assert set(re.findall(r"--min-(?:sdk-version|api) (\d+)", MAKEFILE)) == {versions["minSdk"]}
    assert set(re.findall(r"--target-sdk-version (\d+)", MAKEFILE)) == {versions["targetSdk"]}
    check = (DEMO / "build-tools" / "check_apk.py").read_text("utf-8")
    assert f"MIN_SDK, TARGET_SDK = {versions['minSdk']}, {versions['targetSdk']}" in check


def test_the_tools_and_the_compiler_see_the_same_android() -> None:
    (compiled,) = texts(pom(LIBRARY / "pom.xml"), "properties/android.all.version")
    assert f"<version>{compiled}</version>" in (DEMO / "build-tools" / "pom.xml").read_text("utf-8")


def test_the_same_library_modules() -> None:
    used = {
        name.text
        for name in pom(DEMO / "app" / "pom.xml").findall("m:dependencies/m:dependency/m:artifactId", NAMESPACE)
    }
    # Maven builds the engines' adapters apart; Gradle's library holds them.
    used -= {"android-all", "engine-onnxruntime", "engine-tflite", "engine-executorch"}
    assert used == set(re.findall(r'implementation\("com\.edgebert:([\w-]+)"\)', GRADLE))
    settings = (DEMO / "settings.gradle.kts").read_text("utf-8")
    for module, project in re.findall(
        r'module\("com\.edgebert:([\w-]+)"\)\)\.using\(project\("([:\w]+)"\)\)', settings
    ):
        folder = LIBRARY / project.strip(":").replace(":", "/")
        assert texts(pom(folder / "pom.xml"), "artifactId") == [module]
        used.discard(module)
    assert not used


def test_the_same_sources() -> None:
    # Both take src/main; AGP by itself, Maven by the library's pom, aapt2 by the Makefile.
    assert "srcDirs" not in GRADLE and GRADLE.count("srcDir(") == 1
    assert texts(pom(LIBRARY / "pom.xml"), "build/sourceDirectory") == ["src/main/kotlin"]
    assert not (DEMO / "app" / "src" / "main" / "java").exists()
    assert "app/src/main/res" in MAKEFILE and "app/src/main/AndroidManifest.xml" in MAKEFILE
    assert 'assets.srcDir(rootDir.resolve("build/assets"))' in GRADLE and "$(BUILD)/assets" in MAKEFILE


def test_the_manifest() -> None:
    manifest = ElementTree.parse(DEMO / "app" / "src" / "main" / "AndroidManifest.xml").getroot()
    assert "package" not in manifest.attrib and 'namespace = "com.edgebert.demo"' in GRADLE
    assert not manifest.findall("uses-permission")
    exported = [
        item.get(f"{ANDROID}name")
        for item in manifest.find("application") or []
        if item.get(f"{ANDROID}exported") != "false"
    ]
    assert exported == [".MainActivity"]
    application = manifest.find("application")
    assert application is not None and application.get(f"{ANDROID}allowBackup") == "false"
