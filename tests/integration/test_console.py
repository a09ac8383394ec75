"""The console in a real browser: every page, its keyboard, and that it asks nobody but its own node."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.conftest import create_topic, make_broker
from tests.integration.test_http import use
from tests.reference.process import Broker

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.pyralog_only,
    pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not installed"),
]


class Browser:
    """One page of a headless Chromium, by its DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.problems: list[str] = []
        self.asked: list[str] = []
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            found = json.loads(message.data)
            if "id" in found:
                self._answers.pop(found["id"]).set_result(found)
            elif found["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(json.dumps(found["params"]))
            elif found["method"] == "Network.requestWillBeSent":
                self.asked.append(found["params"]["request"]["url"])

    async def call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        found = await asyncio.wait_for(self._answers[number], 30)
        assert "error" not in found, found
        return found["result"]

    async def eval(self, expression: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, expression: str) -> Any:
        async with asyncio.timeout(45):
            while not (found := await self.eval(expression)):
                await asyncio.sleep(0.05)
        return found

    async def key(self, key: str) -> None:
        """Press and release a key; one of a single character is also typed."""
        codes = {"Tab": 9, "Enter": 13}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        more = {"text": text} if text else {}
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=codes.get(key, ord(key[0])),
                **(more if kind == "keyDown" else {}),
            )

    async def close(self) -> None:
        await self._socket.close()
        self._reader.cancel()
        await asyncio.wait([self._reader])


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with make_broker(Path(tmp_path_factory.mktemp("console"))) as broker:
        create_topic(broker.address, "orders", 2)
        create_topic(broker.address, "many", 250)
        use(broker.address)
        yield broker


@pytest.fixture
async def browser(node: Broker, tmp_path: Path) -> AsyncIterator[Browser]:
    assert CHROMIUM is not None
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1024,800", "about:blank"]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        ports = tmp_path / "profile" / "DevToolsActivePort"
        async with asyncio.timeout(60):
            while not ports.exists() or not ports.read_text():
                await asyncio.sleep(0.05)
        port = ports.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                (page,) = [one for one in await answer.json() if one["type"] == "page"]
            made = Browser(await session.ws_connect(page["webSocketDebuggerUrl"]))
            for domain in ("Runtime", "Log", "Network", "Page"):
                await made.call(f"{domain}.enable")
            await made.call("Page.navigate", url=f"http://{node.address}/")
            await made.until("document.querySelector('h1')?.textContent === 'Overview'")
            yield made
            await made.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()


async def show(browser: Browser, place: str, title: str) -> str:
    await browser.eval(f"location.hash = '#/{place}'")
    await browser.until(f"document.querySelector('h1')?.textContent === {title!r}")
    return str(await browser.eval("document.querySelector('main').innerText"))


async def test_every_page_shows_what_it_is_for_and_nothing_goes_wrong(node: Broker, browser: Browser) -> None:
    overview = await browser.eval("document.querySelector('main').innerText")
    for text in ("Nodes up", "1 of 1", "Partitions offline", "What an acknowledgement means", "controller"):
        assert text in overview
    await browser.until("document.querySelectorAll('.card svg').length === 3")  # rates, after two refreshes
    assert "orders" in await show(browser, "topics", "Topics")
    assert "readers" in await show(browser, "topics/orders", "orders")
    assert "251–252 of 252" not in await show(browser, "partitions", "Partitions")
    groups = await show(browser, "groups", "Consumer groups")
    assert "readers" in groups
    assert "classic" in groups
    assert "High watermark" in await show(browser, "groups/readers", "readers")
    assert "CompleteCommit" in await show(browser, "transactions", "Transactions")
    assert "log.retention" in await show(browser, "configs", "Configuration of node 1")
    await browser.eval("location.hash = '#/topics/nothing'")
    await browser.until("document.querySelector('[role=alert]')?.textContent.includes('there is no topic')")
    assert {url.split("/")[2] for url in browser.asked} == {node.address}
    # The browser itself notes the 404 that was asked for.
    assert [one for one in browser.problems if "404" not in one] == []


async def test_lists_have_pages_filters_and_orders(browser: Browser) -> None:
    text = await show(browser, "partitions", "Partitions")
    assert "1–200 of 252" in text
    await browser.eval("[...document.querySelectorAll('button')].find((one) => one.textContent === 'Next').click()")
    await browser.until("document.querySelector('main').innerText.includes('201–252 of 252')")
    await browser.eval(
        "const box = document.getElementById('filter'); box.value = 'orders'; box.oninput({target: box})"
    )
    assert await browser.eval("document.querySelectorAll('tbody tr').length") == 2
    await show(browser, "topics", "Topics")
    first = "document.querySelector('tbody td').textContent"
    assert await browser.eval(first) == "many"
    await browser.eval("document.querySelector('th button').click()")
    assert await browser.eval(first) == "orders"
    assert await browser.eval("document.querySelector('th').getAttribute('aria-sort')") == "descending"


