"""Connectomes as graphs: GraphML, and lists of edges."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement

import numpy as np

from kraken_bids.io.files import atomic_path
from kraken_bids.pipeline.export.stack import Stack

NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
AXES = ("x", "y", "z")
NODE_KEYS = {"name": "string", "hemisphere": "string", "network": "string"} | dict.fromkeys(
    AXES, "double"
)
ENDS = ("region_1", "region_2", "weight")
Edge = tuple[int, int, float]


def list_edges(stack: Stack, row: int) -> Iterator[Edge]:
    """Pairs of regions and their value, row by row of the upper triangle.

    0 is no edge, and neither is what was not seen (NaN).
    """
    first, second = np.triu_indices(stack.regions.n_regions, 1)
    edges = stack.edges[row]
    present = np.isfinite(edges) & (edges != 0)
    yield from zip(
        first[present].tolist(), second[present].tolist(), edges[present].tolist(), strict=True
    )


def write_graphml(stack: Stack, path: Path) -> None:
    """Write one session as an undirected graph whose nodes are called as their regions.

    Nodes have ``name``, ``hemisphere``, ``network`` and, where they are known, ``x``, ``y``,
    ``z``; edges have ``weight``; the graph says whose it is.
    """
    root = Element("graphml", xmlns=NAMESPACE)
    facts = {
        "participant_id": stack.subjects[0],
        "session_id": stack.sessions[0] or "",
        "flavor": stack.kind.flavor.name,
        "what": stack.kind.what,
        "predicted_from": stack.kind.source,
    }
    keys = [
        *(("graph", name, "string") for name in facts),
        *(("node", name, kind) for name, kind in NODE_KEYS.items()),
        ("edge", "weight", "double"),
    ]
    for owner, name, kind in keys:
        words = {"id": name, "for": owner, "attr.name": name, "attr.type": kind}
        SubElement(root, "key", words)
    graph = SubElement(root, "graph", edgedefault="undirected")
    for name, value in facts.items():
        _add(graph, name, value)
    names = stack.regions.region_names
    for k, name in enumerate(names):
        node = SubElement(graph, "node", id=name)
        words = {"name": name, "hemisphere": stack.regions.hemispheres[k]}
        words |= {"network": stack.networks[k]}
        if np.isfinite(stack.centres[k]).all():
            words |= {a: f"{v:.9g}" for a, v in zip(AXES, stack.centres[k], strict=True)}
        for key, value in words.items():
            _add(node, key, value)
    for i, j, weight in list_edges(stack, 0):
        edge = SubElement(graph, "edge", source=names[i], target=names[j])
        _add(edge, "weight", repr(weight))
    with atomic_path(path) as temporary:
        ElementTree(root).write(temporary, encoding="utf-8", xml_declaration=True)


def write_edge_list(stack: Stack, path: Path) -> None:
    """Write a table with a row per edge; of several sessions also whose it is."""
    names = stack.regions.region_names
    is_stacked = len(stack.subjects) > 1
    has_sessions = any(stack.sessions)
    header = (["participant_id"] + ["session_id"] * has_sessions if is_stacked else []) + [*ENDS]
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write("\t".join(header) + "\n")
        for row, subject in enumerate(stack.subjects):
            whose = [subject, stack.sessions[row] or "n/a"][: len(header) - len(ENDS)]
            start = "".join(f"{word}\t" for word in whose)
            file.writelines(
                f"{start}{names[i]}\t{names[j]}\t{value!r}\n"
                for i, j, value in list_edges(stack, row)
            )


def _add(parent: Element, key: str, value: str) -> None:
    SubElement(parent, "data", key=key).text = value
