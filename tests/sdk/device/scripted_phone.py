"""A phone played by this computer, for the real adb: `adb connect 127.0.0.1:PORT` talks to it.

It speaks adb's transport protocol (24-byte packets), the shell in its old and its new form, file transfer and streamed
installation. Its file system is a folder; its shell is this computer's, with Android's commands as functions, so
what the shell runs is really run: edgebert-bench by qemu-aarch64, and the app's part by edgebert_runtime.profile.
It calls itself an emulator, so no number of it passes for a phone's.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

PACKAGE = "com.edgebert.demo"
NAMES = {name: int.from_bytes(name.encode(), "little") for name in ("CNXN", "AUTH", "OPEN", "OKAY", "WRTE", "CLSE")}
VERSION, LARGEST = 0x01000001, 1 << 18  # this version leaves checksums out
REGULAR, FOLDER = 0o100644, 0o40755

# The app's part: what `am start` runs when it is asked for a profile. Tests put others in its place.
APP = '"$PYTHON" -m edgebert_runtime.profile "$FILES/$bundle" --threads $threads --runs 20 --out "$ROOT/part"\n'
APP += 'mv "$ROOT/part" "$FILES/$result"'

COMMANDS = """
getprop() { cat "$ROOT/props/$1" 2>/dev/null || echo; }
uname() { cat "$ROOT/architecture"; }
pidof() { cat "$ROOT/pid" 2>/dev/null; }
dumpsys() { cat "$ROOT/package" 2>/dev/null || echo "Unable to find package: $2"; }
am() {
    if [ "$1" = force-stop ]; then rm -f "$ROOT/pid"; return; fi
    if [ ! -e "$ROOT/package" ]; then echo "Error: Activity class {$5} does not exist."; return; fi
    bundle= result= threads=
    while [ $# -gt 0 ]; do
        case "$2" in
            *.PROFILE) bundle=$3 ;;
            *.RESULT) result=$3 ;;
            *.THREADS) threads=$3 ;;
        esac
        shift
    done
    echo 4242 > "$ROOT/pid"
    cat "$ROOT/start_answer"
    if [ -n "$result" ]; then app > /dev/null 2>&1 & else first_start; fi
}
"""


class ScriptedPhone:
    """One phone. Its fields are what a test sets before it runs a command.

    Attributes:
        state: as `adb devices` calls it: "device", "recovery", "unauthorized".
        full: whether there is no space left.
        installs: version code and name of the app that an installation puts there; None is another app.
        install_answer: what an installation prints.
        bench: what runs `./edgebert-bench`: a prefix.
        app: what the app does when it is asked for a profile, as shell commands.
        first_start: what it does when it is only started.
        lost_at: the phone vanishes when it is told to run a command with these words in it.
        log: every service that was asked for.
    """

    def __init__(self, root: Path, state: str = "device", features: str = "shell_v2,cmd,stat_v2") -> None:
        self.root, self.state, self.features = root, state, features
        self.full, self.lost_at, self.app = False, "", APP
        self.files = root / "sdcard" / "Android" / "data" / PACKAGE / "files"
        self.first_start = f"mkdir -p {self.files}"
        self.install_answer = "Success\n"
        self.installs: tuple[int, str] | None = (100, "0.1.0")
        self.bench = "qemu-aarch64 -cpu max "
        self.log: list[str] = []
        (root / "data" / "local" / "tmp").mkdir(parents=True)
        (root / "props").mkdir()
        (root / "architecture").write_text("aarch64\n")
        self.set_start_answer("Status: ok")
        self.set("ro.product.model", "Scripted Phone")
        self.set("ro.kernel.qemu", "1")
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def set(self, name: str, value: str) -> None:
        """Set a property, for `getprop`."""
        (self.root / "props" / name).write_text(f"{value}\n")

    def set_app(self, code: int, name: str) -> None:
        """Put an app there, of this version."""
        text = f"    versionCode={code} minSdk=26 targetSdk=36\n    versionName={name}\n"
        (self.root / "package").write_text(f"Packages:\n  Package [{PACKAGE}] (1f):\n{text}")

    def set_start_answer(self, text: str) -> None:
        """What `am start` prints."""
        (self.root / "start_answer").write_text(f"{text}\n")

    def left(self) -> list[Path]:
        """The files that lie where things are pushed."""
        folders = (self.files, self.root / "data" / "local" / "tmp")
        return [path for folder in folders if folder.is_dir() for path in folder.iterdir()]

    def stop(self) -> None:
        """Vanish."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=Connection(self, connection).serve, daemon=True).start()

    def shell(self, command: str, apart: bool) -> tuple[bytes, bytes, int]:
        """Run a command line: standard output, standard error (`apart`, or within the first), exit status."""
        for folder in ("/data/local/tmp", "/sdcard"):
            command = command.replace(folder, f"{self.root}{folder}")
        command = command.replace("./edgebert-bench ", f"{self.bench}./edgebert-bench ")
        functions = f"app() {{\n{self.app}\n}}\nfirst_start() {{\n{self.first_start}\n}}\n{COMMANDS}"
        named = {"ROOT": str(self.root), "FILES": str(self.files), "PYTHON": sys.executable}
        settings = "".join(f"{name}='{value}'\n" for name, value in named.items())
        errors = subprocess.PIPE if apart else subprocess.STDOUT
        script = ["sh", "-c", settings + functions + command]
        done = subprocess.run(script, stdout=subprocess.PIPE, stderr=errors, timeout=120)
        root = str(self.root).encode()
        return done.stdout.replace(root, b""), (done.stderr or b"").replace(root, b""), done.returncode


