// Input: { file, http }, the same page from a file and from a server. Output: what a user meets, step by step.

import { input, mustHaveFonts, output, shown, watchedPage, withBrowser } from "./browser.mjs";

const { file, http } = await input();
const seen = {};

const text = (page, id) => page.$eval(`#${id}`, (it) => (it.hidden ? "" : it.textContent));
const focused = (page) => page.evaluate(() => document.activeElement.id);
const settled = () => new Promise((done) => setTimeout(done, 1500));

output(
  await withBrowser(async (browser) => {
    const { page, troubles } = await watchedPage(browser);
    await page.goto(file);
    await mustHaveFonts(page);

    // With the keyboard alone: nothing is said while typing, and on leaving the field it is.
    await page.keyboard.press("Tab");
    seen.firstFocus = await focused(page);
    await page.keyboard.type("My_Bucket");
    seen.whileTyping = await text(page, "field-BucketName-error");
    await page.keyboard.press("Tab");
    seen.afterLeaving = await text(page, "field-BucketName-error");
    seen.described = await page.$eval("#field-BucketName", (it) => it.getAttribute("aria-describedby"));
    seen.invalid = await page.$eval("#field-BucketName", (it) => it.getAttribute("aria-invalid"));

    // An action with something wrong lists it, and leads there.
    await page.click("#launch");
    seen.summary = await text(page, "summary");
    seen.summaryFocus = await focused(page);
    seen.opened = (await browser.pages()).length;
    await page.click("#summary a");
    seen.linkFocus = await focused(page);
    await page.$eval("#field-BucketName", (it) => it.select());
    await page.keyboard.type(" my-bucket ");
    await page.keyboard.press("Tab");
    await page.keyboard.type("/raw/2026/");
    await page.keyboard.press("Tab");
    seen.tidied = await page.$eval("#field-Prefix", (it) => it.value);
    await settled();
    seen.live = await text(page, "updated");
    seen.fragment = await page.evaluate(() => location.hash);

    // Reload keeps it; back and forward lead from one state to the other.
    await page.reload();
    seen.reloaded = (await shown(page)).values.BucketName;
    await page.goto(`${file}#BucketName=another-bucket`);
    await page.goBack();
    await settled();
    seen.back = (await shown(page)).values.BucketName;
    await page.goForward();
    await settled();
    seen.forward = (await shown(page)).values.BucketName;

    // Pasting is typing.
    await page.$eval("#field-BucketName", (it) => it.select());
    await page.keyboard.sendCharacter("pasted-bucket");
    seen.pasted = (await shown(page)).permissions.Statement[0].Resource[0];

    // Where the page may not copy, the text is selected.
    await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
    await page.click("#copy-link");
    seen.notCopied = await text(page, "done");
    seen.selection = await page.evaluate(() => getSelection().toString());
    seen.troubles = await troubles();

    // From a server the link is the page's own, and it can be copied.
    const context = browser.defaultBrowserContext();
    await context.overridePermissions(new URL(http).origin, ["clipboard-read", "clipboard-write", "clipboard-sanitized-write"]);
    const served = await watchedPage(browser);
    await served.page.goto(`${http}#BucketName=my-bucket&Prefix=raw/2026`);
    await served.page.bringToFront();
    await served.page.click("#copy-link");
    await served.page.waitForFunction(() => document.getElementById("done").textContent !== "");
    seen.copied = await text(served.page, "done");
    seen.clipboard = await served.page.evaluate(() => navigator.clipboard.readText());
    const reopened = await watchedPage(browser);
    await reopened.page.goto(seen.clipboard);
    seen.reopened = (await shown(reopened.page)).values;

    // The other kind asks for an external ID, which is in no link.
    await reopened.page.evaluate(() => (document.getElementById("more").open = true));
    await reopened.page.select("#field-kind", "native");
    seen.kindFocus = await focused(reopened.page);
    const first = await shown(reopened.page);
    await reopened.page.click("#id-again");
    await settled();
    seen.ids = [first.id, (await shown(reopened.page)).id];
    seen.native = await shown(reopened.page);
    seen.nativeFragment = await reopened.page.evaluate(() => location.hash);
    seen.servedTroubles = [...(await served.troubles()), ...(await reopened.troubles())];

    // Without scripts it is the manual.
    const plain = await browser.newPage();
    await plain.setJavaScriptEnabled(false);
    await plain.goto(file);
    seen.withoutScript = await plain.evaluate(() => document.body.innerText);
    return seen;
  }),
);
