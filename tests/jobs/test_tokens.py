"""tokens/ and mixture.json as steps of a run: what their fingerprints see, what a kill leaves, what is left to mix."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from dataproc.engines.local import LocalEngine
from dataproc.errors import ConfigError, InputError, ResumeError
from dataproc.shards import Dataset
from dataproc.storage import Folder
from dataproc.tokens.backends import O200K_PATTERN
from dataproc.tokens.reader import TokenReader
from dataproc.tokens.vocabularies import SHIPPED
from jobs.explain import explain
from jobs.mixture import declare_mixture, remix
from jobs.pipeline import Order, run_pipeline
from jobs.progress import ProgressDisplay
from jobs.recipe import Recipe, load_recipe
from jobs.run import Run
from jobs.tokens import declare_tokens
from jobs.verify import verify_run

BOS, EOS = 32_753, 32_752


def shown() -> ProgressDisplay:
    return ProgressDisplay(Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """Twenty pages of English in one JSONL file."""
    path = tmp_path_factory.mktemp("crawl") / "pages.jsonl"
    recipe = path.with_name("repetitive.yaml")
    recipe.write_text("extends: default\ndocuments: {stages: {gopher_repetition: null}}\n", encoding="utf-8")
    words = [" ".join(f"the page of number {n} has the word {n * k} in it" for k in range(20)) for n in range(20)]
    rows = [{"url": f"https://a.example/{n}", "text": text} for n, text in enumerate(words)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Order(str(path), load_recipe(str(recipe)), "repetitive")


@pytest.fixture(scope="module")
def made(order: Order, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; tests must not change it."""
    out = tmp_path_factory.mktemp("made") / "run"
    run_pipeline(order, Folder(out), shown(), workers=1)
    return out


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return Path(shutil.copytree(made, tmp_path / "run"))


def with_tokens(recipe: Recipe, **tokens: object) -> Recipe:
    return Recipe.model_validate({**recipe.model_dump(mode="json"), "tokens": tokens})


def declared(tmp_path: Path, recipe: Recipe) -> Run:
    with LocalEngine(1) as engine:
        run = Run(Folder(tmp_path), recipe, engine, shown(), 1, {"documents": "d", "buckets": "b", "tokens": "t"})
    return run


def test_the_fingerprint_of_tokens_is_of_the_tokenizer_and_not_of_how_it_is_run(tmp_path: Path) -> None:
    recipe = load_recipe("default")
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        for end in (".tiktoken", ".json"):
            shutil.copy(SHIPPED / f"web32k{end}", tmp_path / folder / f"mine{end}")

    def fingerprint(**tokens: object) -> str:
        run = declared(tmp_path / "run", with_tokens(recipe, **tokens))
        found = declare_tokens(run).fingerprint
        run.folder.remove("manifests")
        return found

    first = fingerprint(tokenizer={"name": "web32k"})
    same = [
        {"name": "web32k", "backend": "tiktoken", "check_one_in": 3, "recycle_bytes": 5},
        {"name": str(tmp_path / "here" / "mine.tiktoken")},
        {"name": str(tmp_path / "there" / "mine.tiktoken"), "eos": "<|endoftext|>"},
    ]
    assert [fingerprint(tokenizer=tokenizer) for tokenizer in same] == [first] * 3
    about = tmp_path / "there" / "mine.json"
    text = about.read_text(encoding="utf-8")
    about.write_text(json.dumps({**json.loads(text), "pattern": O200K_PATTERN + "|x"}), encoding="utf-8")
    moved = shutil.copytree(tmp_path / "there", tmp_path / "other")  # a vocabulary is loaded once per process and path
    others: list[dict[str, Any]] = [
        {"tokenizer": {"name": str(Path(moved) / "mine.tiktoken")}},
        {"tokenizer": {"name": "web32k", "eos": "<|pad|>"}},
        {"tokenizer": {"name": "web32k"}, "bos": True},
        {"tokenizer": {"name": "web32k"}, "shard_text_bytes": 9},
    ]
    assert len({first, *(fingerprint(**other) for other in others)}) == 5


def test_another_backend_goes_on_and_another_tokenizer_is_an_error(order: Order, run: Path) -> None:
    slow = with_tokens(order.recipe, tokenizer={"name": "web32k", "backend": "tiktoken"})
    run_pipeline(replace(order, recipe=slow), Folder(run), shown(), workers=1)
    other = with_tokens(order.recipe, tokenizer={"name": "web32k"}, bos=True)
    with pytest.raises(ResumeError, match=r"got other values of: tokenizer.bos_id\. .*--redo tokens"):
        run_pipeline(replace(order, recipe=other), Folder(run), shown(), workers=1)
    run_pipeline(replace(order, recipe=other), Folder(run), shown(), workers=1, redo="tokens")
    (bucket,) = (run / "tokens").iterdir()
    reader = TokenReader(bucket)
    (row,) = reader.document_table(np.array([0])).to_pylist()
    ids = reader.read(row["start"], row["stop"]).tolist()
    assert (ids[0], ids[-1], ids.count(BOS), ids.count(EOS)) == (BOS, EOS, 1, 1)
    (life,) = explain(Folder(run), row["doc_id"].hex()).lives
    assert life.tokens is not None
    assert life.tokens["is_the_text"]


