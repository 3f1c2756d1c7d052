"""Links that somebody has put where the project writes: what they lead to stays as it is."""

import os
import threading
from pathlib import Path

from promptwire.backends.folder import Folder
from promptwire.lock import read_lock, write_lock


def planted(link: Path, target: Path) -> None:
    target.write_text("precious")
    link.symlink_to(target)


def test_a_link_in_a_drafts_place_is_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    root.mkdir()
    planted(root / f".promptwire-{os.getpid()}-{threading.get_ident()}.tmp", tmp_path / "target")
    Folder(root, "files").write(root / "p.yaml", "text: a")
    assert (tmp_path / "target").read_text() == "precious"
    assert (root / "p.yaml").read_text() == "text: a"
    assert [path.name for path in root.iterdir()] == ["p.yaml"]


def test_a_link_in_a_files_place_is_replaced(tmp_path: Path) -> None:
    root = tmp_path / "prompts"
    root.mkdir()
    planted(root / "p.yaml", tmp_path / "target")
    Folder(root, "files").write(root / "p.yaml", "text: a")
    assert (tmp_path / "target").read_text() == "precious"
    assert not (root / "p.yaml").is_symlink()


def test_a_link_beside_a_lock_is_not_followed(tmp_path: Path) -> None:
    planted(tmp_path / f".promptwire-{os.getpid()}-{threading.get_ident()}.tmp", tmp_path / "target")
    write_lock(tmp_path / "prompts.lock", [])
    assert (tmp_path / "target").read_text() == "precious"
    assert read_lock(tmp_path / "prompts.lock") == ()
