// Input: { page, states: [[name, fragment]] }. Output: axe's findings, and whatever is wider than the window, by theme, width and state.

import { readFile } from "node:fs/promises";
import { axeSource, input, mustHaveFonts, output, show, watchedPage, withBrowser } from "./browser.mjs";

const { page: address, states } = await input();
const axe = await readFile(axeSource, "utf8");
output(
  await withBrowser(async (browser) => {
    const findings = [];
    let rules = 0;
    for (const theme of ["light", "dark"]) {
      for (const width of [320, 640, 1280]) {
        const { page } = await watchedPage(browser);
        // axe is not the page's own.
        await page.setBypassCSP(true);
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
        await page.setViewport({ width, height: 900 });
        await page.goto(address);
        await mustHaveFonts(page);
        await page.evaluate(axe);
        for (const [name, fragment] of states) {
          const where = `${theme}, ${width} px, ${name}`;
          await show(page, fragment);
          await page.evaluate(() => document.querySelectorAll("details").forEach((it) => (it.open = true)));
          if (name === "refused") await page.evaluate(() => document.querySelector("[data-copy]").click());
          const results = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
          rules = Math.max(rules, results.passes.length);
          for (const { id, nodes } of results.violations) findings.push(`${where}: ${id}: ${nodes.map((it) => it.html).join(" ")}`);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          if (overflow > 0) findings.push(`${where}: ${overflow} px too wide`);
        }
        await page.close();
      }
    }
    return { findings, rules };
  }),
);