def test_buckets_that_a_killed_redo_left_are_not_mixed(order: Order, run: Path) -> None:
    """SIGKILL after the entries were removed and before all of the data was."""
    (bucket,) = (run / "tokens").iterdir()
    shutil.copytree(bucket, run / "tokens" / "deu-news-high")
    before = (run / "mixture.json").read_bytes()
    for name in ("manifests/tokens", "manifests/mixture"):
        shutil.rmtree(run / name)
    with pytest.raises(InputError, match=r"must hold all of its tokens, got a run under way. Run `dataproc resume`"):
        remix(Folder(run), "natural", 0)
    run_pipeline(order, Folder(run), shown(), workers=1)
    assert [path.name for path in (run / "tokens").iterdir()] == [bucket.name]
    assert (run / "mixture.json").read_bytes() == before
    assert list(verify_run(Folder(run))) == []


def test_a_run_does_not_overwrite_another_mixture(order: Order, run: Path) -> None:
    remix(Folder(run), "uniform", 0)
    mine = (run / "mixture.json").read_bytes()
    assert list(verify_run(Folder(run))) == []
    with pytest.raises(
        ResumeError, match=r"mixture must be made as before .* other values of: .*mix\.groups\.all\.max_"
    ):
        run_pipeline(order, Folder(run), shown(), workers=1)
    assert (run / "mixture.json").read_bytes() == mine
    run_pipeline(order, Folder(run), shown(), workers=1, redo="mixture")
    assert '"mix": "natural"' in (run / "mixture.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", ["discard", "start", "commit"])
def test_a_mix_killed_at_any_line_leaves_one_that_is_whole(
    order: Order, run: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    before = (run / "mixture.json").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Dataset, method, killed)
        with pytest.raises(KeyboardInterrupt):
            remix(Folder(run), "uniform", 0)
    redo = "mixture" if method == "commit" else None  # by then the run is one of another mix
    run_pipeline(order, Folder(run), shown(), workers=1, redo=redo)
    assert (run / "mixture.json").read_bytes() == before
    assert list(verify_run(Folder(run))) == []


def test_a_refused_mix_changes_nothing(run: Path, tmp_path: Path) -> None:
    mix = tmp_path / "mine.yaml"
    mix.write_text("extends: natural\ngroups: {all: {buckets: jpn-*}}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="must match a bucket with tokens"):
        remix(Folder(run), str(mix), 0)
    assert list(verify_run(Folder(run))) == []


def test_the_order_of_stages_is_part_of_a_mixture(tmp_path: Path) -> None:
    stage = "{share: 0.5, weights: {all: 1}, seq_len: 128, batch_tokens: 128}"
    mix = tmp_path / "mine.yaml"
    recipe = load_recipe("default").model_copy(update={"mix": str(mix)})
    for number, names in enumerate(("ab", "ba")):
        stages = ", ".join(f"{name}: {stage}" for name in names)
        mix.write_text(f"groups: {{all: {{buckets: '*'}}}}\nstages: {{{stages}}}\n", encoding="utf-8")
        if number:
            with pytest.raises(ResumeError, match="got other values of: order"):
                declare_mixture(declared(tmp_path / "run", recipe))
        else:
            declare_mixture(declared(tmp_path / "run", recipe))


def test_a_wrong_mix_stops_a_run_before_it_starts(order: Order, tmp_path: Path) -> None:
    wrong = order.recipe.model_copy(update={"mix": "natral"})
    with pytest.raises(ConfigError, match=r'mix "natral" does not exist. Did you mean "natural"\?'):
        run_pipeline(replace(order, recipe=wrong), Folder(tmp_path), shown(), workers=1)
    assert not (tmp_path / "documents").exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("mix: natral", 'mix "natral" does not exist. Did you mean "natural"?'),
        ("tokens: {tokenizer: {name: web32}}", 'tokenizer.name "web32" is neither a vocabulary nor a file.'),
    ],
)
def test_a_recipe_is_checked_to_its_end(tmp_path: Path, change: str, sentence: str) -> None:
    (tmp_path / "mine.yaml").write_text(f"extends: default\n{change}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(tmp_path / "mine.yaml"))
    assert sentence in str(caught.value)


def test_a_run_that_drops_everything_says_so_after_its_report(order: Order, tmp_path: Path) -> None:
    values = order.recipe.model_dump(mode="json")
    values["documents"]["stages"]["gopher_quality"]["min_words"] = 10_000
    strict = replace(order, recipe=Recipe.model_validate(values))
    with pytest.raises(InputError) as caught:
        run_pipeline(strict, Folder(tmp_path), shown(), workers=1)
    assert str(caught.value) == (
        f"{tmp_path}/tokens must hold a bucket to mix, got none: each of the 20 documents was dropped. See by which"
        f" rule in {tmp_path}/report/index.html, and loosen it in the recipe."
    )
    assert (tmp_path / "report" / "index.html").is_file()
