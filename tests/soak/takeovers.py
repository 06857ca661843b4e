"""Binary upgrades, and programs that cannot take over: a folder of programs, and what `hubgate upgrade` makes of each."""
import asyncio
import os
import re
import signal
from pathlib import Path

DIES = "dies after it took over"
HANG = "exec sleep 600"
SCRIPTS = {
    "ends at once": "exit 0",
    "ends with a fault": "echo broken >&2; exit 7",
    "knows no upgrade": "echo \"error: unexpected argument '$2' found\" >&2; exit 2",
    "crashes": "kill -SEGV $$",
    "hangs": HANG,
    "talks nonsense": f"echo hello >&0; {HANG}",
    "hangs up": f"exec 0</dev/null; {HANG}",
}


class Takeovers:
    """What was tried on one edge; `faults` is what did not go as it has to."""

    def __init__(self, edge):
        self.edge, self.faults = edge, []
        self.done, self.refused, self.took = 0, {}, []
        self.folder = edge.folder / "programs"
        self.folder.mkdir()
        self.bad = {name: self.script(name, text) for name, text in SCRIPTS.items()}
        self.bad["is missing"] = self.folder / "missing"
        self.bad["is not executable"] = self.folder / "plain"
        self.bad["is not executable"].write_text("#!/bin/sh\n")
        self.bad["is for another machine"] = self.folder / "other"
        header = bytearray(Path(edge.program).read_bytes()[:4096])
        header[18] = 0xB7 if header[18] == 0x3E else 0x3E
        self.bad["is for another machine"].write_bytes(header)
        self.bad["is for another machine"].chmod(0o755)
        said = self.folder / "pid"
        self.bad[DIES] = self.script("fragile", f'echo $$ > {said}; exec {edge.program} "$@"')
        self.said = said

    def script(self, name, text):
        path = self.folder / name.replace(" ", "-")
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    async def upgrade(self, program=None, meanwhile=None):
        command = [self.edge.program, "upgrade", "--socket", self.edge.folder / "admin.sock"]
        command += ["--program", program] if program else []
        p = await asyncio.create_subprocess_exec(*map(str, command), stdin=asyncio.subprocess.DEVNULL,
                                                 stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        if meanwhile:
            await meanwhile()
        said = (await p.communicate())[0].decode(errors="replace")
        return p.returncode, said

    async def succeed(self):
        began = asyncio.get_running_loop().time()
        code, said = await self.upgrade()
        found = re.search(r"upgraded: process (\d+) serves", said)
        if code or not found:
            self.faults.append(f"upgrade {self.done + 1}: exit status {code}: {said.strip()}")
            return
        self.took.append(asyncio.get_running_loop().time() - began)
        self.edge.successor(int(found.group(1)))
        self.done += 1

    async def fail(self, name):
        """the program has to be refused, with a reason"""
        kill = self.kill if name == DIES else None
        code, said = await self.upgrade(self.bad[name], kill)
        if code != 1 or "error: " not in said:
            self.faults.append(f"a program that {name}: exit status {code}: {said.strip()}")
        line = next((line for line in said.splitlines() if line.startswith("error")), "")
        self.refused[name] = line.replace(f"{self.folder}/", "")[:110]

    async def refuse(self):
        """so has one that finds a configuration it cannot take"""
        config = self.edge.folder / "hubgate.toml"
        good = config.read_text()
        config.write_text(good.replace("[listen]", "[lisetn]"))
        code, said = await self.upgrade()
        config.write_text(good)
        if code != 1 or "lisetn" not in said:
            self.faults.append(f"a configuration with a fault: exit status {code}: {said.strip()}")
        self.refused["refuses the configuration"] = said.splitlines()[0][:110]

    async def kill(self):
        """ends the successor once it serves: the log says when"""
        before = self.edge.log_text().count("taking over")
        for _ in range(1000):
            if self.edge.log_text().count("taking over") > before and self.said.exists():
                os.kill(int(self.said.read_text()), signal.SIGKILL)
                return
            await asyncio.sleep(0.02)
        self.faults.append("the successor that was to die never took over")
