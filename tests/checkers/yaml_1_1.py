"""Reads CloudFormation templates as CloudFormation does, as YAML 1.1; prints each as JSON on a line."""

import json
import sys

import yaml


def function(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        argument = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    else:
        argument = loader.construct_mapping(node, deep=True)
    if suffix in ("Ref", "Condition"):
        return {suffix: argument}
    return {f"Fn::{suffix}": argument.split(".", 1) if suffix == "GetAtt" else argument}


yaml.SafeLoader.add_multi_constructor("!", function)
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        # What is no JSON, such as a date, fails here.
        print(json.dumps(yaml.safe_load(file)))
