#!/usr/bin/env python3
"""What a test run needs of this host: free loopback ports, and a certificate for `localhost`.

  localhost.py N     prints N ports; none that stands in the file that PORTS_GIVEN names, to which they are added
"""
import os
import random
import socket
import subprocess
import sys
from pathlib import Path


def free_port():
    """free for TCP and UDP alike, and below the range that outgoing connections take theirs from"""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10240, low) if low > 12000 else random.randrange(20000, 65000)
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(socket.AF_INET, kind) as s:
                    s.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port


def self_signed(chain, key, subject="localhost"):
    """writes an ECDSA P-256 pair for `localhost`"""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={subject}", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", chain],
                   check=True, stderr=subprocess.DEVNULL)
    key.chmod(0o600)


if __name__ == "__main__":
    found, given = set(), os.environ.get("PORTS_GIVEN")
    # what was given before may not have been bound yet
    before = set(Path(given).read_text().split()) if given and Path(given).exists() else set()
    while len(found) < int(sys.argv[1]):
        port = free_port()
        if str(port) not in before:
            found.add(port)
    if given:
        with open(given, "a") as file:
            print(*found, file=file)
    print(*found)
