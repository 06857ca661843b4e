"""The tables of a run, for people; they are Markdown too."""

PERCENTILES = ["p50", "p99", "p99.9"]


def show(result):
    proxies = list(result["proxies"])
    cells = {(m["row"], m["proxy"]): m for m in result["medians"]}
    rows = {m["row"]: m for m in result["medians"]}
    idle = [r for r in rows if r.startswith("idle-")]
    machine = result["machine"]
    print(f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}; {result['rounds']} rounds of {result['seconds']:g} s, {result['time']}")
    for name, about in result["proxies"].items():
        print(f"  {name}: {about['program']}")

    def table(title, names, cell, unit=lambda m: ""):
        lines = [[f"{rows[r]['what']}{unit(rows[r])}"] + [cell(cells[r, p]) if (r, p) in cells else "-" for p in proxies] for r in names]
        if lines:
            _print(title, ["", *proxies], lines)

    in_unit = lambda m: f", {m['unit']}"                                       # noqa: E731
    table("CPU per request, memory per connection, time to start (ratio to nginx): medians", rows, _figure, in_unit)
    if result["rounds"] > 1:
        table("the same, lowest to highest of the rounds", rows, lambda m: f"{_short(m['min'])} to {_short(m['max'])}", in_unit)
    timed = [r for r in ("latency", "events", "ws64", "ws16k") if r in rows]
    table("50th, 99th and 99.9th percentile, ms", timed, lambda m: " / ".join(_short(m["latency_ms"][q]) for q in PERCENTILES))
    loaded = [r for r in rows if rows[r]["requests_per_second"]]
    table("requests per second (the generator is often the limit; `latency` is at a given rate)", loaded,
          lambda m: f"{m['requests_per_second']:.0f}")
    table("99th percentile, ms", [r for r in loaded if rows[r]["p99_ms"] and r not in timed],
          lambda m: "-" if m["p99_ms"] is None else f"{m['p99_ms']:.2f}")
    table("resident memory, MiB: while the connections are idle, and a second after all have closed", idle,
          lambda m: f"{m['rss_idle_mib']:.1f} / {m['rss_mib']:.1f}")
    table("resident memory after the row, MiB: one process for all of these", loaded, lambda m: f"{m['rss_mib']:.1f}")
    print()
    for row in idle:
        print(f"{rows[row]['what']}: {rows[row]['connections']:.0f} of them")
    if "latency" in rows:
        print(f"half of the weakest's rate: {rows['latency']['rate']:.0f} requests per second")
    disturbed = {f"{m['row']}/{m['proxy']} {m['others_percent']:.0f} %" for m in result["medians"] if (m.get("others_percent") or 0) > 5}
    if disturbed:
        print(f"DISTURBED: others took their share of the proxy's core: {', '.join(sorted(disturbed))}")
    for m in result["medians"]:
        if m["failed"]:
            print(f"FAILED: {m['failed']} requests of {m['row']} through {m['proxy']}")
    for name, about in result["proxies"].items():
        if not about["resumes_sessions"]:
            print(f"NOTE: {name} does not resume TLS 1.3 sessions: its `resumed` row is full handshakes")


def _figure(m):
    return _short(m["value"]) + (f" ({m['ratio_to_nginx']:.2f})" if m["ratio_to_nginx"] else "")


def _short(value):
    """three digits or so"""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _print(title, head, lines):
    wide = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    print(f"\n{title}\n")
    for line in [head, ["-" * wide[0]] + ["-" * (w - 1) + ":" for w in wide[1:]], *lines]:
        print("| " + " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, wide))) + " |")