async def test_the_keyboard_is_enough(browser: Browser) -> None:
    await browser.key("2")
    await browser.until("document.querySelector('h1')?.textContent === 'Topics'")
    await browser.key("/")
    await browser.until("document.activeElement.id === 'filter'")
    for letter in "ord":
        await browser.key(letter)
    await browser.until("document.querySelectorAll('tbody tr').length === 1")
    for _ in range(30):
        if await browser.eval("document.activeElement.textContent") == "orders":
            break
        await browser.key("Tab")
    await browser.key("Enter")
    await browser.until("document.querySelector('h1')?.textContent === 'orders'")
    before = await browser.eval("document.documentElement.dataset.theme")
    await browser.key("t")
    assert {before, await browser.eval("document.documentElement.dataset.theme")} == {"light", "dark"}
    await browser.key("p")
    await browser.until("document.getElementById('state').textContent === 'paused'")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    await browser.key("Tab")
    assert await browser.eval(outline) != "none"
    assert await browser.eval("document.documentElement.scrollWidth <= innerWidth")


async def test_partitions_of_members_that_have_committed_nothing(node: Broker, browser: Browser) -> None:
    from confluent_kafka import Consumer

    for protocol in ("classic", "consumer"):
        group = f"newcomers-{protocol}"
        settings = {"group.id": group, "group.protocol": protocol, "enable.auto.commit": False, "log_level": 2}
        consumer = Consumer({"bootstrap.servers": node.address, **settings})
        consumer.subscribe(["orders"])
        async with asyncio.timeout(60):
            while len(consumer.assignment()) < 2:
                await asyncio.to_thread(consumer.poll, 0.2)
        await show(browser, f"groups/{group}", group)
        rows = "[...document.querySelector('table').querySelectorAll('tbody tr')]"
        await browser.until(f"{rows}.length === 2")
        cells = await browser.eval(f"{rows}.map((row) => [...row.cells].map((cell) => cell.textContent))")
        assert [row[:6] for row in cells] == [["orders", str(n), "–", "51", "–", "–"] for n in range(2)]
        (member,) = {row[6] for row in cells}
        assert member in await browser.eval("document.querySelectorAll('table')[1].textContent")
        await asyncio.to_thread(consumer.close)


async def test_narrow_screens(browser: Browser) -> None:
    await browser.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False)
    for place, title in (("topics", "Topics"), ("configs", "Configuration of node 1"), ("overview", "Overview")):
        await show(browser, place, title)
        assert await browser.eval("document.documentElement.scrollWidth <= innerWidth")
        assert await browser.until("document.activeElement.id === 'main'")
        assert await browser.eval("document.documentElement.scrollTop") == 0
        # Tables are moved, not squeezed until each letter has a line.
        assert await browser.eval(
            "Math.max(...[...document.querySelectorAll('tr')].map((one) => one.offsetHeight)) < 200"
        )
        # The name and the buttons, and below them the pages: one line each.
        lines = (
            "new Set([...document.querySelectorAll('{}')].map((one) => Math.round(one.getBoundingClientRect().top)))"
        )
        assert await browser.eval(f"({lines.format('header button')}).size") == 1
        assert await browser.eval(f"({lines.format('nav a')}).size") == 1
        assert await browser.eval("document.querySelector('header').offsetHeight") < 100
        row, chosen = (f"document.querySelector('{one}').getBoundingClientRect()" for one in ("nav", "[aria-current]"))
        assert await browser.eval(f"{chosen}.left >= {row}.left && {chosen}.right <= {row}.right + 0.5")


async def test_names_from_clients_are_text(node: Broker, browser: Browser) -> None:
    from confluent_kafka import Consumer, TopicPartition

    group = "<img src=x onerror=alert(1)>"
    consumer = Consumer({"bootstrap.servers": node.address, "group.id": group, "log_level": 2})
    consumer.commit(offsets=[TopicPartition("orders", 0, 1)], asynchronous=False)
    consumer.close()
    assert group in await show(browser, "groups", "Consumer groups")
    await browser.eval("[...document.querySelectorAll('td a')].find((one) => one.textContent.startsWith('<')).click()")
    await browser.until("document.querySelector('h1')?.textContent.startsWith('<img')")
    assert await browser.eval("document.querySelectorAll('img').length") == 0
    assert browser.problems == []
