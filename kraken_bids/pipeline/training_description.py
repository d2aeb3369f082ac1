"""What a model says of its training, in lines: on whom, on what, how long, how well."""

from collections.abc import Iterator, Mapping
from typing import Any

from kraken_bids.io.facts import Facts
from kraken_bids.models.training_record import EVALUATION, TRAINING
from kraken_bids.pipeline.progress import format_seconds
from kraken_bids.pipeline.train.latent_matches import LatentMatch

TOLD = {*vars(TRAINING).values()} - {TRAINING.subjects}
"""Keys of a provenance that the lines are made of."""
METRICS = {
    "avgrank": "average rank", "top1acc": "top-1", "avgcorr": "r",
    "avgcorr_resid": "r less mean",
}  # fmt: skip
SPACES = {"edges": "edge space", "transform": "transform space"}


def describe_training(provenance: Mapping[str, Any]) -> Iterator[str]:
    """Yield lines on the training; none of a model that was not trained by ``kraken-tools``."""
    facts = Facts(dict(provenance))
    if facts.part(TRAINING.base_training):
        yield from _describe_base(facts)
    elif facts.parts(TRAINING.held_out):
        yield from _describe_addition(facts)
    elif facts.parts(TRAINING.evaluation):
        yield from _describe_origin(facts)
        yield ""
        yield (
            "how well subjects are told apart, mean over paths [group mean, shuffled predictions]:"
        )
        yield from _list_figures(facts)
    for part in facts.parts("MergedFrom"):
        lines = list(describe_training(part.part("Provenance").plain))
        if lines:
            yield ""
            flavors = ", ".join(part.texts("Flavors"))
            yield f"{part.text('Name')}, of which this model has {flavors}:"
            yield from (f"  {line}" for line in lines[1:])


def _describe_base(facts: Facts) -> Iterator[str]:
    """Yield how the model was trained that this one was made from; its figures are left out."""
    yield ""
    yield (
        "before it was fine-tuned, the model was trained as follows; how well it did then says "
        "nothing of it now:"
    )
    yield from (
        f"  {line}" for line in list(_describe_origin(facts.part(TRAINING.base_training)))[1:]
    )
    yield from _list_regions(facts)


def _describe_addition(facts: Facts) -> Iterator[str]:
    recipe = facts.part(TRAINING.training)
    yield ""
    yield (
        f"trained on {facts.count(TRAINING.number_of_subjects)} subjects onto latents of "
        f"{facts.text('BaseModel')} ({facts.text(TRAINING.target_latents)})"
    )
    yield f"by {facts.text(TRAINING.method)}, transform {recipe.text('transform')}"
    yield _describe_recipe(recipe)
    yield from _describe_end(facts)
    yield ""
    yield "how well the latents of subjects held out are met:"
    yield from (
        f"  {LatentMatch.from_json(one).describe()}" for one in facts.parts(TRAINING.held_out)
    )


def _describe_origin(facts: Facts) -> Iterator[str]:
    recipe, sizes = facts.part(TRAINING.training), facts.part(TRAINING.split_sizes)
    yield ""
    yield (
        f"trained on {sizes.count('train')} subjects; watched with {sizes.count('validation')} "
        f"others; {sizes.count('test')} held out for test"
    )
    by_flavor = facts.part(TRAINING.subjects_by_flavor)
    if len({by_flavor.count(name) for name in by_flavor}) > 1:
        yield "  of whom " + ", ".join(f"{by_flavor.count(n)} have {n}" for n in by_flavor)
    yield f"by {facts.text(TRAINING.method)}, transform {recipe.text('transform')}"
    if facts.text(TRAINING.method) == "krakencoder":
        yield _describe_recipe(recipe)
        best = facts.count(TRAINING.best_validation_epoch)
        epoch, n_run = facts.count(TRAINING.epoch), facts.count(TRAINING.epochs_run)
        yield (
            f"epoch {epoch} of {n_run} that were run"
            + (f"; best validation after epoch {best}" if best else "")
        )
    yield from _describe_end(facts)


def _describe_end(facts: Facts) -> Iterator[str]:
    skipped, seconds = facts.count(TRAINING.skipped_steps), facts.number(TRAINING.training_seconds)
    if skipped:
        yield f"{skipped} training steps were skipped: gradient not finite"
    if seconds is not None:
        yield f"in {format_seconds(seconds)}, reading of the connectomes included"
    yield from _list_regions(facts)


def _list_regions(facts: Facts) -> Iterator[str]:
    for name, regions in facts.part(TRAINING.regions).plain.items():
        yield f"{name}: {len(regions) if isinstance(regions, list) else '?'} regions by name"


def _describe_recipe(recipe: Facts) -> str:
    return (
        f"  loss {recipe.text('loss')}; schedule {recipe.text('schedule')}, batch "
        f"{recipe.count('batch_size')}, learning rate {_show(recipe.number('learning_rate'))}, "
        f"dropout {_show(recipe.number('dropout'))}, weight decay "
        f"{_show(recipe.number('weight_decay'))}, seed {recipe.count('seed')}"
    )


def _list_figures(facts: Facts) -> Iterator[str]:
    rows: dict[tuple[str, str, str], list[str]] = {}
    subjects: dict[tuple[str, str, str], int | None] = {}
    for one in facts.parts(TRAINING.evaluation):
        key = (
            one.text(EVALUATION.split),
            one.text(EVALUATION.space),
            one.text(EVALUATION.direction),
        )
        name = METRICS.get(metric := one.text(EVALUATION.metric), metric)
        values = (
            _show(one.number(k))
            for k in (EVALUATION.value, EVALUATION.group_mean, EVALUATION.shuffled)
        )
        value, mean, shuffled = values
        rows.setdefault(key, []).append(f"{name} {value} [{mean}, {shuffled}]")
        subjects[key] = one.count(EVALUATION.subjects)
    order = sorted(rows, key=lambda key: list(SPACES).index(key[1]) if key[1] in SPACES else 9)
    for split, space, direction in order:
        cells = rows[split, space, direction]
        place = f"{split}, {SPACES.get(space, space)}, {direction}"
        yield f"  {place:40} n={subjects[split, space, direction]}: {'; '.join(cells)}"


def _show(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3g}"
