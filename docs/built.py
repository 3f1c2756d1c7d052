"""Checks the built site: links and anchors lead somewhere, and pages load nothing from another host."""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "link": "href",
}
NOT_LOADED = {"canonical", "next", "prev", "alternate"}  # a <link> that says something about the page


class Page(HTMLParser):
    """The ids of a page, where it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if given.get(LOADED.get(tag, "")) and given.get("rel") not in NOT_LOADED:
            self.loads.append(given[LOADED[tag]])


def complaints(site: Path) -> Iterator[str]:
    pages = {path: Page(path) for path in sorted(site.resolve().rglob("*.html"))}
    for page in pages.values():
        where = page.path.relative_to(site.resolve())
        for url in page.loads:
            if urlsplit(url).netloc:
                yield f"{where} loads {url}"
        # An address that nobody knows beforehand shows 404.html, so its links are from the site's root.
        for link in page.links + page.loads if where.name != "404.html" else []:
            if not _leads(page, link, pages):
                yield f"{where} links to {link}, which is not there"


def _leads(page: Page, link: str, pages: dict[Path, Page]) -> bool:
    url = urlsplit(link)
    if url.scheme or url.netloc:
        return True
    target = (page.path.parent / unquote(url.path)).resolve() if url.path else page.path
    target = target / "index.html" if target.is_dir() else target
    if not url.fragment or target not in pages:
        return target.is_file()
    return unquote(url.fragment) in pages[target].ids


if __name__ == "__main__":
    found = list(complaints(Path(sys.argv[1])))
    print("\n".join(found) or "Links and anchors lead somewhere, and nothing is loaded from another host")
    sys.exit(bool(found))
