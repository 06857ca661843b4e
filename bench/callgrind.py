"""Runs a program under callgrind, and reads what callgrind counted."""
import re
import shutil
import subprocess
import sys
from collections import Counter

OPTIONS = ["--tool=callgrind", "--separate-threads=yes", "--quiet", "--combine-dumps=no", "--dump-instr=no"]


def command(program, out, lines=False):
    """what runs `program` (a list) and writes counts to `out`-01 (the main thread), `out`-02, ..."""
    valgrind = shutil.which("valgrind") or sys.exit("valgrind is missing: tests/install.sh instructions")
    return [valgrind, *OPTIONS, f"--dump-line={'yes' if lines else 'no'}", f"--callgrind-out-file={out}", *program]


def version():
    return subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def counts(out):
    """instructions of all threads but the main one: (total, by function alone, by function with all it calls)"""
    total, alone, within = 0, Counter(), Counter()
    for path in sorted(out.parent.glob(f"{out.name}-*")):
        if path.name.endswith("-01"):
            continue
        total += read(path, alone, within)
    return total, alone, within


def read(path, alone, within):
    """adds one file's counts; the format is described in valgrind's manual, section Callgrind Format Specification"""
    names, total, function, called = {}, 0, None, None
    naming = re.compile(r"(c?fn)=\((\d+)\)(?: (.*))?")
    for line in open(path, errors="replace"):
        if named := naming.match(line):
            kind, number, name = named.groups()
            if name:
                names[number] = name
            if kind == "fn":
                function = names[number]
            else:
                called = names[number]
        elif line[0].isdigit() or line[0] in "+-*":
            cost = int(line.split()[1]) if " " in line.rstrip() else 0
            if called is None:
                alone[function] += cost
                within[function] += cost
                total += cost
            else:
                if called != function:
                    within[function] += cost
                called = None
    return total
