"""Measures the rows, prints and draws the ratios, and keeps the results."""

from experiments.commands import command
from experiments.commands.command import UserError, extra, require

with extra("experiments"):
    import dataclasses
    import os
    import sys
    from pathlib import Path
    from typing import Any, Literal

    # Or JAX would take three quarters of a GPU's memory from PyTorch.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

    import jax
    import jax.numpy as jnp

    from experiments.benchmark import ceiling, check, picture, readme, results, table, timing
    from experiments.benchmark.compile_for import readme as compile_readme
    from experiments.benchmark.compile_for.command import Request
    from experiments.benchmark.compile_for.command import run as compile_rows
    from experiments.benchmark.measure import TORCH, Settings, measure
    from experiments.benchmark.registry import Benchmark
    from experiments.benchmark.results import Result
    from experiments.benchmark.selection import load_rows, select
    from experiments.benchmark.torch_peer import TorchPeer, here
    from experiments.commands import stopping, tables
    from experiments.commands.phases import phase

ROOT = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures this library beside plain lax, Flax and PyTorch, by turns, in one process.

    Compiling is told in CPU seconds with nothing cached, and as a ratio to the quickest peer on
    JAX: with its gradient, a row above 2 has missed the target.
    """

    suite: Literal["primitives", "models"] = "primitives"
    """The primitives, each with its gradient, or training steps of networks."""
    platform: Literal["cpu", "gpu"] = "cpu"
    """Where JAX and PyTorch compute."""
    compile_for: str = ""
    """Measures nothing: compiles for a device that is not here, h100, h200, tpu-v5e or a file."""
    dtype: str = "float32"
    """float32, bfloat16, float16, float64, or tf32: float32 by TF32 products, on a GPU."""
    peers: str = "lax,flax,torch"
    """Names with commas between: lax, flax, torch, torch-compile."""
    in_scan: bool = False
    """Measures a step inside `lax.scan` too, against the same step outside."""
    filter: str = ""
    """Any part of "family: row", several with commas between; empty for every row."""
    torch_python: Path | None = None
    """An interpreter that has PyTorch; this one when left out, if it has."""
    repeats: int = 7
    """Rounds that are counted, after two that are not."""
    quick: bool = False
    """Three rounds after one: for a first look."""
    json: Path | None = None
    """File for all results of this run."""
    picture: Path | None = None
    """File for a picture of the ratios, .png or .svg."""
    save: bool = False
    """Puts the results into the committed file of this device and version, with a picture."""
    results: Path = results.FOLDER
    """Folder of the committed files."""
    list: bool = False
    """Prints the rows and measures none."""

    def __post_init__(self):
        require(self.repeats >= 1, "repeats", self.repeats, "must be at least 1")
        known = ", ".join(check.TOLERANCES)
        require(self.dtype in check.TOLERANCES, "dtype", self.dtype, f"must be one of: {known}")
        tf32_on_cpu = self.dtype == "tf32" and self.platform == "cpu"
        require(not tf32_on_cpu, "dtype", self.dtype, "goes with --platform gpu alone")
        for option in ("in_scan", "quick", "torch_python"):
            given = getattr(self, option)
            rule = "does not go with --compile-for"
            require(not (self.compile_for and given), option, given, rule)
        narrow = self.dtype in ("float32", "bfloat16", "float16")
        require(narrow or not self.compile_for, "dtype", self.dtype, rule)
        for peer in self.peer_names:
            rule = f"must be names out of: {', '.join(table.PEERS)}, with commas between"
            require(peer in table.PEERS, "peers", self.peers, rule)
        require(not (self.save and self.quick), "save", self.save, "does not go with --quick")

    def begins(self) -> tuple[str, str]:
        """What the first line says."""
        if self.compile_for:
            what = f"Compiles rows for a device that is not here, {self.compile_for}"
            return what, "9 s for 2 rows of max pools"
        what = "Measures this library beside plain lax, Flax and PyTorch, by turns, in one process"
        return what, "27 s of CPU for 8 rows with --quick"

    @property
    def peer_names(self) -> tuple[str, ...]:
        """The peers, none for an empty text."""
        return tuple(name.strip() for name in self.peers.split(",") if name.strip())


@dataclasses.dataclass(frozen=True)
class Readme:
    """Writes the tables of the two READMEs from the committed results."""

    readme: Path = ROOT / "README.md"
    """The file that gets a line for each family, between two markers."""
    details: Path = Path(__file__).with_name("README.md")
    """The file that gets everything, between two markers."""
    results: Path = results.FOLDER
    """Folder of the committed files."""


def run(options: Options) -> int:
    """Measures; returns 1 if a result is wrong or one of our own programs fails."""
    load_rows(options.suite)
    rows = select(options.suite, options.filter)
    target = table.console()
    if options.list:
        for row in rows:
            print(f"{row.family}: {row.name}")
        return 0
    if options.compile_for:
        jax.config.update("jax_platforms", "cpu")  # of this process, which compiles nothing
        request = Request(
            options.compile_for, options.dtype, options.peer_names, options.json, options.picture,
            options.save, options.results,
        )  # fmt: skip
        return compile_rows(request, rows, target)
    use_platform(options)
    for path in (options.json, options.picture):
        if path:
            command.reserve(path)
    committed = results.path_of(options.results, results.device(), jax.__version__)
    before = results.read(committed)[1] if committed.exists() else []
    with stopping.temporary_folder() as folder:
        torch = start_torch(options, folder)
        try:
            head, measured = measure_all(rows, options, torch)
        finally:
            if torch:
                torch.close()
    table.show(measured, target)
    for line in results.regressions(measured, before):
        tables.say(target, f"regression: {line}", style="yellow")
    print_machine(head, target)
    keep(options, head, measured, before, committed)
    return 1 if any(result.failed for result in measured) else 0


def use_platform(options: Options) -> None:
    """Sets JAX to the platform and to the accuracy of the dtype, without its cache on disk.

    Raises:
      UserError: the platform is not there.
    """
    jax.config.update("jax_enable_compilation_cache", False)  # what compiling takes is measured
    if options.platform == "cpu":
        jax.config.update("jax_platforms", "cpu")
    if jax.default_backend() != options.platform:
        raise UserError(
            f"--platform {options.platform} is not there for JAX; on a machine that has one: "
            f"{command.install('cuda')}"
        )
    if options.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    if options.platform == "gpu":  # by itself JAX computes float32 by TF32 products there
        precision = {"float32": "highest", "tf32": "tensorfloat32"}.get(options.dtype)
        jax.config.update("jax_default_matmul_precision", precision)


def start_torch(options: Options, folder: Path) -> TorchPeer | None:
    """The process of PyTorch; None if it is not asked for, or not there and not named."""
    if not any(name in options.peer_names for name in TORCH):
        return None
    if options.torch_python is None and not here():
        print("no PyTorch in this environment; --torch-python names one that has it")
        return None
    with phase("import", "starting PyTorch"):
        return TorchPeer(options.torch_python, options.platform, folder)


def measure_all(
    rows: list[Benchmark], options: Options, torch: TorchPeer | None
) -> tuple[dict[str, Any], list[Result]]:
    """Measures the ceiling, every row, and the ceiling once more; returns the head and the rows."""
    plan = timing.Plan(repeats=options.repeats)
    if options.quick:
        plan = timing.Plan(discard=1, repeats=3, row_seconds=0.0, most_seconds=1.0)
    settings = Settings(options.dtype, options.peer_names, options.in_scan, plan, torch)
    dtype = jnp.dtype("float32" if options.dtype == "tf32" else options.dtype)
    with phase("ceiling", "measuring what the machine can do"):
        best = ceiling.measure(dtype)
    measured: list[Result] = []
    with phase("rows", f"measuring, {len(rows)} rows", total=len(rows)) as shown:
        for number, row in enumerate(rows):
            shown.move(number, f"measuring {number + 1} of {len(rows)}: {row.name}")
            measured += measure(row, settings, best)
            if torch:
                torch.drop()
    with phase("ceiling", "measuring once more what the machine can do"):
        best = best.best(ceiling.measure(dtype))
    head = {
        "device": results.device(),
        "versions": results.versions(torch.about["version"] if torch else None),
        "ceiling": dataclasses.asdict(best),
    }
    return head, measured


def print_machine(head: dict[str, Any], target: Any) -> None:
    """Says what the machine is and what it can do."""
    best = head["ceiling"]
    versions = ", ".join(f"{name} {version}" for name, version in head["versions"].items())
    tables.say(
        target,
        f"{head['device']}; {versions}\nceiling: {best['flops'] / 1e9:.0f} GFLOP/s of a large "
        f"product at {best['cores']:.1f} cores, {best['bytes'] / 1e9:.1f} GB/s of a large copy",
    )


def keep(
    options: Options, head: dict[str, Any], new: list[Result], before: list[Result], path: Path
) -> None:
    """Writes the files that were asked for."""
    title = f"{head['device']}, JAX {head['versions']['jax']}"
    if options.json:
        results.write(options.json, results.to_json(head, new))
    if options.picture:
        with phase("pictures", "drawing the ratios"):
            picture.save(picture.draw(new, title), options.picture)
    if options.save:
        whole = results.merged(before, new)
        results.write(path, results.to_json(head, whole))
        picture.save(picture.draw(whole, title), path.with_suffix(".png"))
        print(f"saved {path}")


def write_readme(options: Readme) -> None:
    """Fills the tables of the READMEs."""
    for suite in ("primitives", "models"):  # whose notes stand in the table
        load_rows(suite)
    count = readme.update(options.readme, options.details, options.results)
    count += compile_readme.update(options.readme, options.details, options.results)
    told = f"the tables of {count} file{'s' if count > 1 else ''}"
    print(f"{options.readme} and {options.details}: {told}")


if __name__ == "__main__":
    commands = {"run": (Options, run), "readme": (Readme, write_readme)}
    took = {"readme": "4 s of CPU"}
    sys.exit(command.run("python -m experiments.benchmark", commands, cached=False, took=took))
