// What a user does, one action after the other, in a real browser (Debian's chromium, driven by playwright-core):
//   node browser_traffic.mjs BASE_URL [--minutes N]
// bench/hub-traffic runs it and counts at the edge. It says on standard output when a phase begins and ends, with what
// only the browser sees (WebSocket messages), and goes on when a line comes back, so that the counters are read between.
// Environment: CHROMIUM (default /usr/bin/chromium), HUB_PASSWORD.
import { chromium } from "playwright-core";
import { createInterface } from "node:readline";

const base = process.argv[2].replace(/\/$/, "");
const minutes = Number(process.argv[4] ?? 5);
const HUB = `${base}/jupyterhub`, BINDER = `${base}/binderhub`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--ignore-certificate-errors"],
});
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const seconds = (n) => new Promise((done) => setTimeout(done, n * 1000));

let messages = {}, events = 0, inFlight = 0, lastTraffic = Date.now();
async function newPage() {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1300, height: 900 } });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  const sockets = {};
  await cdp.send("Network.enable");
  const kind = (url) => /\/channels/.test(url) ? "kernel" : /\/terminals\//.test(url) ? "terminal" : /\/events\//.test(url) ? "events" : "other";
  cdp.on("Network.webSocketCreated", (e) => { sockets[e.requestId] = kind(e.url); });
  const count = (direction) => (e) => {
    const of = (messages[sockets[e.requestId]] ??= { in: 0, in_bytes: 0, out: 0, out_bytes: 0 });
    of[direction] += 1;
    of[`${direction}_bytes`] += e.response.opcode === 1 ? Buffer.byteLength(e.response.payloadData) : Buffer.byteLength(e.response.payloadData, "base64");
    lastTraffic = Date.now();
  };
  cdp.on("Network.webSocketFrameSent", count("in"));            // in and out as the edge sees them
  cdp.on("Network.webSocketFrameReceived", count("out"));
  cdp.on("Network.eventSourceMessageReceived", () => { events += 1; });
  page.on("request", () => { inFlight += 1; lastTraffic = Date.now(); });
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, () => { inFlight -= 1; lastTraffic = Date.now(); });
  return { context, page };
}
async function quiet(longest = 20) {          // until nothing has come or gone for 1.5 s
  const until = Date.now() + longest * 1000;
  while (Date.now() < until && Date.now() - lastTraffic < 1500) await seconds(0.1);
}
async function say(what) {
  console.log(JSON.stringify({ at: Date.now() / 1000, ...what }));
  await answers.next();
}
async function phase(name, times, action) {
  messages = {}, events = 0;
  await say({ begin: name });
  await action();
  await say({ end: name, times, messages, events });
}

const cell = async (page, code) => {           // runs it in the last cell
  await page.click(".jp-Notebook .jp-Cell:last-of-type .cm-content");
  await page.keyboard.insertText(code);
  await page.keyboard.press("Shift+Enter");
  await page.waitForSelector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', { timeout: 60000 });
};
const lab = (page) => page.waitForSelector('.jp-LauncherCard[data-category="Notebook"], .jp-Notebook', { timeout: 90000 });
const openNotebook = async (page) => {
  await page.click('.jp-LauncherCard[data-category="Notebook"]');
  await page.waitForSelector(".jp-Notebook .jp-Cell .cm-content", { timeout: 60000 });
  await page.waitForSelector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', { timeout: 60000 });
  await quiet();
};

