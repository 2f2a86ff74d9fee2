// Input: { page, fragment, shots: [{ path, theme, width, height }] }. Takes the pictures.

import { input, output, watchedPage, withBrowser } from "./browser.mjs";

const { page: address, fragment, shots } = await input();
await withBrowser(async (browser) => {
  for (const { path, theme, width, height } of shots) {
    const { page } = await watchedPage(browser);
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
    await page.setViewport({ width, height, deviceScaleFactor: 1 });
    await page.goto(address + fragment);
    await page.screenshot({ path });
  }
});
output(shots.length);
