#!/usr/bin/env python3
"""Runs a command on a network that is bad: a loopback of its own that loses packets, or passes few.

  netfault.py loss PERCENT COMMAND...      of all packets, in every direction
  netfault.py rate MBIT COMMAND...         for all connections together, with what does not fit into 400 ms lost

Exits as COMMAND does. Needs root, or a kernel that gives namespaces to everyone; nft for `loss`, tc for `rate`. Nothing outside
of the command's network is touched.
"""
import os
import subprocess
import sys

LOOPBACK = ["ip", "link", "set", "lo", "up", "mtu", "1500"]     # at its own 64 KiB a lost packet would be a whole burst
FAULTS = {
    "loss": ["nft 'add table inet fault; add chain inet fault in {{ type filter hook input priority 0; }};"
             " add rule inet fault in numgen random mod 1000 < {per_mille} drop'"],
    "rate": ["tc qdisc replace dev lo root tbf rate {amount}mbit burst 64kb latency 400ms"],
}


def main():
    if len(sys.argv) < 4 or sys.argv[1] not in FAULTS:
        sys.exit(__doc__)
    if os.environ.get("NETFAULT_INSIDE") != str(os.getppid()):
        spaces = ["unshare", "--net"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
        os.environ["NETFAULT_INSIDE"] = str(os.getppid())       # `unshare` becomes the command: the parent stays
        os.execvp(spaces[0], [*spaces, sys.executable, *sys.argv])
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    fault, amount, *command = sys.argv[1:]
    subprocess.run(LOOPBACK, check=True)
    for line in FAULTS[fault]:
        subprocess.run(line.format(amount=amount, per_mille=round(float(amount) * 10)), shell=True, check=True)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
