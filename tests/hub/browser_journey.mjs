// The same journey in a real browser (Debian's chromium, driven by playwright-core):
//   node browser_journey.mjs BASE_URL [--binder-base URL] [--hub-base URL] [--connect HOST:PORT] [--spki HASH,HASH] [--shots DIR]
// 1. BinderHub's own page builds and launches (its JavaScript reads the event stream), JupyterLab
//    opens, a notebook cell and a terminal run.  2. The same after logging in to JupyterHub.
// With --spki only certificates with one of these public keys (base64 of SHA-256) are accepted; without it, any.
// Exits 1 on failure.  Environment: CHROMIUM (default /usr/bin/chromium), HUB_PASSWORD.
import { chromium } from "playwright-core";

const args = process.argv.slice(2);
const opt = (n) => { const i = args.indexOf(n); return i < 0 ? undefined : args.splice(i, 2)[1]; };
const connect = opt("--connect"), shots = opt("--shots"), spki = opt("--spki");
const bare = (url) => url.replace(/\/$/, "");
const binderBase = opt("--binder-base"), hubBase = opt("--hub-base"), base = bare(args[0]);
const BINDER = bare(binderBase ?? `${base}/binderhub`), HUB = bare(hubBase ?? `${base}/jupyterhub`);
const hosts = [...new Set([BINDER, HUB].map((b) => { const u = new URL(b); return `${u.hostname}:${u.port || 443}`; }))];
const rules = connect ? [`--host-resolver-rules=${hosts.map((h) => `MAP ${h} ${connect}`).join(", ")}`] : [];
if (spki) rules.push(`--ignore-certificate-errors-spki-list=${spki}`);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", ...rules],
});
let failed = 0;
const t00 = Date.now();
async function step(name, fn) {
  const t = Date.now();
  try {
    const note = await fn();
    console.log(`ok    ${name.padEnd(34)} ${((Date.now() - t) / 1000).toFixed(2)}s  ${note ?? ""}`);
  } catch (e) {
    failed++;
    console.log(`FAIL  ${name.padEnd(34)} ${((Date.now() - t) / 1000).toFixed(2)}s  ${String(e).split("\n")[0].slice(0, 300)}`);
  }
}
async function newPage() {
  const context = await browser.newContext({ ignoreHTTPSErrors: !spki, viewport: { width: 1300, height: 900 } });
  const page = await context.newPage();
  const seen = { events: [], ws: [], bad: [], protocols: {} };
  const cdp = await context.newCDPSession(page);
  await cdp.send("Network.enable");
  cdp.on("Network.eventSourceMessageReceived", (e) => seen.events.push({ at: Date.now() / 1000, ...JSON.parse(e.data) }));
  cdp.on("Network.webSocketHandshakeResponseReceived", (e) => seen.ws.push(e.response.status));
  cdp.on("Network.responseReceived", (e) => {
    const r = e.response;
    seen.protocols[r.protocol] = (seen.protocols[r.protocol] || 0) + 1;
    if (r.status >= 400 && /^https?:/.test(r.url)) seen.bad.push(`${r.status} ${new URL(r.url).pathname.slice(0, 90)}`);
  });
  return { context, page, seen };
}
async function notebook(page) {
  await page.waitForSelector('.jp-LauncherCard[data-category="Notebook"]', { timeout: 60000 });
  await page.click('.jp-LauncherCard[data-category="Notebook"]');
  await page.waitForSelector(".jp-Notebook .jp-Cell .cm-content", { timeout: 60000 });
  await page.waitForSelector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', { timeout: 60000 });
  let out, t;
  for (let i = 0; i < 4 && !out; i++) {      // a cell run before the kernel has connected is not run at all
    await page.click(".jp-Notebook .jp-Cell .cm-content");
    await page.keyboard.press("Control+a");
    t = Date.now();
    await page.keyboard.type("1+1");
    await page.keyboard.press("Shift+Enter");
    out = await page.waitForSelector(".jp-OutputArea-executeResult .jp-OutputArea-output", { timeout: 4000 }).catch(() => undefined);
  }
  if (!out) throw new Error("no output from 1+1");
  const text = (await out.innerText()).trim();
  if (text !== "2") throw new Error(`1+1 gave ${text}`);
  return `1+1 = ${text} (${Date.now() - t} ms from typing)`;
}
// asked by the page, as JupyterLab asks: same resolver, cookies and XSRF token
const get = (page, url) => page.evaluate(async (url) => {
  const xsrf = document.cookie.split("; ").map((c) => c.split("=")).find(([k]) => k === "_xsrf");
  const r = await fetch(url, { headers: xsrf ? { "X-XSRFToken": xsrf[1] } : {} });
  return r.ok ? r.text() : "";
}, url);
const shot = async (page, n) => { if (shots) await page.screenshot({ path: `${shots}/${n}.png` }); };