class Stream:
    """One open service of a connection: what adb writes comes out of `read`."""

    def __init__(self, connection: Connection, mine: int, theirs: int) -> None:
        self.connection, self.mine, self.theirs = connection, mine, theirs
        self.inbox: queue.Queue[bytes] = queue.Queue()
        self.ready = threading.Semaphore(0)
        self._rest = b""

    def read(self, count: int) -> bytes:
        while len(self._rest) < count:
            part = self.inbox.get(timeout=60)
            if not part:
                raise EOFError
            self._rest += part
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def write(self, data: bytes) -> None:
        for start in range(0, len(data), LARGEST):
            self.connection.send("WRTE", self.mine, self.theirs, data[start : start + LARGEST])
            self.ready.acquire(timeout=60)


class Connection:
    """The packets of one connection; each service runs in a thread of its own."""

    def __init__(self, phone: ScriptedPhone, wire: socket.socket) -> None:
        self.phone, self.wire = phone, wire
        self.streams: dict[int, Stream] = {}
        self._lock = threading.Lock()

    def serve(self) -> None:
        with contextlib.suppress(EOFError, OSError), self.wire:
            while True:
                command, first, second, size, _, _ = struct.unpack("<6I", self._receive(24))
                name = next((name for name, number in NAMES.items() if number == command), "")
                getattr(self, f"_on_{name.lower()}", lambda *unused: None)(first, second, self._receive(size))

    def send(self, name: str, first: int, second: int, data: bytes = b"") -> None:
        head = struct.pack("<6I", NAMES[name], first, second, len(data), 0, NAMES[name] ^ 0xFFFFFFFF)
        with self._lock, contextlib.suppress(OSError):
            self.wire.sendall(head + data)

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.wire.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _on_cnxn(self, version: int, largest: int, banner: bytes) -> None:
        if self.phone.state == "unauthorized":
            self._on_auth(2, 0, b"")
        else:
            facts = f"ro.product.name=scripted;ro.product.model=Scripted Phone;features={self.phone.features}"
            self.send("CNXN", VERSION, LARGEST, f"{self.phone.state}::{facts}".encode())

    def _on_auth(self, kind: int, unused: int, data: bytes) -> None:
        if kind == 2:  # a signature, of a key that nobody has allowed yet; 3 is the key itself, which stays unanswered
            self.send("AUTH", 1, 0, b"\7" * 20)

    def _on_open(self, theirs: int, unused: int, data: bytes) -> None:
        mine = len(self.streams) + 1
        stream = self.streams[mine] = Stream(self, mine, theirs)
        threading.Thread(target=self._run, args=(stream, data.rstrip(b"\0").decode()), daemon=True).start()

    def _on_okay(self, theirs: int, mine: int, data: bytes) -> None:
        if mine in self.streams:
            self.streams[mine].ready.release()

    def _on_wrte(self, theirs: int, mine: int, data: bytes) -> None:
        if mine in self.streams:
            self.streams[mine].inbox.put(data)
            self.send("OKAY", mine, theirs)

    def _on_clse(self, theirs: int, mine: int, data: bytes) -> None:
        if mine in self.streams:
            self.streams[mine].inbox.put(b"")
            self.streams[mine].ready.release()

    def _run(self, stream: Stream, service: str) -> None:
        self.phone.log.append(service)
        if self.phone.lost_at and self.phone.lost_at in service:
            self.phone.stop()
            return
        kind, _, rest = service.partition(":")
        services: dict[str, Callable[[Stream, str, str], None]] = {"shell": shell, "sync": sync, "exec": install}
        self.send("OKAY", stream.mine, stream.theirs)
        with contextlib.suppress(EOFError, queue.Empty):
            services[kind.partition(",")[0]](stream, kind, rest)
        self.send("CLSE", stream.mine, stream.theirs)


