"""Weights, images, data sets and tables; who makes each, and what the refusal says."""

import gzip
import json
import pickle

import numpy as np

from tests.experiments.hostile.makers import (
    DEEP,
    EPS,
    LARGE,
    SET,
    TABLE,
    TEST,
    WEIGHTS,
    ZEROS,
    Payload,
    arrays,
    chunk,
    cut,
    directory,
    entry,
    header,
    hole,
    image,
    large_stranger,
    link,
    pickled,
    png,
    put,
    queue,
    replace,
    splits,
    zipped_pickle,
)

NOT_READ = r"digit\.png: the image cannot be read \({}\); save it anew"
NO_IMAGE = r"digit\.png: no image that Pillow reads; convert it"
BAD_DATA = r"the data set in .*digits8x8.* is damaged \({}\); delete that folder and prepare"
BAD_EXAMPLE = r"the data set in folder is damaged \({}\); delete that folder and prepare"
BAD_WEIGHTS = "`weights` .* is no whole safetensors file .*save_file"
BAD_TABLE = r"mnist5k: cannot read .*table\.csv\.gz \({}\); reinstall its package"
LIMIT = "it has 3,221,225,472 bytes, at most .* are read"

WEIGHT_FILES = {
    "weights that are empty": (put(WEIGHTS, b""), BAD_WEIGHTS),
    "weights that are a pickle": (pickled(WEIGHTS), BAD_WEIGHTS),
    "weights that are a zipped pickle": (zipped_pickle(WEIGHTS), BAD_WEIGHTS),
    "weights cut short": (cut(WEIGHTS), BAD_WEIGHTS),
    "weights with a header of 2^60 bytes": (put(WEIGHTS, header({}, claimed=2**60)), BAD_WEIGHTS),
    "weights with a header of gigabytes": (
        hole(WEIGHTS, header({}, claimed=LARGE - 8)),
        BAD_WEIGHTS,
    ),
    "weights without JSON": (put(WEIGHTS, header(b"abcd")), BAD_WEIGHTS),
    "weights nested deeply": (put(WEIGHTS, header(DEEP)), BAD_WEIGHTS),
    "weights past the end": (
        put(WEIGHTS, header({"a": entry("F32", [2], 8)}, body=4)),
        BAD_WEIGHTS,
    ),
    "weights of terabytes": (
        put(WEIGHTS, header({"a": entry("F32", [2**40], 2**42)}, body=8)),
        BAD_WEIGHTS,
    ),
    "weights more than can be counted": (
        put(WEIGHTS, header({"a": entry("F32", [2**40, 2**40], 8)}, body=8)),
        BAD_WEIGHTS,
    ),
    "weights over each other": (
        put(WEIGHTS, header({"a": entry("U8", [8], 8), "b": entry("U8", [4], 8, 4)}, body=8)),
        BAD_WEIGHTS,
    ),
    "weights of another network": (
        put(WEIGHTS, header({"conv1.weight": entry("F32", [2], 8)}, body=8)),
        "must hold what ConvNeXtTiny .*; missing: .*; unknown: conv1.weight",
    ),
    "weights of another shape": (
        arrays(lambda held: held.update({"classifier.2.bias": np.zeros(9, np.float32)})),
        r"misshapen: classifier.2.bias is \(9,\) in place of \(3,\)",
    ),
    "weights that are whole numbers": (
        arrays(lambda held: held.update({"classifier.2.bias": np.zeros(3, np.int64)})),
        "misshapen: classifier.2.bias holds I64 in place of floats",
    ),
    "weights with 3 GiB that are not wanted": (large_stranger, "unknown: stranger"),
    "weights with hostile names": (
        arrays(lambda held: held.update({f"\x1b[31m\n{'a' * n}": np.zeros(1) for n in range(300)})),
        r"unknown: '\\x1b\[31m\\n.* and 288 more$",
    ),
    "index of weights": (
        put(WEIGHTS, json.dumps({"weight_map": {"a": "../../etc/passwd"}})),
        BAD_WEIGHTS,
    ),
    "weights that are a folder": (directory(WEIGHTS), r"`weights` \(=.*\) is no file"),
    "weights that are a queue": (queue(WEIGHTS), r"`weights` \(=.*\) is no file"),
    "weights without an end": (link(WEIGHTS, "/dev/zero"), r"`weights` \(=.*\) is no file"),
}
INPUTS = {
    "task": "classification",
    "form": "digit",
    "image_shape": [28, 28, 1],
    "classes": list("0123456789"),
    "least_probability": 0.6,
}
IMAGES = {
    "image that is empty": (put("digit.png", b""), NO_IMAGE),
    "image that is text": (put("digit.png", "no image"), NO_IMAGE),
    "image that is a program": (put("digit.png", EPS), NO_IMAGE),
    "image that is a pickle": (pickled("digit.png"), NO_IMAGE),
    "image cut short": (
        lambda folder: (folder / "digit.png").write_bytes(image("jpeg", (60, 50))[:-300]),
        NOT_READ.format("image file is truncated.*"),
    ),
    "image without pixels": (
        put("digit.png", png(28, 28)),
        NOT_READ.format("image file is trunc.*"),
    ),
    "image bomb": (
        put("digit.png", png(10_000, 10_000)),
        r"digit\.png: an image must have at most 50,000,000 pixels; received 10000 x 10000; shrink",
    ),
    "image bomb of 40 GB": (
        put("digit.png", png(200_000, 200_000)),
        r"digit\.png: an image must have at most 50,000,000 pixels; received far more; shrink it",
    ),
    "image with a bomb of text": (
        put("digit.png", png(28, 28, chunk(b"zTXt", b"a\0\0" + ZEROS))),
        NOT_READ.format("Decompressed data too large.*"),
    ),
    "image with a bomb of colours": (
        put("digit.png", png(28, 28, chunk(b"iCCP", b"a\0\0" + ZEROS))),
        NOT_READ.format("Decompressed data too large.*"),
    ),
    "image of gigabytes": (hole("digit.png", png(28, 28)), NOT_READ.format(LIMIT)),
    "image that is a folder": (directory("digit.png"), NOT_READ.format("it is no plain file")),
    "image that is a queue": (queue("digit.png"), NOT_READ.format("it is no plain file")),
    "image without an end": (
        link("digit.png", "/dev/zero"),
        NOT_READ.format("it is no plain file"),
    ),
    "inputs that are none": (
        put("run/inputs.json", "[]"),
        r"cannot read .*inputs\.json \(.*\); delete it",
    ),
    "inputs of enormous images": (
        put("run/inputs.json", json.dumps({**INPUTS, "image_shape": [10**6, 10**6, 1]})),
        r"cannot read .*inputs\.json \(it holds what no run writes\); delete it",
    ),
    "image that is absent": (link("digit.png", "nothing"), r"digit\.png: no such file"),
}
DATA = {
    "records cut short": (cut(TEST), BAD_DATA.format(".*")),
    "records that are empty": (put(TEST, b""), BAD_DATA.format(".*in fewer bytes")),
    "records that are a pickle": (pickled(TEST), BAD_DATA.format(".*")),
    "records of zeros": (put(TEST, bytes(200_000)), BAD_DATA.format(".*")),
    "records that are a folder": (directory(TEST), BAD_DATA.format(".*no file of it")),
    "records that are a queue": (queue(TEST), BAD_DATA.format(".* is no plain file")),
    "records without an end": (link(TEST, "/dev/zero"), BAD_DATA.format(".* is no plain file")),
    "records more than there are": (
        splits(shardLengths=["5000"]),
        BAD_DATA.format("index 360 out of bound 360"),
    ),
    "records of another number": (
        splits(shardLengths=["1000000000000"]),
        BAD_DATA.format("split train has 1,000,000,000,000 examples in fewer bytes"),
    ),
    "records below zero": (splits(shardLengths=["-5"]), BAD_DATA.format(".*")),
    "records in many files": (
        splits(shardLengths=["1"] * 100_000),
        BAD_DATA.format("split train has 100,000 shards in 4 files"),
    ),
    "records outside": (
        splits(filepathTemplate="../../../outside/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"),
        BAD_DATA.format("split train lies in .*outside.*, no file of it"),
    ),
    "records by an absolute path": (
        splits(filepathTemplate="/etc/{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"),
        BAD_DATA.format("split train lies in /etc/.*, no file of it"),
    ),
    "description of data that is empty": (
        put(f"{SET}/dataset_info.json", b""),
        BAD_DATA.format("dataset_info.json: Expecting.*"),
    ),
    "description of data nested deeply": (
        put(f"{SET}/dataset_info.json", DEEP),
        BAD_DATA.format("dataset_info.json: it is nested too deeply"),
    ),
    "description of data of gigabytes": (
        hole(f"{SET}/dataset_info.json"),
        BAD_DATA.format(f"dataset_info.json: {LIMIT}"),
    ),
    "description of data that is a queue": (
        queue(f"{SET}/dataset_info.json"),
        BAD_DATA.format("dataset_info.json is no plain file"),
    ),
    "description of data that is a list": (
        put(f"{SET}/dataset_info.json", "[]"),
        BAD_DATA.format("dataset_info.json describes nothing"),
    ),
    "description of data that is a folder": (
        directory(f"{SET}/dataset_info.json"),
        r"cannot open the data set digits8x8 in .*dataset_info.json.*delete that folder",
    ),
    "features that are code": (
        replace(f"{SET}/features.json", "tensorflow_datasets.core.features.image_feature", "code"),
        BAD_DATA.format("features.json names 'code.Image', no feature of TFDS"),
    ),
}
_EXAMPLES = {
    "example that is a bomb": (
        lambda folder: (png(10_000, 10_000), 3),
        ".*at most 80,000,000 pixels.*",
    ),
    "example of another size": (lambda folder: (png(8000, 9000), 3), ".*received .9000, 8000."),
    "example that is a program": (lambda folder: (EPS, 3), "no PNG or JPEG or GIF or BMP image"),
    "example that is a pickle": (
        lambda folder: (pickle.dumps(Payload(folder)), 3),
        "no PNG or JPEG or GIF or BMP image",
    ),
    "example with a bomb of text": (
        lambda folder: (png(8, 8, chunk(b"zTXt", b"a\0\0" + ZEROS)), 3),
        "Decompressed data too large.*",
    ),
    "example of a class that is none": (
        lambda folder: (image("png"), 200),
        "label 200 where there are 10 classes",
    ),
}
EXAMPLES = {name: (make, BAD_EXAMPLE.format(m)) for name, (make, m) in _EXAMPLES.items()}
TABLES = {
    "table that is a bomb": (
        lambda folder: (folder / TABLE).write_bytes(gzip.compress(b"1" * 2**27, 1)),
        BAD_TABLE.format("it unpacks to more than .* bytes"),
    ),
    "table of gigabytes": (hole(TABLE), BAD_TABLE.format(LIMIT)),
    "table cut short": (
        lambda folder: (folder / TABLE).write_bytes(gzip.compress(b"1,2,3\n" * 99)[:-9]),
        BAD_TABLE.format("Compressed file ended.*"),
    ),
    "table that is a zipped pickle": (zipped_pickle(TABLE), BAD_TABLE.format(".*")),
    "table of numbers too large": (put(TABLE, "1,999,1e999\n"), BAD_TABLE.format(".*")),
    "table of a few numbers": (put(TABLE, "1,2,3\n"), "mnist5k: .* should hold a table of shape"),
    "table that is a queue": (queue(TABLE), BAD_TABLE.format("it is no plain file")),
}