{ // ---- Binder
  const { context, page, seen } = await newPage();
  await step("binder: build page to JupyterLab", async () => {
    const t = Date.now();
    await page.goto(`${BINDER}/v2/gh/org/n20-ms250/feature%2Fbranch`);
    await page.waitForURL(/\/user\/org-/, { timeout: 90000 });
    const lines = seen.events.filter((e) => "seq" in e).map((e) => (e.at - e.emitted) * 1000).sort((a, b) => a - b);
    const spec = seen.events.find((e) => e.binder_url)?.binder_url;
    if (lines.length !== 20) throw new Error(`${lines.length} of 20 log lines seen by the page`);
    if (!spec.endsWith("feature%2Fbranch")) throw new Error(`spec ${spec}`);
    if (lines.at(-1) > 1000) throw new Error(`log lines late: median ${lines[10].toFixed(0)} ms, worst ${lines.at(-1).toFixed(0)} ms`);
    return `20 log lines in the page, delay median ${lines[10].toFixed(1)} ms worst ${lines.at(-1).toFixed(1)} ms; redirected to the server after ${((Date.now() - t) / 1000).toFixed(1)}s`;
  });
  await step("binder: notebook cell", async () => {
    if (!/\/lab/.test(page.url())) await page.waitForURL(/\/lab/, { timeout: 30000 });
    return notebook(page);
  });
  await shot(page, "binder");
  console.log(`      websocket handshakes ${seen.ws.join(" ")}; protocols ${JSON.stringify(seen.protocols)}; errors ${[...new Set(seen.bad)].slice(0, 4).join(", ") || "none"}`);
  await context.close();
}
{ // ---- JupyterHub
  const { context, page, seen } = await newPage();
  const user = "b" + Math.random().toString(36).slice(2, 8);
  await step("hub: log in, spawn, JupyterLab", async () => {
    await page.goto(`${HUB}/`);
    await page.fill("#username_input", user);
    await page.fill("#password_input", process.env.HUB_PASSWORD || "edge-test");
    await page.click("#login_submit");
    await page.waitForURL(/\/(spawn-pending|user)\//, { timeout: 30000 });
    await page.waitForURL(new RegExp(`/user/${user}/lab`), { timeout: 90000 });
    const p = seen.events.filter((e) => "emitted" in e).map((e) => (e.at - e.emitted) * 1000).sort((a, b) => a - b);
    return `${p.length} progress events in the page, worst delay ${p.at(-1)?.toFixed(1)} ms`;
  });
  await step("hub: notebook cell", () => notebook(page));
  await step("hub: terminal", async () => {
    await page.keyboard.press("Escape");
    await page.click('jp-button[data-command="launcher:create"]');
    await page.click('.jp-LauncherCard[title="Start a new terminal session"]:visible', { timeout: 20000 });
    await page.waitForSelector(".jp-Terminal .xterm-screen, .jp-Terminal .xterm", { timeout: 20000 });
    await page.waitForTimeout(1500);
    await page.click(".jp-Terminal .xterm");
    await page.keyboard.type("echo answer=$((20+22)) > edge-terminal.txt\n");
    for (let i = 0; i < 40; i++) {
      await page.waitForTimeout(250);
      const r = await get(page, `${HUB}/user/${user}/files/edge-terminal.txt`);
      if (r.trim() === "answer=42") return "the shell wrote answer=42";
    }
    throw new Error("the terminal did not run the command");
  });
  await step("hub: upload by the page", async () => {
    const mb = 12;
    const [fc] = await Promise.all([
      page.waitForEvent("filechooser"),
      page.click('.jp-FileBrowser-toolbar [title^="Upload"]'),
    ]);
    await fc.setFiles({ name: "up.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(mb * 2 ** 20, 7) });
    for (let i = 0; i < 80; i++) {
      await page.waitForTimeout(250);
      const r = await get(page, `${HUB}/user/${user}/api/contents/up.bin?content=0`);
      if (r.includes(`"size": ${mb * 2 ** 20},`) || r.includes(`"size":${mb * 2 ** 20},`)) return `${mb} MB arrived`;
    }
    throw new Error("the file did not arrive whole");
  });
  await shot(page, "hub");
  console.log(`      websocket handshakes ${seen.ws.join(" ")}; protocols ${JSON.stringify(seen.protocols)}; errors ${[...new Set(seen.bad)].slice(0, 4).join(", ") || "none"}`);
  await context.close();
}
await browser.close();
console.log(`${failed ? failed + " steps failed" : "all steps pass"} in ${((Date.now() - t00) / 1000).toFixed(0)}s`);
process.exit(failed ? 1 : 0);
