#!/usr/bin/env bash
# A 64-bit Arm JVM out of Debian's packages, for qemu-aarch64. The packages are only unpacked: the machine's own package
# database, sources and architectures stay as they are.
# usage: arm64_jvm.sh FOLDER      afterwards FOLDER/root is what qemu calls -L, FOLDER/lib holds more libraries
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
[ ! -f "$folder/done" ] || exit 0
mkdir -p "$folder"/{lists/partial,cache/archives/partial,debs,root,lib}
options=(-qq -o "APT::Architecture=arm64" -o "APT::Architectures=arm64" -o "Dir::State::Lists=$folder/lists"
    -o "Dir::Cache=$folder/cache" -o "Dir::State::status=/dev/null" -o "APT::Sandbox::User=root"
    -o "Acquire::Languages=none" -o "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false")
apt-get "${options[@]}" update
(cd "$folder/debs" && apt-get "${options[@]}" download openjdk-17-jre-headless libc6 zlib1g libstdc++6 libgcc-s1)
for package in "$folder"/debs/*.deb; do dpkg -x "$package" "$folder/root"; done
rm -rf "$folder"/{debs,lists,cache}
touch "$folder/done"
