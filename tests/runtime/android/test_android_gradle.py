"""The Gradle project and the Maven build name the same modules, versions and SDK levels."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

sys.path.append(str(Path(__file__).parent))

from android_library import ANDROID, ROOT

MODULES = ("core", "library")
ENGINES = {"onnxruntime": "onnxruntime", "tflite": "litert", "executorch": "executorch"}  # folder: name of its library
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
    for module in (*MODULES, *(f"engines/{engine}" for engine in ENGINES)):
        assert value(pom(module), "parent/version") == version
    assert f'version = "{version}"' in read("build.gradle.kts")
    assert f'VERSION: String = "{version}"' in read("core/src/main/kotlin/com/edgebert/runtime/EdgeBert.kt")


def test_the_same_modules_and_artifacts() -> None:
    modules = {item.text for item in pom().findall("m:modules/m:module", NAMESPACE)}
    gradle = {name.strip(":").replace(":", "/") for name in re.findall(r'"(:[^"]+)"', read("settings.gradle.kts"))}
    assert gradle == set(MODULES)
    # Gradle compiles the engines' adapters into the library.
    adapters = {f"engines/{engine}" for engine in ENGINES}
    assert modules == gradle | adapters | {"engines/compile-only/tflite", "engines/compile-only/executorch"}
    named = re.search(
        r"for \(engine in listOf\((.*)\)\) {\n *kotlin.srcDir\((.*)\)\n", read("library/build.gradle.kts")
    )
    assert named is not None and set(re.findall(r'"(\w+)"', named[1])) == set(ENGINES)
    assert named[2] == 'rootDir.resolve("engines/$engine/src/main/kotlin")'
    folders = {path.parent.relative_to(ANDROID).as_posix() for path in ANDROID.glob("engines/*/src/main")}
    assert folders == {f"{adapter}/src" for adapter in adapters}
    for module in MODULES:
        assert f'artifactId = "{value(pom(module), "artifactId")}"' in read(f"{module}/build.gradle.kts")


def test_the_same_versions() -> None:
    maven, gradle = pom(), versions()
    for name in ("kotlin", "junit", "onnxruntime"):
        assert value(maven, f"properties/{name}.version") == gradle[name]
    # The lines that a missing engine's message tells an app to add.
    engines = read("core/src/main/kotlin/com/edgebert/runtime/Engine.kt")
    libraries = tomllib.loads(read("gradle/libs.versions.toml"))["libraries"]
    for library in ENGINES.values():
        item = libraries[library]
        runtime = f"{item['module']}:{gradle[item['version']['ref']]}"
        assert f'"{runtime}",' in engines
        assert f"compileOnly(libs.{library})" in read("library/build.gradle.kts")


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
        assert "rcDirs(" not in text.replace("kotlin.setSrcDirs(emptyList<String>())", "")
        assert "JvmTarget.JVM_1_8" in text
        if module != "core":
            assert 'consumerProguardFiles("consumer-rules.pro")' in text
            assert (ANDROID / module / "consumer-rules.pro").is_file()
            for level in ("compileSdk", "minSdk", "targetSdk"):
                assert f"{level} = libs.versions.{level}.get().toInt()" in text


def test_the_same_targets() -> None:
    """What is shipped is for Java 8; the tests are for 17, which JUnit wants."""
    core = read("core/build.gradle.kts")
    for task, java, execution in (
        ("compileKotlin", None, "compile"),
        ("compileTestKotlin", "compileTestJava", "test-compile"),
    ):
        target = value(of_kotlin(execution), "configuration/jvmTarget")
        assert f"jvmTarget = JvmTarget.JVM_{target.replace('.', '_')}" in block(core, f"tasks.{task}")
        # By Java's target Gradle chooses the dependencies, and it must be Kotlin's.
        version = f"JavaVersion.VERSION_{target.replace('.', '_')}"
        assert f"targetCompatibility = {version}" in block(core, f"tasks.{java}" if java else "java")
    arguments = [item.text for item in of_kotlin("compile").iterfind(".//m:arg", NAMESPACE)]
    assert "-Xjdk-release=8" in arguments and '"-Xjdk-release=8"' in block(core, "tasks.compileKotlin")
    assert of_kotlin("test-compile").find(".//m:arg", NAMESPACE) is None and core.count("-Xjdk-release") == 1


def block(text: str, name: str) -> str:
    """The contents of a top-level `name { ... }` of a Gradle file."""
    found = re.search(rf"^{re.escape(name)} {{\n(.*?)^}}", text, re.DOTALL | re.MULTILINE)
    assert found is not None, name
    return found[1]


def of_kotlin(execution: str) -> ElementTree.Element:
    """The execution of this name in the pom."""
    for item in pom().iterfind(".//m:execution", NAMESPACE):
        if item.findtext("m:id", namespaces=NAMESPACE) == execution:
            return item
    raise AssertionError(f"the pom has no execution named {execution}")
