"""Run folders: options, metrics and checkpoints; who makes each, and what the refusal says."""

import pickle

from tests.experiments.hostile.makers import (
    DEEP,
    STEP,
    Payload,
    clear,
    config,
    cut,
    directory,
    hole,
    link,
    pickled,
    put,
    queue,
    replace,
    stored,
)

NOT_PLAIN = "the run folder .* cannot be used \\({} is {}\\); .* remove that, or choose another"
BAD_CONFIG = r"cannot read .*config\.json \({}\); choose another run folder"
BAD_METRICS = r"cannot read .*metrics\.jsonl \({}\); correct or delete it"
OTHER_RUN = r"run is of another experiment or version \({}\)"
BAD_STEP = (
    r"checkpoint 7 is damaged and passed over \({}\) .*no whole checkpoint in .*start a new run"
)
NO_NAME = r"cannot open the data set .* \(it is no name, .*\); correct the name"
LIMIT = "it has 3,221,225,472 bytes, at most .* are read"
QUEUE = "neither a file nor a folder"

CONFIGS = {
    "config that is empty": (put("run/config.json", ""), BAD_CONFIG.format("Expecting value.*")),
    "config cut short": (cut("run/config.json"), BAD_CONFIG.format(".*")),
    "config nested deeply": (
        put("run/config.json", DEEP),
        BAD_CONFIG.format("it is nested too .*"),
    ),
    "config of gigabytes": (hole("run/config.json", b"{"), BAD_CONFIG.format(LIMIT)),
    "config that is a list": (
        put("run/config.json", "[]"),
        BAD_CONFIG.format("it holds no options"),
    ),
    "config with a name twice": (
        replace("run/config.json", "{", '{"epochs": 1, '),
        BAD_CONFIG.format("two values have one name"),
    ),
    "config with an endless number": (
        replace("run/config.json", '"epochs": 30', f'"epochs": {"9" * 9000}'),
        BAD_CONFIG.format("Exceeds the limit.*"),
    ),
    "config in other letters": (
        put("run/config.json", b"\xff\xfe{"),
        BAD_CONFIG.format(".*decode.*"),
    ),
    "config that is a pickle": (pickled("run/config.json"), BAD_CONFIG.format(".*decode.*")),
    "config that is a folder": (
        directory("run/config.json"),
        "is no run folder: it holds no config",
    ),
    "config that is a queue": (queue("run/config.json"), "is no run folder: it holds no config"),
    "config without an end": (
        link("run/config.json", "/dev/zero"),
        "is no run folder: it holds no",
    ),
    "config of NaN": (config(learning_rate=float("nan")), OTHER_RUN.format(".*must be above 0")),
    "config of infinity": (
        replace("run/config.json", '"epochs": 30', '"epochs": 1e999'),
        OTHER_RUN.format(r"epochs \(=inf\) must be int"),
    ),
    "config of True": (config(epochs=True), OTHER_RUN.format(r"epochs \(=True\) must be int")),
    "config of 2.5": (config(epochs=2.5), OTHER_RUN.format(r"epochs \(=2.5\) must be int")),
    "config of text": (
        config(batch_size="9"),
        OTHER_RUN.format(r"batch_size \(='9'\) must be int"),
    ),
    "config of a choice that is none": (
        config(optimizer=["adamw"]),
        OTHER_RUN.format(r"optimizer \(=\['adamw'\]\) must be one of adamw, sgd, muon"),
    ),
    "config of a number too large": (config(ema=10**400), OTHER_RUN.format("int too large.*")),
    "config of more options": (config(code="1"), OTHER_RUN.format(r"Recipe has no \['code'\]")),
    "config of no augmentation": (config(augmentation=3), OTHER_RUN.format("3 is no Augmentation")),
    "config of enormous images": (
        config(image_size=[10**9, 10**9]),
        OTHER_RUN.format(".*at most 80,000,000 together"),
    ),
    "config of three sides": (
        config(image_size=[1, 2, 3]),
        OTHER_RUN.format(r"image_size \(=\[1, 2, 3\]\) must be 2 values"),
    ),
    "config of data outside": (config(data="../outside"), NO_NAME),
    "config of data by an absolute path": (config(data="/etc/passwd"), NO_NAME),
    "config of data from the network": (config(data="huggingface:some"), NO_NAME),
    "config of data with arguments": (config(data="digits8x8/data_dir=."), NO_NAME),
    "config of data with escape codes": (config(data="\x1b[31m\n"), r"set \\x1b\[31m\\n in .*name"),
    "config of data with NUL": (
        config(data="digits8x8\0"),
        r"digits8x8\\x00 in .*correct the name",
    ),
    "config of data with a long name": (config(data="a" * 9000), NO_NAME),
    "config of a network that is none": (
        config(model="../lenet5"),
        r"--model \(=../lenet5\) is unknown, perhaps lenet5",
    ),
}
METRICS = {
    "metrics nested deeply": (
        put("run/metrics.jsonl", DEEP + b"}\n"),
        BAD_METRICS.format("it is nested too deeply"),
    ),
    "metrics of gigabytes": (hole("run/metrics.jsonl"), BAD_METRICS.format(LIMIT)),
    "metrics without epochs": (
        put("run/metrics.jsonl", '{"loss": 1.0}\n'),
        BAD_METRICS.format("a line has no number of an epoch"),
    ),
    "metrics of True": (
        put("run/metrics.jsonl", '{"epoch": 1, "loss": true}\n'),
        BAD_METRICS.format("'loss' of epoch 1 is no number"),
    ),
    "metrics that are a pickle": (
        lambda folder: (folder / "run/metrics.jsonl").write_bytes(
            pickle.dumps(Payload(folder)) + b"}\n"
        ),
        BAD_METRICS.format(".*decode.*"),
    ),
    "metrics that are a folder": (
        directory("run/metrics.jsonl"),
        BAD_METRICS.format("it is no plain file"),
    ),
    "metrics that are a queue": (
        queue("run/metrics.jsonl"),
        NOT_PLAIN.format("metrics.jsonl", QUEUE),
    ),
    "metrics without an end": (
        link("run/metrics.jsonl", "/dev/zero"),
        NOT_PLAIN.format("metrics.jsonl", "a link"),
    ),
    "metrics written through a link": (
        link("run/.metrics.jsonl.tmp", "precious"),
        NOT_PLAIN.format(".metrics.jsonl.tmp", "a link"),
    ),
    "picture that is a link": (
        link("run/confusion.png", "precious"),
        NOT_PLAIN.format("confusion.png", "a link"),
    ),
    "lock that is a link": (link("run/.lock", "precious"), NOT_PLAIN.format(".lock", "a link")),
    "trace that is a link": (link("run/profile", "."), NOT_PLAIN.format("profile", "a link")),
    "link with escape codes": (
        link("run/\x1b[31m\nred", "precious"),
        NOT_PLAIN.format(r"\\x1b\[31m\\nred", "a link"),
    ),
}
CHECKPOINTS = {
    "checkpoints that are a link": (
        link("run/checkpoints", "."),
        NOT_PLAIN.format("checkpoints", "a link"),
    ),
    "checkpoints that are a file": (
        put("run/checkpoints", ""),
        "checkpoints is missing; give a run",
    ),
    "checkpoint that is a link": (link(STEP, "."), NOT_PLAIN.format("checkpoints/7", "a link")),
    "checkpoint that is a queue": (queue(STEP), NOT_PLAIN.format("checkpoints/7", QUEUE)),
    "checkpoint that is a pickle": (pickled(STEP), "no whole checkpoint in .*start a new run"),
    "checkpoint without the model": (
        lambda folder: clear(folder / STEP / "model"),
        BAD_STEP.format(".*"),
    ),
    "array that is a queue": (
        queue(f"{STEP}/model/manifest.ocdbt"),
        NOT_PLAIN.format("checkpoints/7/model/manifest.ocdbt", QUEUE),
    ),
    "arrays that are a pickle": (pickled(f"{STEP}/model/manifest.ocdbt"), BAD_STEP.format(".*")),
    "arrays cut short": (cut(f"{STEP}/model/manifest.ocdbt"), BAD_STEP.format(".*")),
    "array of terabytes": (
        stored(shape=[2**40, 2], chunks=[2**40, 2]),
        r"of another model: params.kernel is \(1099511627776, 2\) float32 there and \(3, 2\) float",
    ),
    "array in parts of gigabytes": (
        stored(chunks=[2**30, 2]),
        BAD_STEP.format("params.kernel is kept in parts of .*, larger than .*"),
    ),
    "array of whole numbers": (
        stored(dtype="<i4"),
        r"of another model: params.kernel is \(3, 2\) int32 there and \(3, 2\) float32 in the mod",
    ),
    "array of fewer rows": (
        stored(shape=[1, 2], chunks=[1, 2]),
        r"of another model: params.kernel is \(1, 2\) float32 there and \(3, 2\) float32 in",
    ),
    "description nested deeply": (
        put(f"{STEP}/model/_METADATA", DEEP),
        BAD_STEP.format("it is nested too deeply"),
    ),
    "description that is a list": (
        put(f"{STEP}/model/_METADATA", "[]"),
        BAD_STEP.format("_METADATA describes nothing"),
    ),
    "description of gigabytes": (hole(f"{STEP}/model/_METADATA", b"{"), BAD_STEP.format(LIMIT)),
    "description of another model": (
        replace(f"{STEP}/model/_METADATA", "kernel", r"\u001b[31mkernel"),
        BAD_STEP.format(".*"),
    ),
    "facts that are a list": (
        put(f"{STEP}/facts/metadata", "[]"),
        BAD_STEP.format("metadata describes nothing"),
    ),
    "facts nested deeply": (
        put(f"{STEP}/facts/metadata", DEEP),
        BAD_STEP.format("it is nested too deeply"),
    ),
    "facts of gigabytes": (hole(f"{STEP}/facts/metadata", b"{"), BAD_STEP.format(LIMIT)),
    "list of items nested deeply": (
        put(f"{STEP}/_CHECKPOINT_METADATA", DEEP),
        "a _CHECKPOINT_METADATA in .* is damaged .*; move the checkpoint that holds it",
    ),
    "list of items of gigabytes": (
        hole(f"{STEP}/_CHECKPOINT_METADATA"),
        "a _CHECKPOINT_METADATA in .* is damaged .that of 7 has over .*; move the checkpoint",
    ),
    "list of items that is none": (
        put(f"{STEP}/_CHECKPOINT_METADATA", "[]"),
        "a _CHECKPOINT_METADATA in .* is damaged .*; move the checkpoint that holds it",
    ),
}
