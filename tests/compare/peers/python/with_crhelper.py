"""The custom resource by crhelper, without the two minutes that it waits at the end of each Delete by default."""

import calls
from crhelper import CfnResource

handler = CfnResource(log_level="INFO", sleep_on_delete=0)


@handler.create
@handler.update
@handler.delete
def act(event, _context):
    calls.make(event)
    return calls.PHYSICAL_ID
