"""Tables from the server are those that were logged: runs' tables by their artifacts, tables in artifacts of one's own."""

from __future__ import annotations

import base64
import json
import zlib

from world import PYTHON, Home, Server

LOGGED = """
import datetime
import numpy as np
import runlane as wandb

Table = wandb.Table
pixels = (np.arange(48) * 5).astype(np.uint8).reshape(4, 4, 3)
keys = Table(columns=["id", "name"], data=[["a", "ann"], ["b", "bob"]])
keys.set_pk("id")
rows = [["a", 1.5, wandb.Image(pixels, caption="one"), np.eye(2), datetime.datetime(2020, 1, 1), [1, 2]],
        ["b", None, wandb.Image(pixels[:2]), np.zeros((2, 2)), None, [3]]]
preds = Table(columns=["id", "score", "img", "m", "at", "list"], data=rows)
preds.set_fk("id", keys, "id")
with wandb.init(project={project!r}, id="first") as run:
    run.log({{"preds": preds, "a/b": Table(columns=["x"], data=[[1]])}})
    run.log({{"preds": preds}})
    grows = Table(columns=["x"], log_mode="INCREMENTAL")
    for value in range(3):
        grows.add_data(value)
        run.log({{"grows": grows}})
    artifact = wandb.Artifact("own", "dataset")
    artifact.add(preds, "kept")
    left, right = (Table(columns=["id", name], data=[[1, name]]) for name in "lr")
    artifact.add(wandb.JoinedTable(left, right, "id"), "joined")
    for part in range(2):
        artifact.add(Table(columns=["x"], data=[[part], [part + 10]]), f"parts/{{part}}")
    artifact.add(wandb.data_types.PartitionedTable("parts"), "all")
    run.log_artifact(artifact)
    run.log({{"whole": wandb.JoinedTable(left, right, ["id", "id"])}})

with wandb.init(project={project!r}, id="second") as run:
    used = run.use_artifact("run-first-preds:latest")
    assert (used.version, used.type) == ("v0", "run_table"), (used.version, used.type)
    read = used.get("preds")
    assert read.columns == preds.columns and [row[1] for row in read.data] == [1.5, None]
    assert read.get_column("img")[0]._caption == "one"
    shown = [np.array(image.to_data_array()) for image in read.get_column("img")]
    assert np.array_equal(shown[0], pixels) and np.array_equal(shown[1], pixels[:2])
    assert read.get_column("m", convert_to="numpy").tolist() == [[[1, 0], [0, 1]], [[0, 0], [0, 0]]]
    assert read.data[0][4] == datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc) and read.data[1][4] is None
    assert read.get_column("list") == [[1, 2], [3]]
    assert read.data[1][0]._table.data == [["a", "ann"], ["b", "bob"]]
    odd = run.use_artifact("run-first-ab-{mark}:latest").get("a/b")
    assert odd.data == [[1]]
    own = run.use_artifact("own:latest")
    # A reference to the run's table.
    assert own.get("kept").get_column("score") == [1.5, None] and type(own.get("kept").data[0][2]) is wandb.Image
    joined = own.get("joined")
    assert (joined._table1.data, joined._table2.data) == ([[1, "l"]], [[1, "r"]])
    assert list(own.get("all").iterrows()) == [(0, [0]), (1, [10]), (2, [1]), (3, [11])]
    whole = run.use_artifact("run-first-whole:latest").get("whole")
    assert whole._join_key == ["id", "id"] and whole._table2 == right
    # Tables that were read keep their names.
    again = wandb.Artifact("again", "dataset")
    again.add(wandb.JoinedTable(odd, own.get("kept"), ["x", "score"]), "both")
    assert sorted(again.manifest.entries) == ["b.table.json", "both.joined-table.json", "preds.table.json"]
    assert again.manifest.entries["preds.table.json"].ref.endswith("/preds.table.json")
    run.log_artifact(again).wait()
    assert again.get("both")._table2.get_column("score") == [1.5, None]
    # The flow of the documents: extend what was read, log it again.
    more = Table(columns=read.columns, data=read.data)
    more.add_data("a", 2.5, wandb.Image(pixels[1:]), np.ones((2, 2)), None, [])
    run.log({{"preds": more}})

with wandb.init(project={project!r}, id="first", resume="must") as run:
    again = run.use_artifact("run-second-preds:latest").get("preds")
    assert [row[1] for row in again.data] == [1.5, None, 2.5]
    assert [len(row[2].to_data_array()) for row in again.data] == [4, 2, 3]
    grows = Table(columns=["x"], data=[[3]], log_mode="INCREMENTAL")
    run.log({{"grows": grows}})
    read = wandb.Api().artifact("{project}/run-first-preds:latest").get("preds")
    read.add_data("b", 9.0, None, np.ones((2, 2)), None, [])
    run.log({{"preds": read}})

with wandb.init(project={project!r}, id="third") as run:
    grown = run.use_artifact("run-first-incr-grows:latest")
    (entry, *_) = grown.manifest.entries
    assert len(grown.manifest.entries) == 4
    assert grown.get(entry.removesuffix(".table.json")).data == [[0], [1], [2], [3]]
    newer = run.use_artifact("run-first-preds:latest")
    assert newer.version == "v1" and [row[1] for row in newer.get("preds").data] == [1.5, None, 9.0]
print("ALL WELL")
"""


