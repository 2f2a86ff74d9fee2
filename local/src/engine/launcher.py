"""Runs one local engine for as long as whoever started this script lives, and lets nothing outlive it.

Owns: the engine's port, environment and folder, and the end of every process under it.
Not here: what runs on the engine, and how its Python environment comes about.

Usage: launcher.py FOLDER, where FOLDER is where the engine's own folder is made.
On standard output, one JSON object on a line:
  {"ready": {"port": 40001, "log": "/…/engine.log"}}
  {"died": "the last lines of its log"}
  {"silent": "the last lines of its log"}
Standard input is the life line. Its end means that the starter is gone, however it went: the kernel closes a
pipe of a killed process too. Then all that was started here is killed, the folder is removed, and the exit
status says whether that worked.
"""

import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ACCOUNT = "123456789012"
REGION = "us-east-1"

# Seconds that the engine may take to answer. It takes a third of one; this is for a busy machine.
START_PATIENCE = 30

# How many lines of the log explain a failed start.
LOG_TAIL = 25

# Seconds that killed processes get to disappear. It takes milliseconds; this is for a machine that swaps.
KILL_PATIENCE = 10

# Linux, <linux/prctl.h>.
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

LINUX = sys.platform.startswith("linux")


def prctl(option, value):
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def die_with_launcher():
    """Runs in the engine before its program starts, in case this script itself is killed."""
    if LINUX:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def environment(folder, port):
    """All that the engine sees. Its Lambdas inherit it, so nothing of the developer's may be in it."""
    # Without these two a Python from outside the system's folders may not start.
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {
        "HOME": folder,
        "TMPDIR": folder,
        "S3_DATA_DIR": os.path.join(folder, "s3"),
        "STATE_DIR": os.path.join(folder, "state"),
        "GATEWAY_PORT": str(port),
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        # What it calls itself in the addresses it gives out; "localhost" may mean an IPv6 address, where it is not.
        "MINISTACK_HOST": "127.0.0.1",
        # These listen on fixed ports, so two engines would quarrel.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # It would look for left-over containers of earlier engines and remove them.
        "DOCKER_HOST": f"unix://{folder}/no-docker.sock",
    }


def listen():
    """A free port that is ours from now on: the engine gets the open socket, so nobody can take the port first."""
    listener = socket.socket()
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def start(folder, listener, log):
    port = listener.getsockname()[1]
    server = ["-m", "hypercorn", "ministack.app:app", "--workers", "0", "--keep-alive", "75"]
    return subprocess.Popen(
        [sys.executable, *server, "--bind", f"fd://{listener.fileno()}"],
        cwd=folder,
        env=environment(folder, port),
        pass_fds=[listener.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_launcher,
    )


def announce(port, log_path):
    """Says once whether the engine answers.

    The request waits in the socket's queue until the engine is up, so there is nothing to poll; an engine that
    dies takes the socket along, which ends the request.
    """
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_PATIENCE)
        connection.request("GET", "/_ministack/health")
        outcome = "ready" if connection.getresponse().status == 200 else "silent"
    except TimeoutError:
        outcome = "silent"
    except (OSError, http.client.HTTPException):
        outcome = "died"
    if outcome == "ready":
        answer = {"port": port, "log": log_path}
    else:
        with open(log_path, encoding="utf-8", errors="replace") as log:
            answer = "".join(log.readlines()[-LOG_TAIL:]).rstrip()
    try:
        print(json.dumps({outcome: answer}), flush=True)
    except OSError:
        pass  # Whoever started this is gone already; the life line says so too.


def children():
    """The processes whose parent this script is, among them orphans from further below."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as stat:
                    # The name in brackets may hold anything; the state and then the parent follow the last bracket.
                    parent = int(stat.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            if parent == os.getpid():
                found.append(int(entry))
    return found


def end(engine):
    """Kills the engine and its Lambdas; true when none is left.

    Lambdas run in the engine's process group. One that left it becomes this script's child when its parent dies,
    because this script is a subreaper (Linux only): so killing children until there are none gets everything.
    """
    try:
        os.killpg(engine.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    deadline = time.monotonic() + KILL_PATIENCE
    while time.monotonic() < deadline:
        if LINUX:
            for child in children():
                try:
                    os.kill(child, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return True
        time.sleep(0.005)
    return False


def interrupted(_signal, _frame):
    raise SystemExit


def main():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    if LINUX:
        prctl(PR_SET_CHILD_SUBREAPER, 1)

    folder = tempfile.mkdtemp(prefix="", dir=sys.argv[1])
    engine = None
    gone = True
    try:
        log_path = os.path.join(folder, "engine.log")
        with open(log_path, "wb") as log, listen() as listener:
            port = listener.getsockname()[1]
            engine = start(folder, listener, log)
        threading.Thread(target=announce, args=(port, log_path), daemon=True).start()
        sys.stdin.buffer.read()
    finally:
        # Nothing may cut the clean-up short.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if engine is not None:
            gone = end(engine)
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if gone else 1)


main()
