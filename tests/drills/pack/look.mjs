// Looks at review packs in headless Chromium: node look.mjs CHROMIUM PICTURES PAGE...
// Every page at 1280 and 400 pixels, light and dark, and printed. Says what is wrong, and leaves pictures.
// Node.js 20 or later with --experimental-websocket: a WebSocket of its own, so that nothing is installed.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";

const [chromium, pictures, ...pages] = process.argv.slice(2);
const home = mkdtempSync(join(tmpdir(), "remit-pack-"));
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", `--user-data-dir=${home}`];
const browser = spawn(chromium, [...flags, "about:blank"], { stdio: ["ignore", "ignore", "pipe"] });

const endpoint = await new Promise((found, failed) => {
    let said = "";
    browser.stderr.on("data", (piece) => {
        said += piece;
        const at = said.match(/DevTools listening on (ws:\S+)/);
        if (at) found(at[1]);
    });
    browser.on("exit", () => failed(new Error(`Chromium did not start: ${said}`)));
});
const socket = new WebSocket(endpoint);
await new Promise((open, failed) => {
    socket.onopen = open;
    socket.onerror = failed;
});

let last = 0;
const waiting = new Map();
const heard = [];
socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    if (message.id) {
        const { done, failed } = waiting.get(message.id);
        waiting.delete(message.id);
        message.error ? failed(new Error(message.error.message)) : done(message.result);
    } else {
        heard.push(message);
    }
};
const send = (method, params = {}, sessionId = undefined) =>
    new Promise((done, failed) => {
        last += 1;
        waiting.set(last, { done, failed });
        socket.send(JSON.stringify({ id: last, method, params, sessionId }));
    });

// What is wrong with the page as it lies there: runs in the page.
const flaws = () => {
    const found = [];
    const root = document.documentElement;
    const name = (element) => {
        const text = (element.textContent ?? "").trim().replace(/\s+/g, " ").slice(0, 60);
        return `<${element.localName} class="${element.getAttribute("class") ?? ""}"> ${JSON.stringify(text)}`;
    };
    const hidden = (element) => {
        const style = getComputedStyle(element);
        return style.visibility === "hidden" || style.display === "none" || element.closest("[hidden], .skip");
    };
    if (root.scrollWidth > root.clientWidth) {
        found.push(`the page is ${root.scrollWidth} wide and ${root.clientWidth} are shown`);
    }
    for (const element of document.body.querySelectorAll("*")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || hidden(element)) continue;
        const box = element.getBoundingClientRect();
        if (box.width === 0 || box.height === 0) continue;
        const svg = element.closest("svg");
        if (svg) {
            const frame = svg.getBoundingClientRect();
            const out = box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1 || box.bottom > frame.bottom + 1;
            if (out) found.push(`cut by its chart: ${name(element)}`);
            const size = box.height;
            if (element.localName === "text" && size < 9) found.push(`${size.toFixed(1)} px high: ${name(element)}`);
            continue;
        }
        const style = getComputedStyle(element);
        if (style.overflowX === "hidden" && element.scrollWidth > element.clientWidth + 1) found.push(`cut: ${name(element)}`);
        if (style.overflowY === "hidden" && element.scrollHeight > element.clientHeight + 1) found.push(`cut below: ${name(element)}`);
        // What scrolls may be wider than what is shown.
        let scrolls = false;
        for (let up = element.parentElement; up; up = up.parentElement) {
            scrolls ||= ["auto", "scroll"].includes(getComputedStyle(up).overflowX);
        }
        if (!scrolls && (box.right > root.clientWidth + 1 || box.left < -1)) found.push(`beyond the edge: ${name(element)}`);
    }
    // Texts of one chart that lie over each other cannot be read.
    for (const svg of document.querySelectorAll("svg")) {
        const texts = [...svg.querySelectorAll("text")].map((text) => [text, text.getBoundingClientRect()]);
        texts.forEach(([one, a], at) => {
            for (const [other, b] of texts.slice(at + 1)) {
                const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
                const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
                if (wide > 2 && high > 3) found.push(`${name(one)} lies over ${name(other)}`);
            }
        });
        if (!svg.getAttribute("aria-label") && !svg.querySelector("title") && svg.getAttribute("aria-hidden") !== "true") {
            found.push(`a chart says nothing to a screen reader: ${name(svg)}`);
        }
    }
    const levels = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")].map((heading) => Number(heading.localName[1]));
    levels.forEach((level, at) => {
        if (at > 0 && level > levels[at - 1] + 1) found.push(`a heading of level ${level} follows one of ${levels[at - 1]}`);
    });
    for (const table of document.querySelectorAll("table")) {
        if (!table.caption && !table.closest("[aria-label]")) found.push(`a table has no caption: ${name(table)}`);
    }
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) found.push(`two elements are ${id}`);
    for (const link of document.querySelectorAll('a[href^="#"]')) {
        if (!document.getElementById(link.getAttribute("href").slice(1))) found.push(`leads nowhere: ${link.getAttribute("href")}`);
    }
    // Contrast of each text with what is behind it (WCAG 2.1, 1.4.3).
    const light = (colour) => {
        const parts = (colour.match(/[\d.]+/g) ?? []).map(Number);
        if (parts.length < 3 || (parts.length > 3 && parts[3] < 1)) return undefined;
        const [r, g, b] = parts.map((part) => part / 255).map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    for (const element of document.body.querySelectorAll("*")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || element.closest("svg") || hidden(element)) continue;
        let behind;
        for (let up = element; up && behind === undefined; up = up.parentElement) behind = light(getComputedStyle(up).backgroundColor);
        const front = light(getComputedStyle(element).color);
        if (front === undefined || behind === undefined) continue;
        const ratio = (Math.max(front, behind) + 0.05) / (Math.min(front, behind) + 0.05);
        if (ratio < 4.5) found.push(`contrast ${ratio.toFixed(1)}: ${name(element)}`);
    }
    return [...new Set(found)];
};