def test_tables_come_back_from_the_server(home: Home, server: Server, project: str) -> None:
    mark = base64.urlsafe_b64encode(zlib.crc32(b"run-first-a/b").to_bytes(4, "big")).decode().rstrip("=")
    script = LOGGED.format(project=project, mark=mark)
    printed = home.run([PYTHON, "-c", script], env=server.env, check=False)
    assert "ALL WELL" in printed.stdout, printed.stderr[-3000:]


EXCHANGED = """
import datetime, importlib, json, sys
import numpy as np
wandb = importlib.import_module(sys.argv[1])
mine, other = sys.argv[2:4]
project = {project!r}
if mine != "-":
    keys = wandb.Table(columns=["id", "n"], data=[["a", 1], ["b", 2]])
    keys.set_pk("id")
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    masks = {{"m": {{"mask_data": np.eye(4, dtype=np.uint8), "class_labels": {{0: "bg", 1: "cat"}}}}}}
    table = wandb.Table(
        columns=["id", "img", "m", "t", "v", "h"],
        data=[["a", wandb.Image(picture, masks=masks, caption="c"), np.eye(2), datetime.datetime(2020, 1, 1), np.arange(3), wandb.Html("<p>x")]],
    )
    table.set_fk("id", keys, "id")
    with wandb.init(project=project, id=mine) as run:
        run.log({{"t": table}})
        grows = wandb.Table(columns=["x"], log_mode="INCREMENTAL")
        for value in range(2):
            grows.add_data(value)
            run.log({{"grows": grows}})
        artifact = wandb.Artifact("joined-" + mine, "dataset")
        artifact.add(wandb.JoinedTable(keys, keys, "id"), "j")
        run.log_artifact(artifact)
if other != "-":
    api = wandb.Api()
    read = api.artifact(f"{{project}}/run-{{other}}-t:latest").get("t")
    key, image, matrix, moment, values, page = read.data[0]
    grown = api.artifact(f"{{project}}/run-{{other}}-incr-grows:latest")
    name = sorted(grown.manifest.entries)[0].removesuffix(".table.json")
    joined = api.artifact(f"{{project}}/joined-{{other}}:latest").get("j")
    types = read._column_types
    column = types.types["img"] if sys.argv[1] == "runlane" else types.params["type_map"]["img"]
    found = {{
        "types": json.dumps(column.to_json(), sort_keys=True),
        "key": [key, key._table.data, sorted(read._fk_cols)],
        "image": [np.array(image.image).tolist(), sorted(image._masks), type(image).__name__],
        "matrix": matrix.tolist(),
        "moment": moment.isoformat(),
        "values": list(values),
        "page": type(page).__name__,
        "increments": grown.get(name).data,
        "joined": [joined._join_key, joined._table1.data, joined._table2._pk_col],
    }}
    print("FOUND" + json.dumps(found))
"""


def test_both_clients_read_what_the_other_has_written(
    home: Home, server: Server, project: str, wandb_python: str
) -> None:
    script = home.work / "exchange.py"
    script.write_text(EXCHANGED.format(project=project))

    def run(python: str, *words: str) -> dict[str, object]:
        printed = home.run([python, str(script), *words], env=server.env, check=True).stdout
        lines = [line.removeprefix("FOUND") for line in printed.splitlines() if line.startswith("FOUND")]
        return json.loads(lines[0]) if lines else {}

    run(PYTHON, "runlane", "ours", "-")
    theirs = run(wandb_python, "wandb", "theirs", "ours")
    ours = run(PYTHON, "runlane", "-", "theirs")
    assert ours == theirs
    assert ours["increments"] == [[0], [1]] and ours["key"] == ["a", [["a", 1], ["b", 2]], ["id"]]
