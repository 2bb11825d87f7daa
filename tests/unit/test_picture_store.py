"""The cache of pictures is complete or made again, and data sets need not fit into memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mail_policy.data.episodes import CACHE_NAME, PictureRequest, load_episodes
from mail_policy.data.picture_store import StackedPictures, map_pictures, save_pictures

REQUEST = PictureRequest(("agentview", "wrist"), 12, 16)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 4, 5, 3), dtype=np.uint8)


def test_mapped_pictures_are_the_saved_ones_and_keep_no_file_open(tmp_path: Path) -> None:
    descriptors = Path("/proc/self/fd")
    before = len(list(descriptors.iterdir()))
    mapped = []
    for number in range(20):
        save_pictures(tmp_path / f"{number}", pictures(3, seed=number))
        mapped.append(map_pictures(tmp_path / f"{number}", (3, 4, 5, 3)))
    assert len(list(descriptors.iterdir())) == before
    for number, found in enumerate(mapped):
        assert np.array_equal(found, pictures(3, seed=number))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(20)))


def test_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    save_pictures(tmp_path / "few", pictures(2))
    with pytest.raises(ValueError, match=r"must have 180 bytes .* got 120"):
        map_pictures(tmp_path / "few", (3, 4, 5, 3))


def test_stacked_pictures_are_numbered_through_the_episodes() -> None:
    parts = [pictures(3, 1), pictures(1, 2), pictures(5, 3)]
    stacked = StackedPictures(parts)
    assert len(stacked) == 9
    numbers = np.array([8, 0, 3, 3, 2, 4])
    assert np.array_equal(stacked.take(numbers), np.concatenate(parts)[numbers])


def test_a_damaged_cache_is_made_again(episodes: Any) -> None:
    episodes.record(9, id="one")
    (first,) = load_episodes(episodes.root, REQUEST)
    shown = {name: images.copy() for name, images in first.images.items()}
    cache = episodes.root / CACHE_NAME
    (wrist,) = cache.glob("*.wrist")
    for damage in (wrist.unlink, lambda: wrist.write_bytes(b"\x00" * 7)):
        damage()
        (again,) = load_episodes(episodes.root, REQUEST)
        for name, images in again.images.items():
            assert np.array_equal(images, shown[name])


def test_a_cache_of_another_version_is_not_read(
    episodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    episodes.record(9, id="one")
    monkeypatch.setattr("mail_policy.data.episodes._CACHE_VERSION", 3)
    load_episodes(episodes.root, REQUEST)
    for file in (episodes.root / CACHE_NAME).iterdir():
        file.write_bytes(b"written by an older version")
    monkeypatch.undo()
    (found,) = load_episodes(episodes.root, REQUEST)
    assert found.images["wrist"].shape == (len(found), 12, 16, 3)
    assert len(list((episodes.root / CACHE_NAME).glob("*.npz"))) == 2
