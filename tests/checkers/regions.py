"""Prints the regions of each partition that AWS's SDK for Python knows: {partition: [region]}."""

import json

import botocore.session

session = botocore.session.get_session()
partitions = session.get_data("partitions")["partitions"]
regions = {it["id"]: [name for name in it["regions"] if not name.endswith("-global")] for it in partitions}
print(json.dumps(regions))
