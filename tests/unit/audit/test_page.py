# SPDX-License-Identifier: GPL-3.0-or-later

"""The page in a real browser: wide and narrow, light and dark, with hostile names, and with a large fleet."""

from __future__ import annotations

import pathlib
import re
import shutil
import typing as t
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ansible_collections.livemig.libvirt.plugins.plugin_utils._audit import api
from tests.unit.audit.scenes import HOSTILE, against, audit, domain, pair, recorded

CHROMIUM = shutil.which("chromium")
SIZES = {1280: 900, 390: 844}
CONTRAST = 4.5
ROW = 28
TIMEOUT_MS = 120_000
NAMES = (HOSTILE, "</script><img src=x onerror=alert(2)>", "{domain}", "web1", "db-1", "\u202eevil", "x" * 120)

# Every text that is seen, with its contrast to what is behind it (WCAG 2.1, relative luminance).
FAINT = """
(least) => {
  const rgb = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const silent = ["SCRIPT", "STYLE", "NOSCRIPT", "OPTION"].includes(element.tagName);
    if (!own || silent || !element.checkVisibility()) continue;
    const back = behind(element), [a, b] = [over(rgb(getComputedStyle(element).color), back), back].map(light);
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const who = `${element.tagName}.${element.className} ${contrast.toFixed(2)}`;
    if (contrast < least) found.push(`${who}: ${element.textContent.slice(0, 40)}`);
  }
  return found;
}
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Opened(t.NamedTuple):
    """A page, and what it asked for or complained about."""

    page: Page
    noise: list[str]

    def rows(self) -> list[str]:
        return [row.split("\n")[0] for row in self.page.locator("#grid tbody tr:not(.space) th").all_inner_texts()]


Open = t.Callable[..., Opened]


@pytest.fixture
def shown(browser: Browser, tmp_path: pathlib.Path) -> Iterator[Open]:
    contexts = []

    def open_page(
        made: api.Audit, fragment: str = "", width: int = 1280, dark: bool = False, **options: t.Any
    ) -> Opened:
        file = tmp_path / "audit.html"
        file.write_text(api.page(made), encoding="utf-8")
        scheme: t.Literal["dark", "light"] = "dark" if dark else "light"
        view = {"width": width, "height": SIZES[width]}
        context = browser.new_context(viewport=t.cast(t.Any, view), color_scheme=scheme, **options)
        context.set_default_timeout(TIMEOUT_MS)
        contexts.append(context)
        opened = Opened(context.new_page(), [])
        opened.page.on("console", lambda message: opened.noise.append(f"{message.type}: {message.text}"))
        opened.page.on("pageerror", lambda error: opened.noise.append(str(error)))
        opened.page.on("dialog", lambda dialog: opened.noise.append(f"dialog {dialog.message}"))
        own = file.as_uri()
        opened.page.on(
            "request", lambda request: None if request.url.startswith(own) else opened.noise.append(request.url)
        )
        opened.page.goto(file.as_uri() + fragment)
        return opened

    yield open_page
    for context in contexts:
        context.close()


def rich(names: t.Sequence[str] = NAMES) -> api.Audit:
    """Everything that a page can show, under these names: the first two are trapped, the third cannot go everywhere."""
    domains = [domain(name, on=f"hv{1 + number % 2}") for number, name in enumerate(names)]
    stopped = domain("off" + names[0], state="shutoff")
    findings = [pair(names[0], host, f"no {HOSTILE} on {host}") for host in ("hv2", "hv3")]
    findings += [against("disk_cache_mode", names[1], "hv2"), pair(names[2], "hv2", "no br-x on hv2")]
    findings += [against("hd_usb", names[3], "hv2", "hv1", blocks=False)]
    before = audit([*domains[:4], domain("gone")], finished=100)
    silent = {"hv4": f"timed out {HOSTILE}"}
    hosts = ("hv1", "hv2", "hv3", "hv4")
    return audit([*domains, stopped], findings, before, hosts, silent, started=86_000, finished=86_400)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_it_fits_is_quiet_and_can_be_read(shown: Open, width: int, dark: bool) -> None:
    opened = shown(rich(), width=width, dark=dark)
    page = opened.page
    for step in ("closed", "unfolded", "panel"):
        if step == "unfolded":
            page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        if step == "panel":
            page.locator("#grid td.no").first.click()
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, step
        assert page.evaluate(FAINT, CONTRAST) == [], step
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", colour))) < 200) is dark
    assert opened.noise == []


def test_contrast_that_is_too_low_is_found(shown: Open) -> None:
    page = shown(rich()).page
    page.evaluate("document.querySelector('h1').style.color = '#999999'")
    assert [text.split(" ")[0] for text in page.evaluate(FAINT, CONTRAST)] == ["H1."]


def test_hostile_names_are_text(shown: Open) -> None:
    opened = shown(rich())
    assert set(NAMES) <= {row.removesuffix("hv1").removesuffix("hv2") for row in opened.rows()}
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 2
    opened.page.locator("#grid td.no").first.click()
    assert HOSTILE in opened.page.locator("#panel-title").inner_text()
    assert HOSTILE in opened.page.locator("#panel-body").inner_text()
    opened.page.wait_for_timeout(100)
    assert opened.noise == []


def test_a_script_that_got_in_would_not_run(shown: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own policy, tried out on a page that escapes nothing."""
    monkeypatch.setattr("ansible_collections.livemig.libvirt.plugins.plugin_utils._audit.page._e", str)
    opened = shown(rich(["<script>document.title='taken'</script>", *NAMES[1:]]))
    opened.page.wait_for_timeout(100)
    assert opened.page.title() != "taken"
    assert any("Executing inline script violates" in noise for noise in opened.noise)


