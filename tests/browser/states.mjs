// Input: { page, fragments }. Output: what the page shows for each fragment, and what was amiss.

import { input, output, show, shown, watchedPage, withBrowser } from "./browser.mjs";

const { page: address, fragments } = await input();
output(
  await withBrowser(async (browser) => {
    const { page, troubles } = await watchedPage(browser);
    await page.goto(address);
    const states = [];
    for (const fragment of fragments) {
      await show(page, fragment);
      states.push({ ...(await shown(page)), troubles: await troubles() });
    }
    return states;
  }),
);
