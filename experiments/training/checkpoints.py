"""Checkpoints of a run: Orbax writes each in a temporary folder and renames it when it is whole."""

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
    AnyPreservationPolicy,
    LatestN,
    PreservationPolicy,
)

from experiments.commands import files
from experiments.commands.command import UserError
from experiments.training.tensorstore import (
    as_os_error,
    but_for_closed_loops,
    no_unraisable_noise,
    reason,
    settle,
)

_MOST_BYTES = 2**26  # of a description in JSON
ITEMS = ("model", "average", "training")


class Checkpoints:
    """The newest few states of a run and the best one, numbered by the steps done.

    A state is a mapping from names in `ITEMS` to pytrees of arrays, each of which can be restored
    alone, and facts, which JSON can hold. Orbax keeps checksums: a file cut short, emptied or lost
    is noticed when it is read, and the checkpoint before is taken instead.
    """

    def __init__(self, folder: Path, *, keep: int = 3, read_only: bool = False):
        """Opens the folder, and makes it unless `read_only`.

        Args:
          folder: one subfolder a checkpoint.
          keep: how many of the newest stay; an older one goes when a newer one is whole.
          read_only: changes nothing on the disk.
        """
        self.folder = Path(folder).absolute()
        self._read_only = read_only
        if read_only and not self.folder.is_dir():
            raise UserError(f"{self.folder} is missing; give a run folder that holds checkpoints")
        handlers: dict[str, Any] = {name: ocp.StandardCheckpointHandler() for name in ITEMS}
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy([LatestN(keep), _Best(self)]),
            create=not read_only,
            cleanup_tmp_directories=not read_only,
        )
        handlers["facts"] = ocp.JsonCheckpointHandler()
        try:
            for path in self.folder.glob("*/_CHECKPOINT_METADATA"):
                if path.stat().st_size > _MOST_BYTES:
                    raise ValueError(f"that of {path.parent.name} has over {_MOST_BYTES:,} bytes")
            self._manager = ocp.CheckpointManager(
                self.folder, item_handlers=handlers, options=options
            )
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"a _CHECKPOINT_METADATA in {self.folder} is damaged ({reason(error)}); move the "
                "checkpoint that holds it to another place"
            ) from error
        self._scores = {step: self._saved_score(step) for step in self._manager.all_steps()}

    def __enter__(self) -> "Checkpoints":
        self._hook = sys.unraisablehook
        sys.unraisablehook = but_for_closed_loops(self._hook)
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Waits for what is being written; a fault in that is told unless there is another."""
        try:
            with as_os_error():
                self._manager.close()
        except OSError:
            if error is None:
                raise
        finally:
            if not self._read_only:
                settle(self.folder)
        if error is None:
            sys.unraisablehook = self._hook

    def save(
        self,
        step: int,
        state: Mapping[str, Any],
        facts: Mapping[str, Any],
        score: float | None = None,
    ) -> None:
        """Copies the state after `step` steps, and writes it while the program goes on.

        Args:
          step: number of the checkpoint.
          state: pytrees of arrays.
          facts: what JSON can hold.
          score: the higher, the better; None where nothing was tested.
        Raises:
          OSError: the checkpoint before could not be written; those before it are kept.
        """
        items = {name: ocp.args.StandardSave(tree) for name, tree in state.items()}
        self._scores[step] = score
        with as_os_error():
            facts = ocp.args.JsonSave({**facts, "score": score})
            self._manager.save(step, args=ocp.args.Composite(**items, facts=facts), force=True)

    def wait(self) -> None:
        """Returns when what was saved is whole on the disk.

        Raises:
          OSError: the files cannot be written; the checkpoints before are kept.
        """
        with as_os_error():
            self._manager.wait_until_finished()

    @property
    def newest(self) -> int | None:
        """Steps done at the newest checkpoint; None where nothing was saved yet."""
        return max(self._manager.all_steps(), default=None)

    def restore_newest(
        self, like: Mapping[str, Any], say: Callable[[str], None] = print
    ) -> tuple[int, dict[str, Any]]:
        """The newest checkpoint that is whole.

        Newer ones that are not are moved beside the folder, as `damaged-checkpoint-<step>`, unless
        `read_only`: nothing is deleted.

        Args:
          like: the items to restore, as trees with the structure, shapes and devices wanted.
          say: called with one line for each checkpoint that cannot be read.
        Returns:
          The number of steps done and the items, with the facts among them.
        Raises:
          UserError: no checkpoint is whole, or the newest whole one is of another model.
        """
        return self._restore_first(sorted(self._manager.all_steps(), reverse=True), like, say)

    def restore_best(
        self, like: Mapping[str, Any], say: Callable[[str], None] = print
    ) -> tuple[int, dict[str, Any]]:
        """As `restore_newest`, but of the checkpoint with the highest score."""
        newest = sorted(self._manager.all_steps(), reverse=True)
        best = self.best(newest)
        return self._restore_first(sorted(newest, key=lambda step: step != best), like, say)

    def best(self, steps: list[int]) -> int | None:
        """That of `steps` with the highest score, the newest of several; None if none has one."""
        scored = [step for step in steps if self._scores.get(step) is not None]
        return max(scored, key=lambda step: (self._scores[step], step), default=None)

    def _saved_score(self, step: int) -> float | None:
        """None where there is none, or where it cannot be read."""
        try:
            score = _described(self.folder / str(step) / "facts/metadata").get("score")
        except (OSError, ValueError):
            return None
        return score if type(score) is float and math.isfinite(score) else None

    def _restore_first(self, steps: list[int], like, say) -> tuple[int, dict[str, Any]]:
        damaged = []
        for step in steps:
            state = self._restore(step, like, say)
            if state is not None:
                self._set_aside(damaged)
                return step, state
            damaged.append(step)
        raise UserError(f"no whole checkpoint in {self.folder}; start a new run")

    def _restore(self, step: int, like: Mapping[str, Any], say) -> dict[str, Any] | None:
        items = {name: ocp.args.StandardRestore(tree) for name, tree in like.items()}
        with no_unraisable_noise():
            try:
                for name in ("_CHECKPOINT_METADATA", "facts/metadata", "*/_METADATA"):
                    for path in (self.folder / str(step)).glob(name):
                        _described(path)
                self._check_model(step, like)
                args = ocp.args.Composite(**items, facts=ocp.args.JsonRestore())
                restored = self._manager.restore(step, args=args)
                return {name: restored[name] for name in (*like, "facts")}
            except UserError:
                raise
            except Exception as error:  # of many types: JSON, tensorstore, missing files
                say(f"checkpoint {step} is damaged and passed over ({reason(error)[:100]})")
                return None

    def _check_model(self, step: int, like: Mapping[str, Any]) -> None:
        described = self._manager.item_metadata(step)
        for item in like:
            _check_parts(described[item].tree)
        item = next(name for name in like if name != "training")
        saved = _leaves(described[item].tree)
        wanted = _leaves(like[item])
        for name in sorted(saved.keys() | wanted.keys()):
            if saved.get(name) != wanted.get(name):
                raise UserError(
                    f"the checkpoint {self.folder / str(step)} is of another model: {name} is "
                    f"{saved.get(name, 'absent')} there and {wanted.get(name, 'absent')} in the "
                    "model to be restored; give the run folder of this model"
                )

    def _set_aside(self, steps: list[int]) -> None:
        if steps and not self._read_only:
            for step in steps:
                target = self.folder.parent / f"damaged-checkpoint-{step}"
                (self.folder / str(step)).rename(_unused(target))
            self._manager.reload()


class _Best(PreservationPolicy):
    """Keeps the best checkpoint; Orbax's own cannot open a folder with one damaged score."""

    def __init__(self, checkpoints: Checkpoints):
        self._checkpoints = checkpoints

    def should_preserve(self, checkpoints, *, context) -> list[bool]:
        steps = [checkpoint.step for checkpoint in checkpoints]
        best = self._checkpoints.best(steps)
        return [step == best for step in steps]


def _leaves(tree: Any) -> dict[str, str]:
    """Shape and dtype of each array."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): f"{tuple(leaf.shape)} {leaf.dtype}"
        for path, leaf in leaves
    }


def _check_parts(tree: Any) -> None:
    """Raises ValueError if an array claims to be kept in parts that are larger than the array.

    The memory for a part is taken at once, and where there is not so much the process is ended.
    """
    for leaf in jax.tree.leaves(tree):
        parts = leaf.storage.chunk_shape if leaf.storage else ()
        if any(part > max(size, 1) for part, size in zip(parts, leaf.shape, strict=True)):
            raise ValueError(f"{leaf.name} is kept in parts of {parts}, larger than {leaf.shape}")


def _described(path: Path) -> dict[str, Any]:
    """What a file of a checkpoint describes in JSON.

    Raises:
      OSError: it cannot be read.
      ValueError: it is too large, or describes nothing.
    """
    description = files.parse(files.read(path, _MOST_BYTES))
    if not isinstance(description, dict):
        raise ValueError(f"{path.name} describes nothing")
    return description


def _unused(path: Path) -> Path:
    number = 2
    candidate = path
    while candidate.exists():
        candidate = path.with_name(f"{path.name}-{number}")
        number += 1
    return candidate
