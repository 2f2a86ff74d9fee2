"""The custom resource by cfn-handler."""

import calls
from cfn_handler import CustomResource

handler = CustomResource()


@handler.create
@handler.update
@handler.delete
def act(event, _context):
    calls.make(event)
    return {}