def shell(stream: Stream, kind: str, command: str) -> None:
    """The new form sends (kind, size, bytes) with the exit status at the end; the old one only what was printed."""
    framed = "v2" in kind
    out, err, status = stream.connection.phone.shell(command, apart=framed)
    if not framed:
        stream.write(out)
        return
    for number, data in ((1, out), (2, err), (3, bytes([status]))):
        if data:
            stream.write(struct.pack("<BI", number, len(data)) + data)


def install(stream: Stream, kind: str, command: str) -> None:
    """`cmd package install -S SIZE`, the file behind it."""
    phone = stream.connection.phone
    words = command.replace("'", "").split()
    (phone.root / "installed.apk").write_bytes(stream.read(int(words[words.index("-S") + 1])))
    if phone.full:
        stream.write(b"Failure [INSTALL_FAILED_INSUFFICIENT_STORAGE: Failed to override installation location]\n")
        return
    if phone.installs and phone.install_answer == "Success\n":
        phone.set_app(*phone.installs)
    stream.write(phone.install_answer.encode())


def sync(stream: Stream, kind: str, unused: str) -> None:
    """File transfer: requests of four letters, a size and a path."""
    while True:
        request, size = struct.unpack("<4sI", stream.read(8))
        path = stream.read(size).decode()
        if request == b"QUIT":
            return
        if request == b"SEND":
            receive_file(stream, local(stream, path.rpartition(",")[0]))
        elif request == b"RECV":
            send_file(stream, local(stream, path))
        else:
            stream.write(facts_of(request, local(stream, path)))


def local(stream: Stream, path: str) -> Path:
    return stream.connection.phone.root / path.lstrip("/")


def facts_of(request: bytes, path: Path) -> bytes:
    size = path.stat().st_size if path.exists() else 0
    mode = FOLDER if path.is_dir() else REGULAR if path.exists() else 0
    if request == b"STAT":
        return struct.pack("<4s3I", request, mode, size, 1)
    missing = 0 if mode else 2
    return struct.pack("<4sIQQ4IQ3q", request, missing, 1, 1, mode, 1, 0, 0, size, 1, 1, 1)


def receive_file(stream: Stream, path: Path) -> None:
    content = b""
    while True:
        request, size = struct.unpack("<4sI", stream.read(8))
        if request == b"DONE":  # the size is the time of the file
            break
        content += stream.read(size)
    if stream.connection.phone.full:
        refuse(stream, "couldn't close: No space left on device")
    elif not path.parent.is_dir():
        refuse(stream, "couldn't create file: No such file or directory")
    else:
        path.write_bytes(content)
        stream.write(struct.pack("<4sI", b"OKAY", 0))


def send_file(stream: Stream, path: Path) -> None:
    if not path.is_file():
        refuse(stream, "No such file or directory")
        return
    content = path.read_bytes()
    for start in range(0, len(content), 1 << 16):
        part = content[start : start + (1 << 16)]
        stream.write(struct.pack("<4sI", b"DATA", len(part)) + part)
    stream.write(struct.pack("<4sI", b"DONE", 0))


def refuse(stream: Stream, reason: str) -> None:
    stream.write(struct.pack("<4sI", b"FAIL", len(reason)) + reason.encode())