def test_filters_and_the_address_that_keeps_them(shown: Open) -> None:
    opened = shown(recorded())
    page = opened.page
    assert opened.rows() == ["media1hv1", "scratchhv1", "web1hv1"]
    page.locator("#q").fill("BR-LOCAL")
    assert opened.rows() == ["scratchhv1"] and "q=BR-LOCAL" in page.url
    page.locator("#q").fill("no such")
    assert page.locator("#none").is_visible() and not page.locator("#box").is_visible()
    page.locator("#q").fill("")
    page.locator("#trapped").check()
    assert opened.rows() == ["scratchhv1"] and page.url.endswith("#trapped=1")
    page.locator("#trapped").uncheck()
    page.locator("#host").select_option("hv2")
    assert opened.rows() == [] and page.url.endswith("#host=hv2")
    assert page.locator("#hosts-table tbody tr:visible").count() == 1
    again = shown(recorded(), "#q=web&host=hv1")
    assert again.rows() == ["web1hv1"]
    assert again.page.locator("#q").input_value() == "web" and again.page.locator("#host").input_value() == "hv1"
    assert "1 of 3 domains" in again.page.locator("#shown").inner_text()


def test_a_cell_opens_its_reasons_and_can_be_linked(shown: Open) -> None:
    made = recorded()
    page = shown(made).page
    page.locator("#grid tbody tr", has_text="scratch").locator("td.no").click()
    panel = page.locator("#panel")
    assert panel.locator("h3").inner_text() == "scratch → hv2"
    said = panel.inner_text()
    for part in ("its bridge br-local is not on hv2", "create the bridge there", "net_bridge_exists"):
        assert part in said
    address = page.url
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden(timeout=TIMEOUT_MS)
    expect(page).to_have_url(re.compile("^[^#]*$"), timeout=TIMEOUT_MS)
    linked = shown(made, address[address.index("#") :]).page
    assert linked.locator("#panel h3").inner_text() == "scratch → hv2"
    linked.get_by_role("button", name="Close").click()
    linked.locator("#hosts-table button", has_text="scratch").click()
    assert "No single change frees it" in linked.locator("#panel").inner_text()


def test_the_keyboard_is_enough(shown: Open) -> None:
    page = shown(rich()).page
    page.locator("#trapped").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp"):
        page.keyboard.press(key)
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label == f"{NAMES[0]} to hv2: cannot, 1 reason"
    page.keyboard.press("Enter")
    assert page.locator("#panel").is_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == label


def test_it_reads_without_scripts(shown: Open) -> None:
    opened = shown(rich(), java_script_enabled=False)
    said = opened.page.locator("body").inner_text()
    for name in NAMES:
        assert name in said
    assert "no br-x on hv2" in said and "create the bridge there" in said and "Search" not in said
    assert opened.noise == []


def test_on_paper_there_is_the_list(shown: Open) -> None:
    page = shown(recorded()).page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert not page.locator("#matrix").is_visible()
    assert page.locator("#plain tbody tr").count() == 3 and page.locator("#plain tbody tr").first.is_visible()


def test_an_empty_fleet(shown: Open) -> None:
    opened = shown(audit([]))
    assert "No domain is active" in opened.page.locator("body").inner_text()
    assert opened.noise == []


def test_a_link_to_a_reason_opens_it_and_keeps_the_filter(shown: Open) -> None:
    page = shown(recorded(), "#q=scratch").page
    page.evaluate("location.hash = '#o0'")
    page.wait_for_function("document.getElementById('reasons').open")
    assert page.locator("#q").input_value() == "scratch"


@pytest.fixture(scope="module")
def large() -> api.Audit:
    domains, hosts = 1000, 100
    names = [f"hv{number:03d}" for number in range(hosts)]
    guests = [domain(f"guest{number:04d}", on=names[number % hosts]) for number in range(domains)]
    findings = []
    for number, guest in enumerate(guests):
        lacking = names[:: 20 if number % 10 else 1]
        findings += [
            pair(guest["name"], host, f"no br-{number % 7} on {host}", on=guest["host"])
            for host in lacking
            if host != guest["host"]
        ]
    return audit(guests, findings, hosts=names)


@pytest.mark.parametrize("width", SIZES)
def test_a_large_fleet_stays_light(shown: Open, large: api.Audit, width: int) -> None:
    """By size and by what the browser must lay out; how long that takes depends on what else the machine does."""
    assert large["summary"]["ways"] == 99_000
    assert len(api.page(large)) < 2_000_000 and len(api.as_json(large)) < 3_000_000
    opened = shown(large, width=width)
    page = opened.page
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert page.evaluate("document.getElementsByTagName('*').length") < 50_000
    rows = page.locator("#grid tbody tr:not(.space)").count()
    assert 0 <= rows * ROW - page.evaluate("document.getElementById('box').clientHeight") < 20 * ROW
    assert page.evaluate("document.querySelector('#grid tbody tr').offsetHeight") == ROW
    page.evaluate("document.getElementById('box').scrollTop = 1e6")
    page.wait_for_function("document.querySelector('#grid tbody').textContent.includes('guest0999')")
    assert abs(page.locator("#grid tbody tr:not(.space)").count() - rows) < 20
    page.locator("#q").fill("br-3")
    assert page.locator("#shown").inner_text() == "143 of 1000 domains"
    assert opened.noise == []
