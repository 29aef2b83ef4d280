"""mixture.json: what is asked, what is possible, and that the loader yields exactly what the file promises."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dataproc.config import validate
from dataproc.errors import ConfigError, InputError
from dataproc.loader import StreamingLoader
from dataproc.storage import Folder
from jobs.mix import SHIPPED, Mix, assign_groups, load_mix, select
from jobs.mixture import render, write_mixture
from jobs.mixture_plan import apportion
from tests.dataproc.tokens.synthetic import LARGE, write_bucket, write_lengths

SIZES = {
    "deu-news-mid": 9_000,
    "eng-documentation-mid": 6_000,
    "eng-forum-low": 40_000,
    "eng-news-high": 12_000,
    "other-other-low": 3_000,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    folder = Folder(tmp_path_factory.mktemp("run"))
    for bucket, tokens in SIZES.items():
        write_lengths(folder, bucket, [100] * (tokens // 100))
    return folder


def write_mix(path: Path, **changes: object) -> str:
    """Write a mix of English and the rest, windows of 100 tokens, with some keys changed, and return its path."""
    values = {
        "groups": {
            "english": {"buckets": "eng-*", "max_epochs": 2},
            "rest": {"buckets": "*, !eng-*", "max_epochs": 2},
        },
        "stages": {"main": {"weights": {"english": 3, "rest": 1}, "seq_len": 100, "batch_tokens": 400}},
        "budget": 40_000,
        **changes,
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.yaml")))
def test_the_loader_yields_what_the_mixture_promises(run: Folder, tmp_path: Path, name: str) -> None:
    mixture = write_mixture(run, name, 7, tmp_path / "mixture.json")
    loader = StreamingLoader(tmp_path / "mixture.json")
    samples, tokens = Counter[tuple[str, str]](), Counter[str]()
    for batch in loader:
        samples.update((batch.stage, mixture.sources[source].name) for source in batch.sources.tolist())
        table = loader.trace(batch.step)
        for source, first, last in zip(*(table[c].to_pylist() for c in ("source", "first", "last")), strict=True):
            tokens[source] += last - first
    promised = {
        (stage.name, source.name): count
        for stage in mixture.stages
        for source, count in zip(mixture.sources, stage.samples, strict=True)
        if count
    }
    assert dict(samples) == promised
    assert mixture.report is not None
    assert {row.bucket: row.drawn_tokens for row in mixture.report.buckets if row.drawn_tokens} == dict(tokens)
    for bucket in mixture.report.buckets:
        assert bucket.epochs <= bucket.max_epochs
        assert round(bucket.epochs * bucket.tokens) >= bucket.drawn_tokens
    for part in mixture.report.groups:
        group = {row.bucket for row in mixture.report.buckets if row.group == part.group}
        counts = {name: count for (stage, name), count in samples.items() if stage == part.stage}
        share = sum(count for name, count in counts.items() if name in group) / sum(counts.values())
        assert part.drawn_share == pytest.approx(share, abs=1e-6)


def test_natural_reads_every_bucket_once(run: Folder, tmp_path: Path) -> None:
    report = write_mixture(run, "natural", 0, tmp_path / "m.json").report
    assert report is not None
    assert report.budget_tokens == sum(SIZES.values())
    assert (report.planned_tokens, report.planned_tokens // 2048) == (65_536, 32)  # of 34: whole batches only
    for row in report.buckets:
        assert row.tokens - 2 * 2048 < row.drawn_tokens <= row.tokens


def test_uniform_repeats_the_small(run: Folder, tmp_path: Path) -> None:
    report = write_mixture(run, "uniform", 0, tmp_path / "m.json").report
    assert report is not None
    rows = {row.bucket: row for row in report.buckets}
    # 70,000 // 2048 = 34 samples, 6.8 each; a batch of 32 is whole: 7 7 6 6 6. "other" has 2 samples an epoch.
    assert {row.asked_tokens for row in report.buckets} == {7 * 2048}
    assert (rows["other-other-low"].epochs, rows["other-other-low"].drawn_tokens) == (3, 9_000)
    assert (rows["eng-forum-low"].epochs, rows["eng-forum-low"].drawn_tokens) == (0.3072, 6 * 2048)


def test_llama3_draws_documentation_to_its_cap_and_leaves_some_to_annealing(run: Folder, tmp_path: Path) -> None:
    mixture = write_mixture(run, "llama3", 0, tmp_path / "m.json")
    assert mixture.report is not None
    rows = {row.bucket: row for row in mixture.report.buckets}
    assert 3.5 < rows["eng-documentation-mid"].epochs <= 4
    assert rows["eng-documentation-mid"].short_tokens > 0
    assert [stage.seq_len for stage in mixture.stages] == [2048, 4096]
    assert mixture.sources[2].name == "eng-forum-low"
    assert mixture.stages[1].samples[2] == 0  # only high quality is annealed on


def test_equal_runs_give_equal_bytes(run: Folder, tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    write_mixture(run, "llama3", 3, one)
    write_mixture(run, "llama3", 3, two)
    assert one.read_bytes() == two.read_bytes()
    assert sorted(tmp_path.iterdir()) == [one, two]
    write_mixture(run, "llama3", 3)
    inside = run.read_text("mixture.json")
    assert '"tokens": "tokens"' in inside
    assert str(tmp_path) not in inside
    run.remove("mixture.json")


def test_shares_of_a_mix(run: Folder, tmp_path: Path) -> None:
    """300 of 400 samples are English, by size: 6, 40 and 12 of 58."""
    mixture = write_mixture(run, write_mix(tmp_path / "mine.yaml"), 0, tmp_path / "m.json")
    assert mixture.mix == "mine"
    assert mixture.stages[0].samples == (75, 31, 207, 62, 25)
    assert (mixture.stages[0].steps, mixture.stages[0].batch_size, mixture.block_len) == (100, 4, 100)


def shortage(path: Path, on_shortage: str) -> str:
    """Ask 20,000 tokens of `rest`, of which max_epochs 1 allows 12,000: 9,000 and 3,000."""
    groups = {"english": {"buckets": "eng-*"}, "rest": {"buckets": "*, !eng-*", "max_epochs": 1}}
    stages = {"main": {"weights": {"english": 1, "rest": 1}, "seq_len": 100, "batch_tokens": 400}}
    return write_mix(path, groups=groups, stages=stages, on_shortage=on_shortage)


def test_shortage_is_an_error_with_two_ways_out(run: Folder, tmp_path: Path) -> None:
    name = shortage(tmp_path / "mine.yaml", "error")
    with pytest.raises(ConfigError) as caught:
        write_mixture(run, name, 0)
    assert str(caught.value) == (
        "mine: stages.main must not ask for more than max_epochs allows, got 15000 tokens asked of deu-news-mid and"
        " 9000 possible (9000 tokens, at most 1 epochs). Lower budget to 24000, or raise groups.rest.max_epochs to"
        " 1.67."
    )
    values = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    Path(name).write_text(yaml.safe_dump({**values, "budget": 24_000}), encoding="utf-8")
    assert write_mixture(run, name, 0, tmp_path / "m.json").stages[0].steps == 60
    values["groups"]["rest"]["max_epochs"] = 1.67
    Path(name).write_text(yaml.safe_dump(values), encoding="utf-8")
    assert write_mixture(run, name, 0, tmp_path / "m.json").stages[0].steps == 100


def test_shortage_redistributed(run: Folder, tmp_path: Path) -> None:
    mixture = write_mixture(run, shortage(tmp_path / "mine.yaml", "redistribute"), 0, tmp_path / "m.json")
    assert mixture.report is not None
    rows = {row.bucket: row for row in mixture.report.buckets}
    assert (rows["deu-news-mid"].drawn_tokens, rows["deu-news-mid"].short_tokens) == (9_000, 6_000)
    assert sum(mixture.stages[0].samples) == 400
    assert [part.drawn_share for part in mixture.report.groups] == [0.7, 0.3]


def test_shortage_stops_with_the_shares_kept(run: Folder, tmp_path: Path) -> None:
    mixture = write_mixture(run, shortage(tmp_path / "mine.yaml", "stop"), 0, tmp_path / "m.json")
    assert mixture.report is not None
    assert (mixture.report.budget_tokens, mixture.report.planned_tokens) == (40_000, 24_000)
    assert [part.drawn_share for part in mixture.report.groups] == [0.5, 0.5]


def test_a_group_without_buckets(run: Folder, tmp_path: Path) -> None:
    groups = {"english": {"buckets": "eng-*"}, "rest": {"buckets": "jpn-*"}}
    with pytest.raises(
        ConfigError, match=r"groups.rest.buckets must match a bucket with tokens, got none for 'jpn-\*'"
    ):
        write_mixture(run, write_mix(tmp_path / "mine.yaml", groups=groups), 0)
    name = write_mix(tmp_path / "mine.yaml", groups=groups, on_shortage="redistribute")
    mixture = write_mixture(run, name, 0, tmp_path / "m.json")
    assert mixture.report is not None
    assert mixture.report.empty_groups == ("rest",)
    assert mixture.report.unused_buckets == ("deu-news-mid", "other-other-low")
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(render(mixture))
    text = console.export_text()
    assert "Group rest matches no bucket with tokens." in text
    assert "Nothing is drawn from deu-news-mid, other-other-low." in text
    assert "eng-forum-low" in text


def test_no_group_of_a_stage_has_buckets(run: Folder, tmp_path: Path) -> None:
    """Not even `redistribute` helps: it is the pattern that is wrong, not the caps."""
    groups = {"english": {"buckets": "en-*"}, "rest": {"buckets": "jpn-*"}}
    name = write_mix(tmp_path / "mine.yaml", groups=groups, on_shortage="redistribute")
    with pytest.raises(ConfigError) as caught:
        write_mixture(run, name, 0)
    assert str(caught.value) == (
        "mine: groups.english.buckets must match a bucket with tokens, got none for 'en-*'. Correct the pattern:"
        " stages.main has no other group to draw from."
    )


def test_a_pattern_that_matches_nothing_is_reported(run: Folder, tmp_path: Path) -> None:
    groups = {"english": {"buckets": "eng-*, !*-lwo", "max_epochs": 2}, "rest": {"buckets": "*, !eng-*"}}
    report = write_mixture(run, write_mix(tmp_path / "mine.yaml", groups=groups), 0, tmp_path / "m.json").report
    assert report is not None
    assert (report.empty_groups, report.empty_patterns) == ((), ("english: !*-lwo",))


TWO_STAGES = {
    "main": {"share": 0.75, "weights": {"rest": 1}, "seq_len": 100, "batch_tokens": 400},
    "end": {"share": 0.25, "weights": {"rest": 1}, "seq_len": 100, "batch_tokens": 400},
}


def test_a_scarce_bucket_is_split_over_the_stages_as_they_ask(run: Folder, tmp_path: Path) -> None:
    """40,000 tokens asked of 12,000 at most twice: the last stage still gets its quarter of the 24,000."""
    name = write_mix(tmp_path / "mine.yaml", stages=TWO_STAGES, on_shortage="redistribute")
    mixture = write_mixture(run, name, 0, tmp_path / "m.json")
    assert [stage.samples for stage in mixture.stages] == [(135, 0, 0, 0, 45), (45, 0, 0, 0, 15)]


def test_shortage_over_two_stages_is_mended_by_either_way_out(run: Folder, tmp_path: Path) -> None:
    name = write_mix(tmp_path / "mine.yaml", stages=TWO_STAGES)
    with pytest.raises(ConfigError, match=r"Lower budget to 24000, or raise groups.rest.max_epochs to 3.34"):
        write_mixture(run, name, 0)
    values = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    groups = {**values["groups"], "rest": {"buckets": "*, !eng-*", "max_epochs": 3.34}}
    for change in ({"budget": 24_000}, {"groups": groups}):
        Path(name).write_text(yaml.safe_dump({**values, **change}, sort_keys=False), encoding="utf-8")
        report = write_mixture(run, name, 0, tmp_path / "m.json").report
        assert report is not None
        assert report.planned_tokens == report.budget_tokens


def test_a_stage_with_nothing_left(run: Folder, tmp_path: Path) -> None:
    groups = {"english": {"buckets": "eng-*"}, "rest": {"buckets": "*, !eng-*", "max_epochs": 0.001}}
    stages = {"main": {"weights": {"rest": 1}, "seq_len": 100, "batch_tokens": 400}}
    name = write_mix(tmp_path / "mine.yaml", groups=groups, stages=stages, on_shortage="redistribute")
    with pytest.raises(ConfigError, match=r"mine: stages.main must have tokens left to draw, got 0 of 40000"):
        write_mixture(run, name, 0)


def test_runs_that_cannot_be_mixed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="tokens must hold a bucket with tokens, got none"):
        write_mixture(Folder(tmp_path), "natural", 0)
    write_lengths(Folder(tmp_path), "eng", [10])
    write_bucket(Folder(tmp_path), "fra", [[[1, 0]]], LARGE)
    with pytest.raises(ConfigError, match="must have one tokenizer, got digits in eng and digits-large in fra"):
        write_mixture(Folder(tmp_path), "natural", 0)


def test_a_bucket_shorter_than_a_window(tmp_path: Path) -> None:
    write_lengths(Folder(tmp_path), "eng", [10])
    mixture = write_mixture(Folder(tmp_path), "natural", 0)
    (batch,) = StreamingLoader(tmp_path / "mixture.json")
    assert batch.input_ids.shape == (1, 2048)
    assert batch.loss_mask.sum() == 9
    assert mixture.report is not None
    assert mixture.report.buckets[0].drawn_tokens == 10


@pytest.mark.parametrize(
    ("patterns", "want"),
    [
        ("*", ["deu-a", "eng-a", "eng-b"]),
        ("eng-*, !*-b", ["eng-a"]),
        ("!*-b, eng-*", ["eng-a", "eng-b"]),
        ("deu-?,eng-b", ["deu-a", "eng-b"]),
        ("ENG-*", []),
    ],
)
def test_select(patterns: str, want: list[str]) -> None:
    assert select(patterns, ["deu-a", "eng-a", "eng-b"]) == want


def test_a_bucket_in_two_groups(run: Folder, tmp_path: Path) -> None:
    groups = {"english": {"buckets": "eng-*"}, "rest": {"buckets": "*-news-*"}}
    mix = load_mix(write_mix(tmp_path / "mine.yaml", groups=groups))
    with pytest.raises(ConfigError, match="must not share a bucket, got eng-news-high in english and rest"):
        assign_groups(mix, sorted(SIZES), "mine")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"budget": 0}, 'budget must be tokens above 0 or "X epochs", got 0.'),
        ({"budget": "2 times"}, "budget must be tokens above 0 or \"X epochs\", got '2 times'."),
        ({"block_len": -100}, "block_len must be greater than 0, got -100."),
        ({"block_len": 150}, "block_len must be a multiple of every seq_len, so of 100, got 150."),
        ({"stages": {"main": {"weights": {"engish": 1}}}}, 'stages.main.weights: no group "engish". Did you mean'),
        ({"stages": {"main": {"weights": {"rest": 0}}}}, "stages.main.weights must have one above 0, got none."),
        ({"stages": {"main": {"share": 0.5, "weights": {"rest": 1}}}}, "of all stages must add up to 1, got 0.5."),
        (
            {"stages": {"main": {"weights": {"rest": 1}, "seq_len": 100, "batch_tokens": 150}}},
            "stages.main.batch_tokens must be a multiple of seq_len 100, got 150. Use 200.",
        ),
        ({"grups": {}}, 'grups is not a key of Mix. Did you mean "groups"?'),
    ],
)
def test_wrong_mixes(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_mix(write_mix(tmp_path / "mine.yaml", **change))
    assert sentence in str(caught.value)


def test_temperature(run: Folder, tmp_path: Path) -> None:
    """German to other is 3 to 1 by size; sqrt(3) to 1 at temperature 2; 1 to 1 at infinite; 3 ** 1000 to 1 near 0."""
    for temperature, want in [(1, (75, 25)), (2, (63, 37)), ("infinite", (50, 50)), (0.001, (100, 0))]:
        groups = {
            "english": {"buckets": "eng-*"},
            "rest": {"buckets": "*, !eng-*", "temperature": temperature, "max_epochs": 2},
        }
        mixture = write_mixture(run, write_mix(tmp_path / "mine.yaml", groups=groups), 0, tmp_path / "m.json")
        assert (mixture.stages[0].samples[0], mixture.stages[0].samples[4]) == want


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 40)), min_size=1, max_size=8), st.integers(0, 200))
def test_apportion(entries: list[tuple[int, int]], total: int) -> None:
    shares, limits = [share / 7 for share, _ in entries], [limit for _, limit in entries]
    counts = apportion(total, shares, limits)
    possible = sum(limit for share, limit in entries if share)
    assert sum(counts) == min(total, possible)
    assert all(0 <= count <= limit for count, limit in zip(counts, limits, strict=True))
    assert not any(count for count, share in zip(counts, shares, strict=True) if not share)
    # Those below their limit stand in proportion to their shares.
    free = [(c, share) for c, share, limit in zip(counts, shares, limits, strict=True) if share and c < limit]
    scale = sum(count for count, _ in free) / max(sum(share for _, share in free), 1e-9)
    assert all(abs(count - scale * share) < 2 for count, share in free)


def test_validate_is_what_the_file_gets() -> None:
    assert validate(Mix, load_mix("natural").model_dump(), "natural") == load_mix("natural")
    assert load_mix("uniform").groups["all"].temperature == "infinite"
