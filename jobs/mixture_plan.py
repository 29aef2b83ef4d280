"""How many samples each bucket gives to each training stage: what a mix asks, met with what there is.

Weights become whole samples per source; a source that runs out gives its rest to others as the mix says; every stage
goes on where the one before left each source's cursor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataproc.errors import ConfigError
from dataproc.loader.mixture import BucketReport, GroupReport, Mixture, Report, Source, TrainingStage
from dataproc.loader.positions import Leg, Positions
from jobs.mix import Group, Mix, StagePlan, unmatched


@dataclass(frozen=True)
class _Asked:
    """What the weights ask of each source in a stage, and what it can give; in samples."""

    shares: list[float]
    samples: int
    capacity: list[int]
    seq_len: int


class MixturePlan:
    """Goes through the stages, each from where the one before left the cursors."""

    def __init__(self, mix: Mix, name: str, sources: Sequence[Source], groups: Mapping[str, str], budget: int) -> None:
        self.mix, self.name, self.sources, self.groups, self.budget = mix, name, sources, groups, budget
        self.block_len = mix.block_len or mix.common_length()
        self._asked: list[_Asked] = []
        self._members = {
            group: [number for number, source in enumerate(sources) if groups.get(source.name) == group]
            for group in mix.groups
        }

    def stages(self) -> list[TrainingStage]:
        """Return the stages; one for which not a single sample is left is an error."""
        stages: list[TrainingStage] = []
        cursors = [(0, 0)] * len(self.sources)
        wanted = self._wanted_epochs()
        for number, (name, plan) in enumerate(self.mix.stages.items()):
            legs = self._legs(cursors, plan)
            asked = self._ask(name, plan, legs, self._reserved(wanted, number))
            self._asked.append(asked)
            stage = self._fit(name, plan, asked)
            cursors = [
                leg.after(count) if count else cursor
                for leg, count, cursor in zip(legs, stage.samples, cursors, strict=True)
            ]
            stages.append(stage)
        return stages

    def _legs(self, cursors: Sequence[tuple[int, int]], plan: StagePlan) -> list[Leg]:
        return [
            Leg(source, epoch, offset, plan.seq_len, self.block_len)
            for source, (epoch, offset) in zip(self.sources, cursors, strict=True)
        ]

    def _wanted_epochs(self) -> list[list[float]]:
        """Return, for each stage and source, the epochs that the weights alone ask of it."""
        wanted = []
        for plan in self.mix.stages.values():
            legs = self._legs([(0, 0)] * len(self.sources), plan)
            samples, shares = self._samples(plan), self._shares(plan)
            wanted.append([samples * share / leg.per_epoch for share, leg in zip(shares, legs, strict=True)])
        return wanted

    def _reserved(self, wanted: Sequence[Sequence[float]], stage: int) -> list[float]:
        """Return the epochs of each source that a stage leaves to those after it.

        What a source can give in all is split over the stages as they ask for it, so that annealing finds the part of a
        scarce bucket that is meant for it. Example: asked for 6 and 2 epochs of at most 4, the stages get 3 and 1.
        """
        reserved = []
        for number, source in enumerate(self.sources):
            total = math.fsum(epochs[number] for epochs in wanted)
            cap = self._settings(source.name).max_epochs if source.name in self.groups else 0.0
            later = math.fsum(epochs[number] for epochs in wanted[stage + 1 :])
            reserved.append(later * min(1.0, cap / total) if total else 0.0)
        return reserved

    def _samples(self, plan: StagePlan) -> int:
        return max(1, round(self.budget * plan.share) // plan.seq_len)

    def _shares(self, plan: StagePlan) -> list[float]:
        """Return the share of a stage's samples that the weights ask of each source; they add up to 1."""
        shares = [0.0] * len(self.sources)
        weights = {group: weight for group, weight in plan.weights.items() if weight and self._members[group]}
        for group, weight in weights.items():
            for number, part in zip(self._members[group], self._inner_shares(group), strict=True):
                shares[number] = weight / math.fsum(weights.values()) * part
        return shares

    def _ask(self, name: str, plan: StagePlan, legs: Sequence[Leg], reserved: Sequence[float]) -> _Asked:
        empty = sorted(group for group, weight in plan.weights.items() if weight and not self._members[group])
        shares = self._shares(plan)
        if empty and (self.mix.on_shortage != "redistribute" or not any(shares)):
            others = f", set its weight in {name} to 0, or set on_shortage: redistribute."
            none = f": stages.{name} has no other group to draw from."
            raise ConfigError(
                f"{self.name}: groups.{empty[0]}.buckets must match a bucket with tokens, got none for"
                f" {self.mix.groups[empty[0]].buckets!r}. Correct the pattern{others if any(shares) else none}"
            )
        capacity = [
            _capacity(leg, self._settings(leg.source.name).max_epochs - kept) if share else 0
            for leg, share, kept in zip(legs, shares, reserved, strict=True)
        ]
        return _Asked(shares, self._samples(plan), capacity, plan.seq_len)

    def _inner_shares(self, group: str) -> list[float]:
        """Return the shares of a group's buckets by its temperature; they add up to 1."""
        temperature = self.mix.groups[group].temperature
        power = 0.0 if temperature == "infinite" else 1 / temperature
        sizes = [self.sources[number].tokens for number in self._members[group]]
        parts = [(size / max(sizes)) ** power for size in sizes]  # at most 1, so no power is too large for a float
        return [part / math.fsum(parts) for part in parts]

    def _fit(self, name: str, plan: StagePlan, asked: _Asked) -> TrainingStage:
        """Bring what is asked within what can be given, in whole global batches."""
        samples = min(asked.samples, sum(asked.capacity))
        if self.mix.on_shortage == "error":
            self._refuse_shortage(name, asked)
        elif self.mix.on_shortage == "stop":
            given = ((count, share) for count, share in zip(asked.capacity, asked.shares, strict=True) if share)
            samples = min(samples, *(math.floor(count / share) for count, share in given))
        if not samples:
            raise ConfigError(
                f"{self.name}: stages.{name} must have tokens left to draw, got 0 of"
                f" {asked.samples * plan.seq_len}: earlier stages read all that max_epochs allows. Raise max_epochs,"
                " lower budget, or give the stage a group with tokens."
            )
        batch_size = min(plan.batch_tokens // plan.seq_len, samples)
        steps = samples // batch_size
        return TrainingStage(
            name=name,
            steps=steps,
            batch_size=batch_size,
            seq_len=plan.seq_len,
            samples=tuple(self._draw(steps * batch_size, asked)),
        )

    def _draw(self, samples: int, asked: _Asked) -> list[int]:
        """Return samples per source: first among groups, then inside each, never above what a source can give."""
        groups = [numbers for numbers in self._members.values() if numbers]
        shares = [math.fsum(asked.shares[number] for number in numbers) for numbers in groups]
        limits = [sum(asked.capacity[number] for number in numbers) for numbers in groups]
        drawn = [0] * len(self.sources)
        for numbers, count in zip(groups, apportion(samples, shares, limits), strict=True):
            inner = [asked.shares[number] for number in numbers]
            for number, part in zip(
                numbers, apportion(count, inner, [asked.capacity[number] for number in numbers]), strict=True
            ):
                drawn[number] = part
        return drawn

    def _refuse_shortage(self, name: str, asked: _Asked) -> None:
        """Raise ConfigError for the bucket that lacks most, with the two numbers that would mend it."""
        fits = [count / share if share else math.inf for count, share in zip(asked.capacity, asked.shares, strict=True)]
        worst = min(range(len(fits)), key=fits.__getitem__)
        # Rounding to whole samples is no shortage.
        if math.floor(asked.samples * asked.shares[worst]) <= asked.capacity[worst]:
            return
        source, group = self.sources[worst], self.groups[self.sources[worst].name]
        wanted = round(asked.samples * asked.shares[worst]) * asked.seq_len
        possible = asked.capacity[worst] * asked.seq_len
        cap = self.mix.groups[group].max_epochs
        need = math.ceil(math.fsum(epochs[worst] for epochs in self._wanted_epochs()) * 100) / 100
        budget = math.floor(fits[worst] * asked.seq_len / self.mix.stages[name].share)
        raise ConfigError(
            f"{self.name}: stages.{name} must not ask for more than max_epochs allows, got {wanted} tokens asked of"
            f" {source.name} and {possible} possible ({source.tokens} tokens, at most {cap:g} epochs)."
            f" Lower budget to {budget}, or raise groups.{group}.max_epochs to {need:g}."
        )

    def report(self, mixture: Mixture) -> Report:
        """Return asked and possible, by bucket and by group and stage."""
        ledger = Positions(mixture).ledger(sum(stage.steps for stage in mixture.stages))
        asked, short = [0] * len(self.sources), [0] * len(self.sources)
        for stage in self._asked:
            for number, share in enumerate(stage.shares):
                wanted = round(stage.samples * share)
                asked[number] += wanted * stage.seq_len
                short[number] += max(0, wanted - stage.capacity[number]) * stage.seq_len
        used = {group for stage in self.mix.stages.values() for group, weight in stage.weights.items() if weight}
        return Report(
            on_shortage=self.mix.on_shortage,
            budget_tokens=self.budget,
            planned_tokens=sum(stage.steps * stage.batch_size * stage.seq_len for stage in mixture.stages),
            empty_groups=tuple(sorted(group for group in used if not self._members[group])),
            empty_patterns=tuple(
                f"{group}: {pattern}"
                for group, numbers in self._members.items()
                if numbers
                for pattern in unmatched(self.mix.groups[group].buckets, [source.name for source in self.sources])
            ),
            unused_buckets=tuple(row.source for row in ledger if not row.samples),
            groups=tuple(self._group_reports(mixture)),
            buckets=tuple(
                BucketReport(
                    bucket=row.source,
                    group=self.groups.get(row.source, ""),
                    tokens=row.size,
                    asked_tokens=asked[number],
                    drawn_tokens=row.tokens,
                    epochs=round(row.epochs, 6),
                    max_epochs=self._settings(row.source).max_epochs if row.source in self.groups else 0.0,
                    short_tokens=short[number],
                )
                for number, row in enumerate(ledger)
            ),
        )

    def _settings(self, bucket: str) -> Group:
        return self.mix.groups[self.groups[bucket]]

    def _group_reports(self, mixture: Mixture) -> list[GroupReport]:
        reports = []
        for stage, plan in zip(mixture.stages, self.mix.stages.values(), strict=True):
            for group, weight in plan.weights.items():
                drawn = sum(stage.samples[number] for number in self._members[group])
                reports.append(
                    GroupReport(
                        group=group,
                        stage=stage.name,
                        buckets=len(self._members[group]),
                        asked_share=round(weight / math.fsum(plan.weights.values()), 6),
                        drawn_share=round(drawn / sum(stage.samples), 6),
                    )
                )
        return reports


def _capacity(leg: Leg, max_epochs: float) -> int:
    """Return how many samples a source can still give before its cursor passes max_epochs."""
    whole = math.floor(max_epochs)
    part = math.floor((max_epochs - whole) * leg.source.tokens) // leg.seq_len
    return max(0, whole * leg.per_epoch + part - leg.first)


def apportion(total: int, shares: Sequence[float], limits: Sequence[int]) -> list[int]:
    """Return whole numbers that add up to min(total, sum(limits)), in proportion to shares, none above its limit.

    What one cannot take goes to the others in proportion; entries without a share get nothing. Fractions go to the
    largest remainders, then to the first. Example: apportion(10, [0.5, 0.5], [2, 9]) == [2, 8]
    """
    given: list[float] = [0.0] * len(shares)
    open_ = {number for number, share in enumerate(shares) if share > 0 and limits[number] > 0}
    total = min(total, sum(limits[number] for number in open_))
    rest = float(total)
    while open_:
        scale = rest / math.fsum(shares[number] for number in sorted(open_))
        full = {number for number in open_ if shares[number] * scale >= limits[number]}
        for number in sorted(full or open_):
            given[number] = float(limits[number]) if full else shares[number] * scale
        rest -= sum(limits[number] for number in full)
        if not full:
            break
        open_ -= full
    counts = [min(math.floor(value), limits[number]) for number, value in enumerate(given)]
    order = sorted((number for number, value in enumerate(given) if value > 0), key=lambda n: (counts[n] - given[n], n))
    while (missing := total - sum(counts)) > 0:
        for number in [number for number in order if counts[number] < limits[number]][:missing]:
            counts[number] += 1
    return counts
