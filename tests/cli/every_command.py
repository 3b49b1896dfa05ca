"""Every command with few arguments, and a process that runs many of them: each in a fork.

Starting Python and importing numpy and OpenCV for each of them would take minutes.
"""

import json
import subprocess
import sys

# PHOTO shows Grace Hopper and MANY is a folder with 32 of her, enough for OpenVINO. Each command
# runs in a folder of its own with the gallery.db of Grace Hopper and Eileen Collins.
COMMANDS = {
    "version": ["--version"],
    "help": ["--help"],
    "help of a command": ["identify", "--help"],
    "help of a group": ["people", "--help"],
    "no such command": ["who"],
    "identify": ["identify", "PHOTO"],
    "verify": ["verify", "PHOTO", "PHOTO"],
    "search": ["search", "PHOTO", "-k", "1"],
    "demo": ["demo", "--help"],  # seconds; it identifies, as other commands do
    "web": ["web"],
    "enroll": ["enroll", "PHOTO", "--name", "Ann"],
    "cluster": ["cluster", "PHOTO"],
    "dedupe": ["dedupe", "."],
    "history": ["history"],
    "undo": ["undo"],
    "doctor": ["doctor"],
    "train": ["train", "nowhere", "--out", "out"],
    "evaluate": ["evaluate", "default", "nowhere"],
    "people list": ["people", "list"],
    "people show": ["people", "show", "Grace Hopper"],
    "people merge": ["people", "merge", "Eileen Collins", "--into", "Grace Hopper"],
    "people split": ["people", "split", "Grace Hopper", "PHOTO", "--as", "Ann"],
    "people move": ["people", "move", "PHOTO", "--from", "Grace Hopper", "--to", "Eileen Collins"],
    "people rename": ["people", "rename", "Grace Hopper", "Grace"],
    "people confirm": ["people", "confirm", "PHOTO", "Grace Hopper"],
    "people reject": ["people", "reject", "PHOTO", "Grace Hopper"],
    "people stranger": ["people", "stranger", "PHOTO"],
    "people no-face": ["people", "no-face", "PHOTO"],
    "people not-same": ["people", "not-same", "Grace Hopper", "Eileen Collins"],
    "people forget": ["people", "forget", "Grace Hopper", "--yes"],
    "a question": ["people", "forget", "Grace Hopper"],
    "gallery info": ["gallery", "info"],
    "gallery check": ["gallery", "check"],
    "gallery rebuild": ["gallery", "rebuild"],
    "gallery export": ["gallery", "export", "copy.db"],
    "gallery import": ["gallery", "import", "gallery.db", "-g", "other.db"],
    "gallery restore": ["gallery", "restore", "gallery.db", "-g", "other.db"],
    "gallery migrate": ["gallery", "migrate", "--model", "default"],
    "models list": ["models", "list"],
    "models show": ["models", "show", "default"],
}

FORKING = """
import json, os, shutil, sys, tempfile, urllib.request
import cv2, numpy
import PIL.JpegImagePlugin, typer.rich_utils
import facesearch.gallery, facesearch.review, facesearch.wire
from facesearch_cli import main

try:
    import facesearch_indexes.faiss_index
except ImportError:
    pass

cv2.setNumThreads(1)  # a fork has no threads of its parent
gallery = os.environ["FACESEARCH_HOME"]

def visit(page):
    # what a browser does, then what a user does who stops the page
    address = open(urllib.request.url2pathname(page.removeprefix("file://"))).read()
    address = address.partition('href="')[2].partition('"')[0]
    urllib.request.urlopen(address).read()
    os.kill(os.getpid(), 15)

def child(words, edge, folder):
    os.chdir(folder)
    shutil.copy(gallery, "gallery.db")
    os.environ["FACESEARCH_HOME"] = "gallery.db"
    streams = [sys.stdin, sys.stdout, sys.stderr]
    for number in range(3):
        os.dup2(os.open("stdin" if number == 0 else f"std{number}",
                        os.O_CREAT | (os.O_RDONLY if number == 0 else os.O_WRONLY)), number)
    if edge == "closed":
        for number in range(3):
            os.close(number)
        sys.stdin = sys.stdout = sys.stderr = None
    elif edge == "full":
        for number in (1, 2):
            os.dup2(os.open("/dev/full", os.O_WRONLY), number)
    elif edge == "no reader":
        reading, writing = os.pipe()
        os.close(reading)
        os.dup2(writing, 1)
    import webbrowser
    webbrowser.open = visit
    sys.argv = ["facesearch", *words]
    main.run()

for words, edge in json.load(sys.stdin):
    folder = tempfile.mkdtemp()
    process = os.fork()
    if process == 0:
        try:
            child(words, edge, folder)
        except SystemExit as leaving:
            code = leaving.code or 0
        except BaseException as error:
            import traceback
            open(folder + "/std2", "a").write(traceback.format_exc())
            code = 99
        try:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        except BaseException:
            code = 120  # as Python ends
        os._exit(code)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    said = [open(f"{folder}/std{n}", errors="replace").read() for n in (1, 2)]
    shutil.rmtree(folder)
    print(json.dumps([code, *said]), flush=True)
"""


def run_each(cases, gallery, env, before=()):
    """Return exit code, stdout and stderr of each of `cases`, (words, edge).

    `edge`: "" has stdout and stderr in files, "closed" none of the three streams, "full" both on a
    full disk, "no reader" a closed pipe for stdout. `before`: words before those that start Python.
    """
    done = subprocess.run(
        [*before, sys.executable, "-c", FORKING],
        input=json.dumps(list(cases)),
        env={**env, "FACESEARCH_HOME": str(gallery)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
