// A Chromium, and a page in it that is watched: whatever it fetches, violates or throws is noted.

import { createRequire } from "node:module";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";

// The packages are not beside this file.
const modules = process.env.BROWSER_PACKAGES;
const resolve = createRequire(path.join(modules, "package.json")).resolve;
const load = async (name) => import(pathToFileURL(resolve(name)));

export const axeSource = resolve("axe-core/axe.min.js");

const puppeteer = (await load("puppeteer-core")).default;

// The one that is named, or else the package's, which has arguments of its own, and brings libraries and a font along as on a
// function's machine. Its settings for fonts lead elsewhere.
const launchOptions = async () => {
  const named = process.env.BROWSER_PROGRAM;
  if (named) return { executablePath: named, args: ["--no-sandbox"] };
  process.env.AWS_EXECUTION_ENV ??= "AWS_Lambda_nodejs20.x";
  const chromium = (await load("@sparticuz/chromium")).default;
  chromium.setGraphicsMode = false;
  const executablePath = await chromium.executablePath();
  const fonts = path.join(tmpdir(), "fonts.conf");
  const folders = [path.join(tmpdir(), "fonts"), "/usr/share/fonts"].map((folder) => `<dir>${folder}</dir>`);
  await writeFile(fonts, `<fontconfig>${folders.join("")}<cachedir>${path.join(tmpdir(), "fonts-cache")}</cachedir></fontconfig>`);
  process.env.FONTCONFIG_FILE = fonts;
  return { executablePath, args: chromium.args, headless: "shell" };
};

export const withBrowser = async (act) => {
  const browser = await puppeteer.launch({ ...(await launchOptions()), timeout: 60_000, protocolTimeout: 60_000 });
  try {
    return await act(browser);
  } finally {
    await browser.close();
  }
};

export const watchedPage = async (browser) => {
  const page = await browser.newPage();
  const troubles = [];
  page.on("pageerror", (error) => troubles.push(`error: ${error.message}`));
  page.on("console", (message) => troubles.push(`console: ${message.text()}`));
  page.on("dialog", (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  page.on("request", (request) => {
    const isNavigation = request.isNavigationRequest() && request.frame() === page.mainFrame();
    if (!isNavigation && !request.url().startsWith("data:")) troubles.push(`request: ${request.url()}`);
  });
  await page.evaluateOnNewDocument(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", (event) => window.violations.push(event.violatedDirective));
  });
  const violated = async () => page.evaluate(() => window.violations.splice(0).map((it) => `violation: ${it}`));
  return { page, troubles: async () => [...troubles.splice(0), ...(await violated())] };
};

// Opens the page with what stands behind the #, by the page's own way when it is open already.
export const show = async (page, fragment) =>
  page.evaluate(
    (fragment) =>
      new Promise((done) => {
        const before = location.href;
        const listen = () => setTimeout(done, 0);
        window.addEventListener("hashchange", listen, { once: true });
        location.hash = fragment;
        if (location.href !== before) return;
        window.removeEventListener("hashchange", listen);
        done();
      }),
    fragment,
  );

// All that the page shows of a state.
export const shown = async (page) =>
  page.evaluate(() => {
    const text = (id) => document.getElementById(id).textContent;
    const list = (id) => Array.from(document.querySelectorAll(`#${id} li`), (item) => item.textContent);
    const controls = Array.from(document.querySelectorAll("#form input, #form select"));
    const errors = controls.map((it) => [it.name, document.getElementById(`${it.id}-error`).textContent]);
    const launch = document.getElementById("launch");
    return {
      values: Object.fromEntries(controls.map((it) => [it.name, it.value])),
      errors: Object.fromEntries(errors.filter(([, error]) => error !== "")),
      notice: document.getElementById("notice").hidden ? "" : text("notice"),
      permissions: JSON.parse(text("permissions")),
      trust: JSON.parse(text("trust")),
      size: text("size"),
      can: list("can"),
      cannot: list("cannot"),
      launch: document.getElementById("launch-place").hidden ? null : launch.href,
      mail: text("mail-text"),
      mailto: document.getElementById("mail").href,
      aws: text("aws"),
      own: text("own"),
      id: text("id"),
      elements: document.querySelectorAll("*").length,
    };
  });

// Without a font nothing on a page has a size, and nothing could be found amiss.
export const mustHaveFonts = async (page) => {
  const width = await page.$eval("h1", (it) => {
    const range = document.createRange();
    range.selectNodeContents(it);
    return range.getBoundingClientRect().width;
  });
  if (width < 100) throw new Error("this machine has no fonts: install one (Debian, Ubuntu: `apt install fonts-dejavu-core`)");
};

export const input = async () => {
  const parts = [];
  for await (const part of process.stdin) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString() || "null");
};

export const output = (value) => process.stdout.write(JSON.stringify(value));
