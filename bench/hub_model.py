"""What hub users' actions cost an edge: counts from bench/hub-traffic times costs from bench/compare.

A cost is linear: so much for each request, connection and message, so much for each byte. What a result of
bench/compare does not have (a row not run) is taken from another row, and said to be assumed.
"""
import json
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TRAFFIC = HERE / "hub-traffic.json"
MIB = 2**20
# bench/compare keeps 64 connections busy; among a thousand users each request and message comes alone,
# which costs more. Fitted to bench/replay with 1,000 users at 12 times their pace (57 % of a core); bench/replay prints the error at any other.
ALONE = 2.4
# an idle connection of HTTP/2 beside one of HTTP/1
HTTP2_MORE = 28 * 1024
# how many bytes one operation of a row moves
BYTES = {"10m": 10 * MIB, "upload": 100 * MIB, "ws16k": 16 * 1024 - 64}


@dataclass
class Costs:
    """microseconds of one core, and bytes of memory; `assumed` says which were not measured"""
    request: float
    connection: float
    byte_out: float
    byte_in: float
    message: float
    message_byte: float
    memory_connection: float
    memory_tunnel: float
    assumed: dict

    def of(self, use):
        """CPU in seconds of `use`, among many users: how many requests, connections, messages and bytes"""
        return ALONE * 1e-6 * (use.get("requests", 0) * self.request + use.get("connections", 0) * self.connection
                       + use.get("body_out", 0) * self.byte_out + use.get("body_in", 0) * self.byte_in
                       + use.get("messages", 0) * self.message + use.get("message_bytes", 0) * self.message_byte)


def costs(result, proxy="hubgate"):
    """from what bench/compare wrote"""
    rows = {m["row"]: m for m in result["medians"] if m["proxy"] == proxy}
    us = {name: row["us_per_request"] for name, row in rows.items() if row.get("us_per_request") is not None}
    memory = {name: row["value"] * 1024 for name, row in rows.items() if row.get("unit") == "KiB"}
    assumed = {}

    def known(what, value, otherwise, why):
        if value is None:
            assumed[what] = why
        return otherwise if value is None else value

    request = us["small"]
    byte_out = (us["10m"] - request) / BYTES["10m"] if "10m" in us else None
    byte_out = known("byte_out", byte_out, 0.0012, "0.0012 us")
    byte_in = (us["upload"] - request) / BYTES["upload"] if "upload" in us else None
    byte_in = known("byte_in", byte_in, byte_out, "as a byte out")
    # an echo is a message in and one out
    message = us["ws64"] / 2 if "ws64" in us else None
    message = known("message", message, request / 3, "a third of a request")
    message_byte = (us["ws16k"] - us["ws64"]) / 2 / BYTES["ws16k"] if {"ws16k", "ws64"} <= set(us) else None
    return Costs(
        request=request, byte_out=byte_out, byte_in=byte_in, message=message,
        connection=known("connection", us["full"] - request if "full" in us else None, 200.0, "200 us"),
        message_byte=known("message_byte", message_byte, byte_out, "as a byte of a body"),
        memory_connection=known("memory_connection", memory.get("idle-tls"), 40 * 1024, "40 KiB"),
        memory_tunnel=known("memory_tunnel", memory.get("idle-ws"), 60 * 1024, "60 KiB"),
        assumed=assumed)


def newest_comparison():
    """the newest file of bench/results that has the rows"""
    for file in sorted((HERE / "results").glob("*.json"), reverse=True):
        found = json.loads(file.read_text())
        if any(m.get("row") == "small" and m.get("proxy") == "hubgate" for m in found.get("medians", ())):
            return file
    raise SystemExit("no result of bench/compare in bench/results: run it, or name one with --compare")


def phases(file=TRAFFIC):
    return {p["name"]: p for p in json.loads(file.read_text())["phases"]}


def use(phase):
    """what one time (one minute) of a phase asks of the edge"""
    n = phase["times"]
    messages = phase["messages"].values()
    return {"requests": phase["requests"] / n, "connections": phase["connections"] / n,
            "body_in": phase["body_in"] / n, "body_out": phase["body_out"] / n,
            "messages": sum(m["in"] + m["out"] for m in messages) / n,
            "message_bytes": sum(m["in_bytes"] + m["out_bytes"] for m in messages) / n}


def add(*uses):
    """(how often, use) pairs as one use"""
    total = {}
    for times, one in uses:
        for key, value in one.items():
            total[key] = total.get(key, 0) + times * value
    return total
