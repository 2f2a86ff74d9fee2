"""Prints what CloudFormation's handlers of some resource types call: {type: {handler: [action]}}.

From the resource schemas that cfn-lint carries. Arguments: the types.
"""

import importlib.resources
import json
import sys

schemas = importlib.resources.files("cfnlint.data.schemas")
known = json.loads((schemas / "providers" / "us-east-1.json").read_text())
handlers = {}
for kind in sys.argv[1:]:
    schema = json.loads((schemas / "resources" / f"{known[kind]}.json").read_text())
    of_kind = schema["handlers"].items()
    handlers[kind] = {name: handler["permissions"] for name, handler in of_kind if name != "list"}
print(json.dumps(handlers))
