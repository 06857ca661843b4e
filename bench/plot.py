"""A run as bars: each row's figure as a ratio to nginx's. SVG by hand; light and dark alike."""
from html import escape

COLOURS = {"hubgate": "#e8590c", "hubgate-log": "#f4a261", "hubgate-all": "#ffd8a8", "haproxy": "#1c7ed6", "caddy": "#2b9348", "pingap": "#9c36b5"}
BAR, GAP, LEFT, WIDE, MOST = 9, 9, 330, 520, 2.6          # ratios beyond MOST are cut and told


def draw(result):
    rows = {m["row"]: m["what"] for m in result["medians"]}
    drawn = [p for p in result["proxies"] if p in COLOURS]
    cells = {(m["row"], m["proxy"]): m["ratio_to_nginx"] for m in result["medians"]}
    p99 = {m["proxy"]: m["latency_ms"]["p99"] for m in result["medians"] if m["row"] == "latency"}
    if p99.get("nginx"):
        rows["p99"] = "99th percentile at that rate"
        cells |= {("p99", proxy): ms / p99["nginx"] for proxy, ms in p99.items()}
    x = lambda ratio: LEFT + min(ratio, MOST) / MOST * WIDE                   # noqa: E731
    out, y = [], 64
    for row, what in rows.items():
        bars = [(p, cells[row, p]) for p in drawn if cells.get((row, p))]
        if not bars:
            continue
        out.append(f'<text x="{LEFT - 10}" y="{y + len(bars) * BAR / 2 + 4:.1f}" text-anchor="end">{escape(what)}</text>')
        for proxy, ratio in bars:
            out.append(f'<rect x="{LEFT}" y="{y}" width="{x(ratio) - LEFT:.1f}" height="{BAR - 1}" fill="{COLOURS[proxy]}"/>')
            out.append(f'<text class="n" x="{x(ratio) + 4:.1f}" y="{y + BAR - 2}">{ratio:.2f}</text>')
            y += BAR
        y += GAP
    grid = [f'<line class="{"one" if tick == 1 else "grid"}" x1="{x(tick):.1f}" y1="52" x2="{x(tick):.1f}" y2="{y}"/>'
            f'<text class="n" x="{x(tick):.1f}" y="48" text-anchor="middle">{"nginx" if tick == 1 else tick}</text>' for tick in (0, 0.5, 1, 1.5, 2, 2.5)]
    legend = [f'<rect x="{LEFT + 100 * i}" y="24" width="10" height="10" fill="{COLOURS[p]}"/><text x="{LEFT + 100 * i + 15}" y="33">{p}</text>'
              for i, p in enumerate(drawn)]
    machine = result["machine"]
    about = f"{machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {result['time'][:10]}, median of {result['rounds']} rounds"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDE + 50} {y + 28}" font-family="sans-serif" font-size="12">',
        "<style>text{fill:#333}.n{font-size:9px;fill:#666}.grid{stroke:#8885}.one{stroke:#888;stroke-width:1.5}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.n{fill:#aaa}}</style>",
        f'<text x="{LEFT}" y="14" font-weight="bold">CPU, memory and time as a ratio to nginx: shorter is better</text>',
        *legend, *grid, *out, f'<text class="n" x="{LEFT}" y="{y + 16}">{escape(about)}</text>', "</svg>"]) + "\n"