{
  const { context, page } = await newPage();
  const user = "t" + Math.random().toString(36).slice(2, 8);
  await phase("log in", 1, async () => {
    await page.goto(`${HUB}/hub/login?next=${encodeURIComponent("/jupyterhub/hub/home")}`);
    await page.fill("#username_input", user);
    await page.fill("#password_input", process.env.HUB_PASSWORD || "edge-test");
    await page.click("#login_submit");
    await page.waitForURL(/\/hub\/home/);
    await quiet();
  });
  await phase("spawn, then JupyterLab for the first time", 1, async () => {
    await page.goto(`${HUB}/hub/spawn/${user}`);
    await page.waitForURL(new RegExp(`/user/${user}/lab`), { timeout: 90000 });
    await lab(page);
    await quiet();
  });
  await phase("JupyterLab again (browser cache warm)", 2, async () => {
    for (let i = 0; i < 2; i++) { await page.reload(); await lab(page); await quiet(); }
  });
  await phase("open a notebook and its kernel", 1, () => openNotebook(page));
  await phase("run a small cell", 10, async () => {
    for (let i = 0; i < 10; i++) { await cell(page, `${i}+1`); await quiet(3); }
  });
  await phase("run a cell that prints 200 lines", 3, async () => {
    for (let i = 0; i < 3; i++) {
      await cell(page, "import time\nfor i in range(200): print('step', i, 'loss 0.1234', flush=True); time.sleep(0.01)");
      await quiet(8);
    }
  });
  await phase("run a cell that shows a picture of 100 kB", 3, async () => {
    for (let i = 0; i < 3; i++) {
      await cell(page, "import os\nfrom IPython.display import Image, display\ndisplay(Image(data=os.urandom(100_000), format='png'))");
      await quiet(5);
    }
  });
  await page.keyboard.press("Control+s");      // the first time it asks for a name
  await page.click(".jp-Dialog .jp-mod-accept", { timeout: 5000 }).catch(() => {});
  await quiet();
  await phase("save the notebook by hand", 5, async () => {
    for (let i = 0; i < 5; i++) {
      await page.click(".jp-Notebook .jp-Cell:last-of-type .cm-content");
      await page.keyboard.insertText(`# ${i}\n`);
      await seconds(0.5);
      await page.keyboard.press("Control+s");
      await seconds(1);
      await quiet(4);
    }
  });
  await phase(`work: a cell every 20 s, autosave by itself`, minutes, async () => {
    const until = Date.now() + minutes * 60000;
    for (let i = 0; Date.now() < until; i++) {
      await cell(page, `sum(range(${i}))`);
      await seconds(Math.max(0, Math.min(20, (until - Date.now()) / 1000)));
    }
  });
  await page.keyboard.press("Control+s");
  await quiet();
  await phase("a tab in sight, nobody types", minutes, () => seconds(minutes * 60));
  // what Chromium says of a tab behind another; headless, it never says so itself
  await page.evaluate(() => {
    for (const [name, value] of [["hidden", true], ["visibilityState", "hidden"]]) Object.defineProperty(document, name, { configurable: true, get: () => value });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await phase("a tab out of sight", minutes, () => seconds(minutes * 60));
  await page.evaluate(() => { delete document.hidden; delete document.visibilityState; document.dispatchEvent(new Event("visibilitychange")); });
  await quiet();
  await phase("open a terminal", 1, async () => {
    await page.keyboard.press("Escape");
    await page.click('jp-button[data-command="launcher:create"]');
    await page.click('.jp-LauncherCard[title="Start a new terminal session"]:visible', { timeout: 20000 });
    await page.waitForSelector(".jp-Terminal .xterm-screen, .jp-Terminal .xterm", { timeout: 20000 });
    await seconds(1.5);
    await quiet();
  });
  await phase("type a command of 20 letters into the terminal", 5, async () => {
    await page.click(".jp-Terminal .xterm");
    for (let i = 0; i < 5; i++) { await page.keyboard.type("echo 45678901234567 \n", { delay: 60 }); await quiet(3); }
  });
  await phase("upload a file of 12 MiB", 1, async () => {
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), page.click('.jp-FileBrowser-toolbar [title^="Upload"]')]);
    await chooser.setFiles({ name: "up.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(12 * 2 ** 20, 7) });
    await seconds(3);
    await quiet(30);
  });
  await phase("close the tab", 1, async () => { await context.close(); await seconds(1); });
}
{
  const { context, page } = await newPage();
  await phase("Binder: build page with 100 log lines, then JupyterLab", 1, async () => {
    await page.goto(`${BINDER}/v2/gh/org/n100-ms100/main`);
    await page.waitForURL(/\/user\/org-/, { timeout: 90000 });
    await lab(page);
    await quiet();
  });
  await context.close();
}
await browser.close();
process.exit(0);
