"""The Gradle project and the Maven build name the same modules, versions and SDK levels."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

sys.path.append(str(Path(__file__).parent))

from android_library import ANDROID, ROOT

MODULES = ("core", "library", "engines/onnxruntime", "engines/tflite", "engines/executorch")
NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}


def read(path: str) -> str:
    return (ANDROID / path).read_text("utf-8")


def pom(folder: str = "") -> ElementTree.Element:
    return ElementTree.parse(ANDROID / folder / "pom.xml").getroot()


def value(element: ElementTree.Element, path: str) -> str:
    found = element.findtext("/".join(f"m:{part}" for part in path.split("/")), namespaces=NAMESPACE)
    assert found is not None, path
    return found


def versions() -> dict[str, str]:
    found: dict[str, str] = tomllib.loads(read("gradle/libs.versions.toml"))["versions"]
    return found


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert value(pom(), "version") == version
    for module in MODULES:
        assert value(pom(module), "parent/version") == version
    assert f'version = "{version}"' in read("build.gradle.kts")
    assert f'VERSION: String = "{version}"' in read("core/src/main/kotlin/com/edgebert/runtime/EdgeBert.kt")


def test_the_same_modules_and_artifacts() -> None:
    modules = {item.text for item in pom().findall("m:modules/m:module", NAMESPACE)}
    gradle = {name.strip(":").replace(":", "/") for name in re.findall(r'"(:[^"]+)"', read("settings.gradle.kts"))}
    assert gradle == set(MODULES)
    assert modules == gradle | {"engines/compile-only/tflite", "engines/compile-only/executorch"}
    for module in MODULES:
        assert f'artifactId = "{value(pom(module), "artifactId")}"' in read(f"{module}/build.gradle.kts")


def test_the_same_versions() -> None:
    maven, gradle = pom(), versions()
    for name in ("kotlin", "junit", "onnxruntime"):
        assert value(maven, f"properties/{name}.version") == gradle[name]
    # The line that a missing engine's message tells an app to add.
    for engine, kind, coordinates in (
        ("onnxruntime", "OnnxRuntimeEngine", f"com.microsoft.onnxruntime:onnxruntime-android:{gradle['onnxruntime']}"),
        ("tflite", "TfliteEngine", f"com.google.ai.edge.litert:litert:{gradle['litert']}"),
        ("executorch", "ExecuTorchEngine", f"org.pytorch:executorch-android:{gradle['executorch']}"),
    ):
        source = read(f"engines/{engine}/src/main/kotlin/com/edgebert/runtime/engines/{kind}.kt")
        assert f'"{coordinates}"' in source
        library = tomllib.loads(read("gradle/libs.versions.toml"))["libraries"]
        assert coordinates.rsplit(":", 1)[0] in {item["module"] for item in library.values()}


def test_the_same_sources_and_sdk_levels() -> None:
    assert value(pom(), "build/sourceDirectory") == "src/main/kotlin"
    gradle = versions()
    assert (gradle["minSdk"], gradle["compileSdk"], gradle["targetSdk"]) == ("26", "36", "36")
    # minSdk: the API that animal-sniffer checks, and the AAR's manifest; compileSdk: what is compiled against.
    assert f"gummy-bears-api-{gradle['minSdk']}" in read("pom.xml")
    assert f'android:minSdkVersion="{gradle["minSdk"]}"' in read("tools/pack_aar.py")
    android_all = value(pom(), "properties/android.all.version")
    assert int(android_all.split("-")[0]) + 20 == int(gradle["compileSdk"])  # Android 16 is API 36
    for module in MODULES:
        text = read(f"{module}/build.gradle.kts")
        # The sources lie where both builds expect them.
        assert "srcDirs(" not in text.replace("kotlin.setSrcDirs(emptyList<String>())", "")
        assert "JvmTarget.JVM_1_8" in text
        if module != "core":
            assert 'consumerProguardFiles("consumer-rules.pro")' in text
            assert (ANDROID / module / "consumer-rules.pro").is_file()
            for level in ("compileSdk", "minSdk", "targetSdk"):
                assert f"{level} = libs.versions.{level}.get().toInt()" in text
    assert value_of_compile(pom()) == "1.8"


def value_of_compile(maven: ElementTree.Element) -> str:
    """The jvmTarget of what is shipped."""
    for execution in maven.iterfind(".//m:execution", NAMESPACE):
        if execution.findtext("m:id", namespaces=NAMESPACE) == "compile":
            return value(execution, "configuration/jvmTarget")
    raise AssertionError("the pom has no execution named compile")
