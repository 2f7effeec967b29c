"""Checkpoints of a run: Orbax writes each in a temporary folder and renames it when it is whole."""

import contextlib
import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp

from experiments.command import UserError

_ITEMS = ("model", "optimizer")


class Checkpoints:
    """The newest few states of a run, numbered by the epochs done.

    A state is a mapping from "model" and "optimizer" to pytrees of arrays; the model can be
    restored alone. Orbax keeps checksums: a file cut short, emptied or lost is noticed when
    it is read, and the checkpoint before is taken instead.
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
        self._manager = ocp.CheckpointManager(
            self.folder,
            item_handlers={name: ocp.StandardCheckpointHandler() for name in _ITEMS},
            options=ocp.CheckpointManagerOptions(
                max_to_keep=None if read_only else keep,
                create=not read_only,
                enable_async_checkpointing=False,
            ),
        )

    def save(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Returns when the state after `epoch` epochs is whole on the disk.

        Raises:
          OSError: the files cannot be written; the checkpoints before are kept.
        """
        items = {name: ocp.args.StandardSave(tree) for name, tree in state.items()}
        try:
            self._manager.save(epoch, args=ocp.args.Composite(**items), force=True)
        except ValueError as error:  # tensorstore's, for example when the disk is full
            raise OSError(_reason(error)) from error

    def restore_newest(
        self, like: Mapping[str, Any], say: Callable[[str], None] = print
    ) -> tuple[int, dict[str, Any]]:
        """The newest checkpoint that is whole.

        Newer ones that are not are moved beside the folder, as `damaged-checkpoint-<epoch>`, unless
        `read_only`: nothing is deleted.

        Args:
          like: the items to restore, as trees with the structure, shapes and devices wanted.
          say: called with one line for each checkpoint that cannot be read.
        Returns:
          The number of epochs done and the items.
        Raises:
          UserError: no checkpoint is whole, or the newest whole one is of another model.
        """
        damaged = []
        for epoch in sorted(self._manager.all_steps(), reverse=True):
            state = self._restore(epoch, like, say)
            if state is not None:
                self._set_aside(damaged)
                return epoch, state
            damaged.append(epoch)
        raise UserError(f"no whole checkpoint in {self.folder}; start a new run")

    def _restore(self, epoch: int, like: Mapping[str, Any], say) -> dict[str, Any] | None:
        items = {name: ocp.args.StandardRestore(tree) for name, tree in like.items()}
        with _no_unraisable_noise():
            try:
                self._check_model(epoch, like["model"])
                restored = self._manager.restore(epoch, args=ocp.args.Composite(**items))
                return {name: restored[name] for name in like}
            except UserError:
                raise
            except Exception as error:  # of many types: JSON, tensorstore, missing files
                say(f"checkpoint {epoch} is damaged and passed over ({_reason(error)[:100]})")
                return None

    def _check_model(self, epoch: int, model: Any) -> None:
        saved = _shapes(self._manager.item_metadata(epoch)["model"].tree)
        wanted = _shapes(model)
        for name in sorted(saved.keys() | wanted.keys()):
            if saved.get(name) != wanted.get(name):
                raise UserError(
                    f"the checkpoint {self.folder / str(epoch)} is of another model: {name} is "
                    f"{saved.get(name, 'absent')} there and {wanted.get(name, 'absent')} in the "
                    "model to be restored; give the run folder of this model"
                )

    def _set_aside(self, epochs: list[int]) -> None:
        if epochs and not self._read_only:
            for epoch in epochs:
                target = self.folder.parent / f"damaged-checkpoint-{epoch}"
                (self.folder / str(epoch)).rename(_unused(target))
            self._manager.reload()


@contextlib.contextmanager
def _no_unraisable_noise() -> Iterator[None]:
    """A restore that failed leaves coroutines behind, whose end Python would report on stderr."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: None
    try:
        yield
    finally:
        gc.collect()
        sys.unraisablehook = hook


def _reason(error: Exception) -> str:
    """The first sentence; tensorstore goes on with the whole state of its drivers."""
    return str(error).strip().partition("\n")[0].partition(". ")[0] or type(error).__name__


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): tuple(leaf.shape)
        for path, leaf in leaves
    }


def _unused(path: Path) -> Path:
    number = 2
    candidate = path
    while candidate.exists():
        candidate = path.with_name(f"{path.name}-{number}")
        number += 1
    return candidate