let wrong = 0;
for (const page of pages) {
    for (const [label, width, scheme, media] of [
        ["1280", 1280, "light", "screen"],
        ["1280-dark", 1280, "dark", "screen"],
        ["400", 400, "light", "screen"],
        ["400-dark", 400, "dark", "screen"],
        ["print", 794, "light", "print"],
    ]) {
        const { targetId } = await send("Target.createTarget", { url: "about:blank" });
        const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
        const ask = (method, params) => send(method, params, sessionId);
        for (const domain of ["Page", "Runtime", "Log"]) await ask(`${domain}.enable`);
        await ask("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: width < 500 });
        await ask("Emulation.setEmulatedMedia", { media, features: [{ name: "prefers-color-scheme", value: scheme }] });
        heard.length = 0;
        await ask("Page.navigate", { url: `file://${resolve(page)}` });
        for (let n = 0; n < 200 && !heard.some((one) => one.method === "Page.loadEventFired"); n += 1) {
            await new Promise((later) => setTimeout(later, 20));
        }
        const { result, exceptionDetails } = await ask("Runtime.evaluate", { expression: `(${flaws})()`, returnByValue: true });
        const said = heard.filter((one) =>
            one.method === "Runtime.exceptionThrown" ||
            (one.method === "Log.entryAdded" && one.params.entry.level === "error") ||
            (one.method === "Runtime.consoleAPICalled" && one.params.type === "error"));
        const found = [...(result.value ?? [`not looked at: ${exceptionDetails?.exception?.description}`])];
        found.push(...said.map((one) => `on the console: ${JSON.stringify(one.params).slice(0, 200)}`));
        const file = join(pictures, `${basename(page).replace(/\.html$/, "")}-${label}`);
        if (media === "print") {
            const { data } = await ask("Page.printToPDF", { printBackground: true, preferCSSPageSize: true });
            writeFileSync(`${file}.pdf`, Buffer.from(data, "base64"));
        }
        const { data } = await ask("Page.captureScreenshot", { captureBeyondViewport: true, clip: { x: 0, y: 0, width, height: 3_000, scale: 1 } });
        writeFileSync(`${file}.png`, Buffer.from(data, "base64"));
        for (const flaw of found) console.error(`${basename(page)} at ${label}: ${flaw}`);
        wrong += found.length;
        await send("Target.closeTarget", { targetId });
    }
}
socket.close();
await new Promise((gone) => {
    browser.on("exit", gone);
    browser.kill();
});
rmSync(home, { recursive: true, force: true, maxRetries: 5 });
process.exit(wrong > 0 ? 1 : 0);
